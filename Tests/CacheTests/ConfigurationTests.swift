import Runtime
import Testing

@testable import Cache

@Suite struct ConfigurationTests {
    private func read(_ yaml: String = "", _ environment: [String: String] = [:]) throws -> CacheConfiguration {
        let settings = Settings(
            file: ("o.yml", try YAML.parse(yaml) ?? YAML(.mapping([]), line: 1)), environment: environment)
        let configuration = try CacheConfiguration(settings)
        try settings.finish()
        return configuration
    }

    @Test func theDefaultsMakeACache() throws {
        let configuration = try read()
        #expect(configuration.limits.bytes == 64 << 20)
        #expect(configuration.classes.map(\.name) == ["default"])
        #expect(configuration.classes[0].eviction == .s3fifo)
        #expect(configuration.memory == MemoryGovernor.Rules(policy: .adaptive, threshold: 0.8, interval: .seconds(60)))
        #expect(configuration.makeCache(nowMs: 0).classes.count == 1)
    }

    @Test func theOldVariablesStillCount() throws {
        let configuration = try read(
            "",
            [
                "PERFORMANCE_CACHE_STRATEGY": "LRU", "PERFORMANCE_CACHE_TTL": "600",
                "PERFORMANCE_CACHE_MAX_SIZE": "2000",
                "PERFORMANCE_MEMORY_POLICY": "aggressive", "PERFORMANCE_MEMORY_THRESHOLD": "0.7",
                "PERFORMANCE_MEMORY_CHECK_INTERVAL": "30", "PERFORMANCE_ENABLE_COMPRESSION": "false",
            ])
        #expect(configuration.classes[0].eviction == .lru)
        #expect(configuration.classes[0].ttl == .seconds(600))
        #expect(configuration.limits.entries == 2000)
        #expect(configuration.memory == .init(policy: .aggressive, threshold: 0.7, interval: .seconds(30)))
        #expect(configuration.limits.compressFromBytes == nil)
    }

    @Test func classesTakeFromTheDefaultsWhatTheyDoNotSay() throws {
        let configuration = try read(
            """
            cache:
              ttl: 5m
              strategy: wtinylfu
              classes:
                - {name: sessions, match: ["session:*"], ttl: 30s, strategy: lru, share: 0.25, write: through, second_sight: true}
                - {name: rest, match: "r:*"}
            """)
        let sessions = configuration.classes[0]
        #expect(sessions.ttl == .seconds(30) && sessions.eviction == .lru && sessions.share == 0.25)
        #expect(sessions.writeMode == .through && sessions.admitsOnSecondSight)
        #expect(configuration.classes[1].ttl == .seconds(300) && configuration.classes[1].eviction == .wtinylfu)
        let cache = configuration.makeCache(nowMs: 0)
        let bounds = (0..<3).map { cache.usage(of: CacheClass.ID(index: $0)).boundBytes }
        #expect(abs(Double(bounds[0]) / Double(bounds.reduce(0, +)) - 0.25) < 0.01)
        #expect(bounds[1] == bounds[2])
    }

    @Test func thePresetsAreTheLifetimesOfTheExample() throws {
        let configuration = try read("cache: {presets: true}")
        let ttls = Dictionary(uniqueKeysWithValues: configuration.classes.map { ($0.name, $0.ttl) })
        #expect(ttls["active_queue"] == .seconds(300))
        #expect(ttls["task_progress"] == .seconds(60))
        #expect(ttls["player_statistics"] == .seconds(600))
        #expect(ttls["frequent"] == .seconds(1800))
        let cache = configuration.makeCache(nowMs: 0)
        let id = cache.cacheClass(for: Array("player:stats:7".utf8).span)
        #expect(cache.classes[id.index].name == "player_statistics")
    }

    @Test(arguments: [
        (
            "cache: {strategy: best}",
            "o.yml:1: cache.strategy: \"best\" is none of s3fifo, wtinylfu, lru, lfu, fifo, ttl"
        ),
        ("cache: {max_bytes: 1}", "o.yml:1: cache.max_bytes: 1B is not between 64KiB and 1048576GiB"),
        ("cache: {classes: [{match: a}]}", "o.yml:1: cache.classes[0].name: is missing"),
        ("cache: {classes: [{name: a, share: 1.5}]}", "o.yml:1: cache.classes[0].share: 1.5 is not between 0 and 1"),
        (
            "cache: {classes: [{name: a, share: 0.6}, {name: b, share: 0.5}]}",
            "o.yml: cache.classes: the shares add up to 1.1: nothing is left for other keys"
        ),
    ]) func mistakesAreNamed(_ yaml: String, _ message: String) {
        let error = #expect(throws: SettingsError.self) { try read(yaml) }
        #expect(error?.description == message)
    }
}
