import Metrics
import Runtime
import Testing

@testable import Cache

@Suite struct CacheMetricsTests {
    private func page(_ cache: LocalCache) async -> String {
        let keeper = CacheKeeper(cache, .init()) { MemoryReading() }
        let round = CollectionRound(deadline: .after(.seconds(1)))
        let collected = await CacheMetrics(cache, keeper: keeper).collect(round)
        return String(
            decoding: Exposition.encode(Snapshot(families: collected.flatMap(\.families)), as: .text).page,
            as: UTF8.self)
    }

    @Test func whatHappenedIsTold() async {
        let cache = LocalCache(.lru, entries: 2, ttl: .seconds(10))
        for key in ["a", "b", "c"] { cache.set(key, "v", at: 0) }
        _ = cache.get("c", at: 3000)
        _ = cache.get("a", at: 3000)
        let page = await page(cache)
        for line in [
            "outrigger_cache_hits_total{class=\"default\"} 1", "outrigger_cache_misses_total{class=\"default\"} 1",
            "outrigger_cache_fills_total{class=\"default\"} 3", "outrigger_cache_entries{class=\"default\"} 2",
            "outrigger_cache_evictions_total{cause=\"entries\",class=\"default\"} 1",
            "outrigger_cache_evicted_unused_total{class=\"default\"} 1",
            "outrigger_cache_fills_refused_total{class=\"default\",reason=\"first_sight\"} 0",
            "outrigger_cache_hit_age_seconds_bucket{class=\"default\",le=\"4\"} 1",
            "outrigger_cache_hit_age_seconds_sum{class=\"default\"} 3",
            "outrigger_cache_class_info{class=\"default\",strategy=\"lru\",write=\"aside\"} 1",
            "outrigger_cache_memory_frees_total{trigger=\"cgroup\"} 0",
        ] { #expect(page.contains(line + "\n"), "\(line) is not in\n\(page)") }
    }

    @Test func promtoolFindsNothingToSay() async throws {
        guard Files.exists("/usr/bin/promtool") else {
            print("skipped: promtool is not here")
            return
        }
        let folder = try TemporaryFolder("lint")
        try Files.write(await page(LocalCache()), to: folder.path + "/page")
        let promtool = try ChildProcess(
            "sh", ["-c", "promtool check metrics < page"], output: folder.path + "/complaints", directory: folder.path)
        #expect(try await promtool.exited(within: .seconds(120)) == 0)
        #expect(try Files.readText(folder.path + "/complaints") == "")
    }
}
