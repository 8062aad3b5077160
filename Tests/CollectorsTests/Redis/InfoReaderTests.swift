import Metrics
import Testing

@testable import Collectors

@Suite struct InfoReaderTests {
    private static func page(_ info: String, _ options: RedisOptions = RedisOptions(), databases: Int = 0)
        -> ExporterPage
    {
        var reader = InfoReader(base: .none, options: options)
        let reading = reader.read(Array(info.utf8)[...], databases: databases, now: 1_000_000.75)
        return ExporterPage([Collected("redis", reading.families)])
    }

    @Test func plainFieldsBecomeTheirMetric() {
        let page = Self.page(
            """
            # Server\r
            uptime_in_seconds:100\r
            # Memory\r
            used_memory:1048576\r
            mem_fragmentation_ratio:1.25\r
            maxmemory_human:0B\r
            # Persistence\r
            rdb_last_bgsave_status:ok\r
            aof_last_write_status:err\r
            # Stats\r
            latest_fork_usec:300\r
            expired_time_cap_reached_count:3\r
            # CPU\r
            used_cpu_sys:1.403594\r
            # Cluster\r
            cluster_enabled:0\r
            """)

        #expect(page["redis_uptime_in_seconds"] == "100")
        #expect(page["redis_start_time_seconds"] == "999900")
        #expect(page["redis_memory_used_bytes"] == "1.048576e+06")
        #expect(page["redis_mem_fragmentation_ratio"] == "1.25")
        #expect(page["redis_rdb_last_bgsave_status"] == "1")
        #expect(page["redis_aof_last_write_status"] == "0")
        #expect(page["redis_latest_fork_seconds"] == "0.0003")
        #expect(page["redis_cpu_sys_seconds_total"] == "1.403594")
        #expect(page.types["redis_cpu_sys_seconds_total"] == "counter")
        #expect(page["redis_cluster_enabled"] == "0")
        #expect(page.types["redis_expired_time_cap_reached_total"] == "counter")
        #expect(page["redis_memory_fragmentation_ratio"] == nil)
    }

    @Test func aliasesBringTheNamesAndTypesOfOldBack() {
        var options = RedisOptions()
        options.aliases = true
        let page = Self.page(
            "mem_fragmentation_ratio:1.25\nexpired_time_cap_reached_count:3\nmaster_replid:ab\n", options)

        #expect(page["redis_memory_fragmentation_ratio"] == "1.25")
        #expect(page.types["redis_expired_time_cap_reached_total"] == "gauge")
        #expect(page["redis_instance_info"] == "1")
    }

    @Test func commandsAreToldWithAndWithoutTheNumbersOfRedis6() {
        let page = Self.page(
            """
            # Commandstats
            cmdstat_get:calls=21,usec=175,usec_per_call=8.33,rejected_calls=2,failed_calls=1
            cmdstat_config|get:calls=2,usec=50,usec_per_call=25.00
            cmdstat_broken:calls=x,usec=1
            nonsense:calls=1,usec=1,usec_per_call=1
            # Errorstats
            errorstat_WRONGTYPE:count=3
            errorstat_odd:number=3
            # Latencystats
            latency_percentiles_usec_config|get:p50=0.001,p99.9=3.007
            latency_percentiles_usec_unknown:p50=1
            """)

        #expect(page["redis_commands_total{cmd=\"get\"}"] == "21")
        #expect(page["redis_commands_duration_seconds_total{cmd=\"get\"}"] == "0.000175")
        #expect(page["redis_commands_rejected_calls_total{cmd=\"get\"}"] == "2")
        #expect(page["redis_commands_failed_calls_total{cmd=\"get\"}"] == "1")
        #expect(page["redis_commands_total{cmd=\"config|get\"}"] == "2")
        #expect(page["redis_commands_failed_calls_total{cmd=\"config|get\"}"] == nil)
        #expect(page["redis_errors_total{err=\"WRONGTYPE\"}"] == "3")
        #expect(page["redis_latency_percentiles_usec{cmd=\"config|get\",quantile=\"99.9\"}"] == "3.007")
        #expect(page["redis_latency_percentiles_usec_count{cmd=\"config|get\"}"] == "2")
        #expect(page["redis_latency_percentiles_usec_sum{cmd=\"config|get\"}"] == "50")
        #expect(!page.values.keys.contains { $0.contains("broken") || $0.contains("unknown") || $0.contains("odd") })
    }

    @Test func databasesWithoutKeysAreToldUnlessNotWanted() {
        let info = "# Keyspace\ndb1:keys=5,expires=2,avg_ttl=1500\ndbx:keys=1\n"
        let page = Self.page(info, databases: 3)
        #expect(page["redis_db_keys{db=\"db0\"}"] == "0")
        #expect(page["redis_db_keys{db=\"db1\"}"] == "5")
        #expect(page["redis_db_keys_expiring{db=\"db2\"}"] == "0")
        #expect(page["redis_db_avg_ttl_seconds{db=\"db1\"}"] == "1.5")
        #expect(page["redis_db_avg_ttl_seconds{db=\"db0\"}"] == nil)

        var options = RedisOptions()
        options.includeMetricsForEmptyDatabases = false
        #expect(Self.page(info, options, databases: 3)["redis_db_keys{db=\"db0\"}"] == nil)
    }

    @Test func replicasAreToldOnTheMaster() {
        let page = Self.page(
            """
            # Replication
            role:master
            connected_slaves:2
            slave0:ip=10.0.0.2,port=6379,state=online,offset=77,lag=0
            slave1:ip=::1,port=6380,state=wait_bgsave,offset=0,lag=-1
            slave2:ip=broken
            """)

        #expect(
            page["redis_connected_slave_offset_bytes{slave_ip=\"10.0.0.2\",slave_port=\"6379\",slave_state=\"online\"}"]
                == "77")
        #expect(
            page["redis_connected_slave_lag_seconds{slave_ip=\"10.0.0.2\",slave_port=\"6379\",slave_state=\"online\"}"]
                == "0")
        #expect(
            page["redis_connected_slave_offset_bytes{slave_ip=\"::1\",slave_port=\"6380\",slave_state=\"wait_bgsave\"}"]
                == "0")
        #expect(!page.values.keys.contains { $0.hasPrefix("redis_connected_slave_lag_seconds{slave_ip=\"::1\"") })
        #expect(page["redis_connected_slaves"] == "2")
        #expect(page["redis_slave_info"] == nil)
    }

    /// KeyDB's active replicas have several masters, numbered from the second on.
    @Test func everyMasterOfAReplicaIsTold() {
        let page = Self.page(
            """
            # Replication
            role:slave
            master_host:kdb0.local
            master_port:6377
            master_link_status:up
            master_last_io_seconds_ago:3
            master_1_host:kdb1.local
            master_1_port:6378
            master_1_link_status:down
            master_1_sync_in_progress:1
            slave_repl_offset:88
            slave_read_only:1
            """)

        #expect(page["redis_master_link_up{master_host=\"kdb0.local\",master_port=\"6377\"}"] == "1")
        #expect(page["redis_master_last_io_seconds_ago{master_host=\"kdb0.local\",master_port=\"6377\"}"] == "3")
        #expect(page["redis_master_link_up{master_host=\"kdb1.local\",master_port=\"6378\"}"] == "0")
        #expect(page["redis_master_sync_in_progress{master_host=\"kdb1.local\",master_port=\"6378\"}"] == "1")
        #expect(page["redis_slave_repl_offset{master_host=\"kdb1.local\",master_port=\"6378\"}"] == "88")
        #expect(
            page["redis_slave_info{master_host=\"kdb0.local\",master_port=\"6377\",read_only=\"1\"}"] == "1")
    }

    @Test func whatOnlyValkeyTellsIsTold() {
        let page = Self.page(
            """
            # Server
            redis_version:7.2.4
            valkey_version:8.1.0
            server_mode:standalone
            # CPU
            used_active_time_main_thread:1.5
            used_active_time_io_thread_1:0.5
            # Cluster Info
            cluster_state:ok
            """)

        #expect(page["redis_active_time_main_thread_seconds_total"] == "1.5")
        #expect(page["redis_active_time_io_thread_seconds_total{thread=\"1\"}"] == "0.5")
        #expect(
            page["redis_instance_info{redis_mode=\"standalone\",redis_version=\"7.2.4\",valkey_version=\"8.1.0\"}"]
                == "1")
        #expect(page["redis_cluster_state"] == nil)
    }

    @Test func labelsAreRenderedOnceForAllReadings() {
        var reader = InfoReader(base: .none, options: RedisOptions())
        let info = Array("# Commandstats\ncmdstat_get:calls=1,usec=1\ncmdstat_set:calls=2,usec=1\n".utf8)
        func labels() -> [Labels] {
            reader.read(info[...], databases: 0, now: 0).families.first { $0.metric.name == "redis_commands_total" }!
                .samples.map(\.labels)
        }
        let first = labels()
        let second = labels()
        #expect(first == second)
        for (left, right) in zip(first, second) {
            #expect(
                left.rendered.withUnsafeBufferPointer(\.baseAddress)
                    == right.rendered.withUnsafeBufferPointer(\.baseAddress))
        }
    }

    @Test func noTextCrashesTheReader() {
        let words = [
            "# Commandstats", "# Latencystats", "# Keyspace", "# Replication", "# Sentinel", "# Server", "# Errorstats",
            "#",
            "\n", "\r\n", ":", "=", ",", "cmdstat_", "db", "slave", "master_", "master_1_", "host", "port", "-", "p50",
            "latency_percentiles_usec_", "errorstat_", "calls=", "usec=", "9", "99999999999999999999", "1.5", "e9",
            "nan",
            "\u{FFFD}", "uptime_in_seconds:", "cluster_", "used_memory:", "keys=", "expires=", "offset=", "slaves=",
            "sentinels=", "name=", "role:slave", "used_active_time_io_thread_",
        ]
        var random = SystemRandomNumberGenerator()
        var reader = InfoReader(base: .none, options: RedisOptions())
        for _ in 0..<3000 {
            var bytes = (0..<30).flatMap { _ in Array(words.randomElement(using: &random)!.utf8) }
            for _ in 0..<3 {
                bytes[bytes.indices.randomElement(using: &random)!] = UInt8.random(in: 0...255, using: &random)
            }
            let reading = reader.read(bytes[...], databases: 2, now: 1)
            // Whatever was understood can be served.
            _ = Exposition.encode(Snapshot(families: reading.families), as: .openMetrics)
        }
    }
}

@Suite struct MemoTests {
    private func ask(_ memo: inout Memo<String>, _ words: [String], made: inout Int) -> [String] {
        memo.begin()
        defer { memo.end() }
        return words.map { word in
            let bytes = Array(word.utf8)
            return memo.value(bytes.span, 0..<bytes.count) { text in
                made += 1
                return String(decoding: text, as: UTF8.self)
            }
        }
    }

    @Test func whatComesAgainIsNotMadeAgain() {
        var memo = Memo<String>()
        var made = 0
        #expect(ask(&memo, ["a", "b", "c"], made: &made) == ["a", "b", "c"])
        #expect(made == 3)
        #expect(ask(&memo, ["a", "b", "c"], made: &made) == ["a", "b", "c"])
        #expect(ask(&memo, ["c", "a", "b"], made: &made) == ["c", "a", "b"])
        #expect(made == 3)
    }

    @Test func whatDoesNotComeAgainIsForgotten() {
        var memo = Memo<String>()
        var made = 0
        _ = ask(&memo, ["a", "b", "c"], made: &made)
        #expect(ask(&memo, ["b", "d"], made: &made) == ["b", "d"])
        #expect(made == 4)
        #expect(memo.count == 2)
        _ = ask(&memo, ["a"], made: &made)
        #expect(made == 5)
    }
}

@Suite struct InfoTextTests {
    @Test(arguments: [
        ("0", 0.0), ("-1", -1), ("42", 42), ("1.03", 1.03), ("0.001", 0.001), ("123456789012345", 123_456_789_012_345),
        ("18446744073709551615", 18_446_744_073_709_551_616), ("1.7976931348623157e308", 1.7976931348623157e308),
        (".5", 0.5),
        ("7.", 7), ("1403.594", 1403.594),
    ])
    func numbersAreReadExactly(text: String, value: Double) {
        let bytes = Array(text.utf8)
        let read = bytes.span.number(0..<bytes.count)
        #expect(read == value)
    }

    @Test(arguments: ["", "-", ".", "1.2.3", "1M", "abc", "1 2", "--1"])
    func whatIsNoNumberIsNone(text: String) {
        let bytes = Array(text.utf8)
        let read = bytes.span.number(0..<bytes.count)
        #expect(read == nil)
    }
}

@Suite struct DatabaseKeyTests {
    @Test func aListNamesDatabasesAndKeys() throws {
        #expect(
            try DatabaseKey.list("a, db3=b:*,4=c%2Cd+e,,db5=")
                == [
                    DatabaseKey(database: 0, "a"), DatabaseKey(database: 3, "b:*"), DatabaseKey(database: 4, "c,d e"),
                ])
        #expect(throws: DatabaseKey.Malformed.tooManyEquals("a=b=c")) { try DatabaseKey.list("a=b=c") }
        #expect(throws: DatabaseKey.Malformed.badDatabase("dbx=c")) { try DatabaseKey.list("dbx=c") }
    }
}
