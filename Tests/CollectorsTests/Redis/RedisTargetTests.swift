import Databases
import Foundation
import LocalServers
import Metrics
import Runtime
import Testing

@testable import Collectors

extension RedisTarget {
    /// One scrape with ten seconds to spare.
    func page(_ selection: CollectorSelection = .all, within patience: Duration = .seconds(10)) async -> ExporterPage {
        ExporterPage(await collect(CollectionRound(deadline: .after(patience), selection: selection)))
    }

    init(_ redis: LocalRedis, _ options: RedisOptions = RedisOptions(), name: String? = nil) throws {
        self.init(name: name, address: try RedisAddress(parsing: redis.url), options: options)
    }
}

@Suite struct RESP3TargetTests {
    /// Names of series with their types; values move from one scrape to the next.
    private func families(_ url: String) async throws -> [String: String] {
        var options = RedisOptions()
        options.includeConfigMetrics = true
        options.exportClientList = true
        let target = RedisTarget(address: try RedisAddress(parsing: url), options: options)
        // The second scrape has the histograms of the first one's commands.
        _ = await target.collect(CollectionRound(deadline: .after(.seconds(20))))
        let page = CollectorsTests.page(of: await target.collect(CollectionRound(deadline: .after(.seconds(20)))))
        #expect(page.value("redis_up") == 1)
        #expect(page.series("outrigger_collector_success").allSatisfy { page.value($0) == 1 })
        return page.types
    }

    @Test func theSameIsToldOverEitherProtocol() async throws {
        let redis = try await LocalRedis.start(["--requirepass", "secret"])
        let address = "redis://:secret@127.0.0.1:\(redis.port)"
        #expect(try await families(address + "?protocol=3") == families(address))
        await redis.stop()
    }
}

@Suite struct RedisTLSTargetTests {
    private func up(_ redis: LocalRedis, _ environment: [String: String]) async throws -> Double? {
        var options = RedisOptions()
        options.tls = try RedisTLS(Settings(environment: environment), "redis.tls")
        let collected = try await RedisTarget(redis, options).collect(CollectionRound(deadline: .after(.seconds(20))))
        return CollectorsTests.page(of: collected).value("redis_up")
    }

    @Test func serversWithTLSAreWatchedByWhoTrustsThem() async throws {
        let tls = try await LocalTLS.make()
        let redis = try await LocalRedis.start(tls: tls)
        let trusting = ["OUTRIGGER_REDIS_TLS_CA_FILE": tls.certificateFile]
        #expect(try await up(redis, trusting) == 1)
        #expect(try await up(redis, [:]) == 0)
        #expect(try await up(redis, ["OUTRIGGER_REDIS_TLS_INSECURE_SKIP_VERIFY": "true"]) == 1)
        #expect(try await up(redis, trusting.merging(["OUTRIGGER_REDIS_TLS_SERVER_NAME": "other"]) { $1 }) == 0)
        #expect(try await up(redis, trusting.merging(["OUTRIGGER_REDIS_TLS_SERVER_NAME": "localhost"]) { $1 }) == 1)
        await redis.stop()
    }

    @Test func serversThatWantACertificateGetOne() async throws {
        let tls = try await LocalTLS.make()
        let redis = try await LocalRedis.start(["--tls-auth-clients", "yes"], tls: tls)
        let trusting = ["OUTRIGGER_REDIS_TLS_CA_FILE": tls.certificateFile]
        #expect(try await up(redis, trusting) == 0)
        let known = ["OUTRIGGER_REDIS_TLS_CERT_FILE": tls.certificateFile, "OUTRIGGER_REDIS_TLS_KEY_FILE": tls.keyFile]
        #expect(try await up(redis, trusting.merging(known) { $1 }) == 1)
        await redis.stop()
    }
}

/// Counts of the server's own statistics, to see what a scrape asked.
extension LocalRedis {
    func calls() async throws -> [String: Int] {
        var calls: [String: Int] = [:]
        for line in try await command("INFO", "commandstats").split(whereSeparator: \.isNewline)
        where line.hasPrefix("cmdstat_") {
            let parts = line.dropFirst("cmdstat_".count).split(separator: ":", maxSplits: 1)
            calls[String(parts[0])] = Int(parts[1].dropFirst("calls=".count).prefix { $0 != "," })
        }
        return calls
    }
}

@Suite struct RedisTargetTests {
    @Test func aPlainServerIsScrapedInOneRoundTrip() async throws {
        let redis = try await LocalRedis.start()
        try await redis.command("SET", "greeting", "hello")
        let target = try RedisTarget(redis)
        for _ in 1...3 { _ = await target.page() }
        let before = try await redis.calls()

        let page = await target.page()

        #expect(page["redis_up"] == "1")
        #expect(page["redis_exporter_last_scrape_error"] == "0")
        #expect(page["redis_db_keys{db=\"db0\"}"] == "1")
        #expect(page["redis_db_keys{db=\"db15\"}"] == "0")
        #expect(page["outrigger_redis_connects_total"] == "1")
        for collector in ["redis", "redis_config", "redis_latency", "redis_slowlog"] {
            #expect(page["outrigger_collector_success{collector=\"\(collector)\"}"] == "1", "\(collector)")
        }
        #expect(page.duplicates.isEmpty)
        let asked = try await redis.calls().merging(before) { $0 - $1 }.filter { $0.value > 0 && before[$0.key] != nil }
        #expect(
            asked.filter { $0.key != "set" } == [
                // One of the two is redis-cli's, which counts the calls.
                "info": 2, "config|get": 1, "latency|latest": 1, "latency|histogram": 1, "slowlog|len": 1,
                "slowlog|get": 1,
            ])
        await redis.stop()
    }

    /// Only histograms that changed are asked for, so every one must still be the server's own, whoever calls what when.
    @Test func histogramsAreNeverOlderThanTheStatistics() async throws {
        let redis = try await LocalRedis.start()
        let target = try RedisTarget(redis)
        func count(_ page: ExporterPage, _ command: String) -> String? {
            page["redis_commands_latencies_usec_count{cmd=\"\(command)\"}"]
        }
        try await redis.command("SET", "a", "1")
        #expect(count(await target.page(), "set") == "1")
        #expect(count(await target.page(), "set") == "1")
        #expect(count(await target.page(), "set") == "1")
        try await redis.command("SET", "a", "1")
        try await redis.command("GET", "a")
        let page = await target.page()
        #expect(count(page, "set") == "2")
        #expect(count(page, "get") == "1")
        try await redis.command("CONFIG", "RESETSTAT")
        try await redis.command("GET", "a")
        let reset = await target.page()
        #expect(count(reset, "set") == nil)
        #expect(count(reset, "get") == "1")
        try await redis.command("CONFIG", "SET", "latency-tracking", "no")
        try await redis.command("INCR", "b")
        #expect(count(await target.page(), "incr") == nil)
        await redis.stop()
    }

    @Test func theLatencyHistogramIsCumulativeAndHasTheSumOfTheStatistics() async throws {
        let redis = try await LocalRedis.start()
        for _ in 1...5 { try await redis.command("SET", "a", "1") }
        let page = try await RedisTarget(redis).page()

        #expect(page.types["redis_commands_latencies_usec"] == "histogram")
        #expect(page["redis_commands_latencies_usec_count{cmd=\"set\"}"] == "5")
        #expect(page["redis_commands_latencies_usec_bucket{cmd=\"set\",le=\"+Inf\"}"] == "5")
        let seconds = try #require(page.number("redis_commands_duration_seconds_total{cmd=\"set\"}"))
        #expect(page.number("redis_commands_latencies_usec_sum{cmd=\"set\"}") == (seconds * 1e6).rounded())
        let largest = page.values.filter { $0.key.hasPrefix("redis_commands_latencies_usec_bucket{cmd=\"set\"") }
            .compactMap { Double($0.value) }.max()
        #expect(largest == 5)

        var options = RedisOptions()
        options.excludeLatencyHistogramMetrics = true
        #expect(try await RedisTarget(redis, options).page().types["redis_commands_latencies_usec"] == nil)
        await redis.stop()
    }

    @Test func severalServersAreToldApartByName() async throws {
        let redis = try await LocalRedis.start()
        let page = try await RedisTarget(redis, name: "main").page()

        #expect(page["redis_up{target=\"main\"}"] == "1")
        for series in page.values.keys { #expect(series.contains("target=\"main\""), "\(series)") }
        await redis.stop()
    }

    @Test func theRoleCanBeALabelOfEverything() async throws {
        let redis = try await LocalRedis.start()
        var options = RedisOptions()
        options.appendInstanceRoleLabel = true
        let target = try RedisTarget(redis, options)
        #expect(await target.page()["redis_connected_clients{instance_role=\"master\"}"] == "1")

        try await redis.command("REPLICAOF", "127.0.0.1", "1")
        let page = await target.page()
        #expect(page["redis_connected_clients{instance_role=\"slave\"}"] == "1")
        #expect(page["redis_connected_clients{instance_role=\"master\"}"] == nil)
        await redis.stop()
    }

    @Test func keysOfEveryTypeAreTold() async throws {
        let redis = try await LocalRedis.start()
        try await redis.seed()
        var options = RedisOptions()
        options.checkSingleKeys = try DatabaseKey.list(
            "text,number,list,set,zset,hash,visitors,events,absent,db3=elsewhere")
        options.checkKeys = try DatabaseKey.list("session:*,nu?ber")
        let target = try RedisTarget(redis, options)
        _ = await target.page()

        let page = await target.page()

        let sizes = [
            "text": "14", "number": "4", "list": "3", "set": "2", "zset": "1", "hash": "2", "visitors": "3",
            "events": "2", "absent": "0", "session:1": "1",
        ]
        for (key, size) in sizes { #expect(page["redis_key_size{db=\"db0\",key=\"\(key)\"}"] == size, "\(key)") }
        #expect(page["redis_key_size{db=\"db3\",key=\"elsewhere\"}"] == "1")
        #expect(page["redis_key_value{db=\"db0\",key=\"number\"}"] == "42.5")
        #expect(page["redis_key_value{db=\"db3\",key=\"elsewhere\"}"] == "7")
        #expect(page["redis_key_value_as_string{db=\"db0\",key=\"text\",val=\"hello, \\\"world\\\"\"}"] == "1")
        #expect(page["redis_key_value_as_string{db=\"db0\",key=\"visitors\"}"] == nil)
        #expect(try #require(page.number("redis_key_memory_usage_bytes{db=\"db0\",key=\"hash\"}")) > 20)
        #expect(page["redis_key_memory_usage_bytes{db=\"db0\",key=\"absent\"}"] == nil)
        #expect(page.duplicates.isEmpty)
        #expect(page["outrigger_collector_success{collector=\"redis_keys\"}"] == "1")
        // Looking at a string must not leave errors behind in the server's statistics.
        let before = page["redis_total_error_replies"]
        #expect(await target.page()["redis_total_error_replies"] == before)
        await redis.stop()
    }

    @Test func valuesStayOutWhenTheyAreNotWantedOrTooLong() async throws {
        let redis = try await LocalRedis.start()
        try await redis.command("SET", "long", String(repeating: "x", count: 1025))
        try await redis.command("SET", "short", "secret")
        var options = RedisOptions()
        options.checkSingleKeys = try DatabaseKey.list("long,short")
        let told = try await RedisTarget(redis, options).page()
        #expect(told["redis_key_size{db=\"db0\",key=\"long\"}"] == "1025")
        #expect(told.values.keys.filter { $0.hasPrefix("redis_key_value") }.count == 1)

        options.disableExportingKeyValues = true
        let untold = try await RedisTarget(redis, options).page()
        #expect(!untold.values.keys.contains { $0.contains("secret") })
        await redis.stop()
    }

    @Test func aMasterIsSparedWhenAsked() async throws {
        let redis = try await LocalRedis.start()
        var options = RedisOptions()
        options.checkSingleKeys = try DatabaseKey.list("a")
        options.skipCheckKeysForRoleMaster = true
        #expect(try await RedisTarget(redis, options).page().types["redis_key_size"] == nil)
        try await redis.command("REPLICAOF", "127.0.0.1", "1")
        #expect(try await RedisTarget(redis, options).page()["redis_key_size{db=\"db0\",key=\"a\"}"] == "0")
        await redis.stop()
    }

    @Test func aWalkThroughManyKeysGoesOnInTheNextScrape() async throws {
        let redis = try await LocalRedis.start()
        try await redis.command("EVAL", "for i = 1, 3000 do redis.call('SET', 'k:' .. i, i) end", "0")
        var options = RedisOptions()
        options.countKeys = try DatabaseKey.list("k:*")
        options.checkKeyGroups = ["^(k):"]
        options.checkKeys = try DatabaseKey.list("k:1*")
        options.checkKeysBatchSize = 100
        options.scanKeysLimit = 1000
        let target = try RedisTarget(redis, options)
        let count = "redis_keys_count{db=\"db0\",key=\"k:*\"}"
        let group = "redis_key_group_count{db=\"db0\",key_group=\"k\"}"
        let unfinished = "outrigger_redis_scans_unfinished{collector=\"redis_key_count\"}"

        let first = await target.page()
        #expect(first[count] == nil)
        #expect(first[group] == nil)
        #expect(first[unfinished] == "1")
        let found = first.values.keys.count { $0.hasPrefix("redis_key_size{") }
        #expect(found > 0 && found < 1111)

        var scrapes = 1
        var page = first
        while page[count] == nil || page[group] == nil, scrapes < 10 {
            page = await target.page()
            scrapes += 1
        }
        #expect((3...6).contains(scrapes))
        #expect(page[count] == "3000")
        #expect(page[group] == "3000")
        // The complete result stays while the next walk is under way.
        #expect(await target.page()[count] == "3000")
        #expect(page.values.keys.count { $0.hasPrefix("redis_key_size{") } == 1111)
        await redis.stop()
    }

    @Test func theTimeOfAScrapeBoundsItsWalks() async throws {
        let redis = try await LocalRedis.start()
        try await redis.command("EVAL", "for i = 1, 20000 do redis.call('SET', 'k:' .. i, i) end", "0")
        var options = RedisOptions()
        options.checkKeys = try DatabaseKey.list("*")
        options.checkKeysBatchSize = 10
        options.scanTime = .milliseconds(5)
        let target = try RedisTarget(redis, options)

        let page = await target.page()

        #expect(page["redis_up"] == "1")
        #expect(page["outrigger_collector_success{collector=\"redis_keys\"}"] == "1")
        #expect(page["outrigger_redis_scans_unfinished{collector=\"redis_keys\"}"] == "1")
        await redis.stop()
    }

    @Test func groupsAreWhatTheirPatternCaptures() async throws {
        let redis = try await LocalRedis.start()
        for key in ["user:1", "user:2", "order:1", "x"] { try await redis.command("SET", key, "1") }
        try await redis.command("-n", "2", "SET", "user:9", "1")
        var options = RedisOptions()
        options.checkKeyGroups = ["^([^:]+):", "("]
        options.maxDistinctKeyGroups = 1
        let page = try await RedisTarget(redis, options).page()

        #expect(page["redis_key_group_count{db=\"db0\",key_group=\"user\"}"] == "2")
        #expect(page["redis_key_group_count{db=\"db0\",key_group=\"overflow\"}"] == "2")
        #expect(page["redis_number_of_distinct_key_groups{db=\"db0\"}"] == "3")
        #expect(page["redis_key_group_count{db=\"db2\",key_group=\"user\"}"] == "1")
        #expect(page["redis_number_of_distinct_key_groups{db=\"db7\"}"] == "0")
        #expect(try #require(page.number("redis_key_group_memory_usage_bytes{db=\"db0\",key_group=\"user\"}")) > 50)
        await redis.stop()
    }

    @Test func streamsGroupsAndConsumersAreTold() async throws {
        let redis = try await LocalRedis.start()
        try await redis.seed()
        var options = RedisOptions()
        options.checkStreams = try DatabaseKey.list("e*")
        options.checkSingleStreams = try DatabaseKey.list("text,absent")
        let target = try RedisTarget(redis, options)

        let page = await target.page()

        let stream = "db=\"db0\",stream=\"events\""
        let group = "db=\"db0\",group=\"workers\",stream=\"events\""
        let expected = [
            "redis_stream_length{\(stream)}": "2", "redis_stream_groups{\(stream)}": "1",
            "redis_stream_entries_added_total{\(stream)}": "2", "redis_stream_first_entry_id{\(stream)}": "1.7e+12",
            "redis_stream_last_entry_id{\(stream)}": "1.700000000001e+12",
            "redis_stream_last_generated_id{\(stream)}": "1.700000000001e+12",
            "redis_stream_max_deleted_entry_id{\(stream)}": "0", "redis_stream_group_consumers{\(group)}": "1",
            "redis_stream_group_messages_pending{\(group)}": "1", "redis_stream_group_entries_read{\(group)}": "1",
            "redis_stream_group_lag{\(group)}": "1", "redis_stream_group_last_delivered_id{\(group)}": "1.7e+12",
            "redis_stream_group_consumer_messages_pending{consumer=\"w1\",\(group)}": "1",
        ]
        for (series, value) in expected { #expect(page[series] == value, "\(series)") }
        #expect(page.types["redis_stream_entries_added_total"] == "counter")
        // A name that is no stream fails the collector, and nothing else.
        #expect(page["outrigger_collector_success{collector=\"redis_streams\"}"] == "0")
        #expect(page["outrigger_collector_success{collector=\"redis\"}"] == "1")

        options.streamsExcludeConsumerMetrics = true
        let without = try await RedisTarget(redis, options).page()
        #expect(without.types["redis_stream_group_consumer_messages_pending"] == nil)
        await redis.stop()
    }

    @Test func clientsAreToldWithoutTheirPortsUnlessWanted() async throws {
        let redis = try await LocalRedis.start()
        var options = RedisOptions()
        options.exportClientList = true
        let page = try await RedisTarget(redis, options).page()
        let info = try #require(page.values.keys.first { $0.hasPrefix("redis_connected_client_info{") })
        #expect(
            info.contains("host=\"127.0.0.1\"") && info.contains("name=\"redis_exporter\"") && !info.contains("port="))
        #expect(info.contains("user=\"default\"") && info.contains("resp=\"2\""))
        for metric in ClientListReader.metrics where !metric.name.hasSuffix("watched_keys") {
            #expect(page.types[metric.name] == "gauge", "\(metric.name)")
        }
        #expect(page.types["redis_connected_clients_details"] == nil)
        let created = try #require(
            page.values.first { $0.key.hasPrefix("redis_connected_client_created_at_timestamp{") }.flatMap {
                Double($0.value)
            })
        #expect(abs(created - Date().timeIntervalSince1970) < 60)

        options.exportClientPort = true
        #expect(try await RedisTarget(redis, options).page().values.keys.contains { $0.contains("port=\"") })
        await redis.stop()
    }

    @Test func settingsAreToldWithoutSecrets() async throws {
        let redis = try await LocalRedis.start(["--masterauth", "hunter2", "--maxmemory", "64mb"])
        var options = RedisOptions()
        options.includeConfigMetrics = true
        options.includeRDBFileSizeMetric = true
        let page = try await RedisTarget(redis, options).page()

        #expect(page["redis_config_key_value{key=\"maxmemory-policy\",value=\"noeviction\"}"] == "1")
        #expect(page["redis_config_value{key=\"maxmemory\"}"] == "6.7108864e+07")
        #expect(page["redis_config_maxmemory"] == "6.7108864e+07")
        #expect(
            page["redis_config_client_output_buffer_limit_bytes{class=\"pubsub\",limit=\"hard\"}"] == "3.3554432e+07")
        #expect(
            page["redis_config_client_output_buffer_limit_overcome_seconds{class=\"pubsub\",limit=\"soft\"}"] == "60")
        #expect(page["redis_rdb_current_size_bytes"] == "0")
        #expect(!page.values.keys.contains { $0.contains("hunter2") })

        try await redis.command("SAVE")
        options.redactConfigMetrics = false
        let open = try await RedisTarget(redis, options).page()
        #expect(open["redis_config_key_value{key=\"masterauth\",value=\"hunter2\"}"] == "1")
        #expect(try #require(open.number("redis_rdb_current_size_bytes")) > 50)
        await redis.stop()
    }

    @Test func aSlowCommandAndALatencySpikeAreTold() async throws {
        let redis = try await LocalRedis.start()
        try await redis.seed()
        let page = try await RedisTarget(redis).page()
        #expect(try #require(page.number("redis_slowlog_length")) >= 1)
        #expect(try #require(page.number("redis_last_slow_execution_duration_seconds")) > 0.001)
        #expect(try #require(page.number("redis_latency_spike_duration_seconds{event_name=\"command\"}")) > 0)
        let last = try #require(page.number("redis_latency_spike_last{event_name=\"command\"}"))
        #expect(abs(last - Date().timeIntervalSince1970) < 300)
        await redis.stop()
    }

    @Test func scriptsTellTheirNumbers() async throws {
        let redis = try await LocalRedis.start()
        var options = RedisOptions()
        options.scripts = [
            RedisScript(name: "good.lua", body: Array("return {'a', '1', 'b', '2.5'}".utf8)),
            RedisScript(name: "empty.lua", body: Array("return {}".utf8)),
            RedisScript(name: "text.lua", body: Array("return {'a', 'many'}".utf8)),
            RedisScript(name: "broken.lua", body: Array("no lua".utf8)),
        ]
        let page = try await RedisTarget(redis, options).page()
        #expect(page["redis_script_values{filename=\"good.lua\",key=\"b\"}"] == "2.5")
        #expect(page["redis_script_result{filename=\"good.lua\"}"] == "1")
        #expect(page["redis_script_result{filename=\"empty.lua\"}"] == "2")
        #expect(page["redis_script_result{filename=\"text.lua\"}"] == "0")
        #expect(page["redis_script_result{filename=\"broken.lua\"}"] == "0")
        #expect(page["redis_up"] == "1")

        options.luaScriptReadOnly = true
        options.scripts = [
            RedisScript(name: "writes.lua", body: Array("return {redis.call('SET', 'a', '1').ok, '1'}".utf8))
        ]
        #expect(try await RedisTarget(redis, options).page()["redis_script_result{filename=\"writes.lua\"}"] == "0")
        await redis.stop()
    }

    @Test func onlyWhatIsAskedForIsToldAndAsked() async throws {
        let redis = try await LocalRedis.start()
        let target = try RedisTarget(redis)
        _ = await target.page()
        try await redis.command("CONFIG", "RESETSTAT")

        let page = await target.page(CollectorSelection(collect: ["redis_slowlog"], exclude: []))

        #expect(page["redis_up"] == "1")
        #expect(page["redis_slowlog_length"] == "0")
        #expect(page.types["redis_memory_used_bytes"] == nil)
        let calls = try await redis.calls()
        #expect(calls["latency|latest"] == nil && calls["config|get"] == nil)
        await redis.stop()
    }
}
