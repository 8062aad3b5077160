import Databases
import Foundation
import LocalServers
import Metrics
import Runtime
import Testing

@testable import Collectors

/// Debian's redis_exporter 1.45 and ours look at the same server: whatever it serves, we serve.
@Suite struct RedisDropInTests {
    private static let exporter = "/usr/bin/prometheus-redis-exporter"

    /// Series of its own that we leave out, with the reason.
    private static let leftOut: [(prefix: String, reason: String)] = [
        ("go_", "tells about the Go runtime"),
        ("process_", "tells about its own process; ours are the process collector's"),
        ("redis_exporter_build_info", "tells its own version; ours is outrigger_build_info"),
    ]

    /// Names whose values differ between two scrapes of a server that does nothing else, with the reason.
    private static let moving: [String: String] = {
        var names: [String: String] = [:]
        for name in [
            "redis_commands_total", "redis_commands_duration_seconds_total", "redis_commands_processed_total",
            "redis_commands_failed_calls_total", "redis_commands_rejected_calls_total",
            "redis_latency_percentiles_usec",
            "redis_connections_received_total", "redis_net_input_bytes_total", "redis_net_output_bytes_total",
            "redis_total_reads_processed", "redis_total_writes_processed", "redis_keyspace_hits_total",
            "redis_total_error_replies", "redis_errors_total", "redis_unexpected_error_replies",
            "redis_keyspace_misses_total",
        ] { names[name] = "counts the scrapes themselves" }
        for name in [
            "redis_cpu_sys_seconds_total", "redis_cpu_user_seconds_total", "redis_cpu_sys_main_thread_seconds_total",
            "redis_cpu_user_main_thread_seconds_total", "redis_uptime_in_seconds", "redis_start_time_seconds",
            "redis_db_avg_ttl_seconds", "redis_stream_group_consumer_idle_seconds", "redis_master_last_io_seconds_ago",
            "redis_connected_slave_lag_seconds", "redis_connected_slave_offset_bytes", "redis_master_repl_offset",
            "redis_slave_repl_offset", "redis_repl_backlog_history_bytes", "redis_repl_backlog_first_byte_offset",
            "redis_expired_stale_percentage", "redis_rdb_changes_since_last_save",
        ] { names[name] = "grows with time" }
        for name in [
            "redis_connected_clients", "redis_mem_clients_normal", "redis_client_recent_max_input_buffer_bytes",
            "redis_client_recent_max_output_buffer_bytes", "redis_mem_clients_slaves",
        ] { names[name] = "counts the connections of the scrapers" }
        for name in [
            "redis_exporter_last_scrape_connect_time_seconds", "redis_exporter_last_scrape_duration_seconds",
            "redis_exporter_scrape_duration_seconds", "redis_exporter_scrapes_total",
            "redis_exporter_last_scrape_ping_time_seconds", "redis_last_key_groups_scrape_duration_milliseconds",
        ] { names[name] = "tells about the scrape itself" }
        return names
    }()

    private static func moves(_ name: String) -> Bool {
        // Memory moves with every buffer of a connection.
        moving[name] != nil || name.hasPrefix("redis_memory_") || name.hasPrefix("redis_allocator_")
            || name.hasPrefix("redis_mem_") || name == "redis_memory_fragmentation_ratio"
    }

    private static func compare(
        _ redis: LocalRedis, exporterOptions: [String], options: RedisOptions
    ) async throws {
        guard Files.exists(exporter) else {
            print("skipped: \(exporter) is not installed: apt-get install prometheus-redis-exporter")
            return
        }
        let port = FreePort.next()
        let server = try await LocalServer.start(
            exporter,
            ["-redis.addr", redis.url, "-web.listen-address", "127.0.0.1:\(port)"] + exporterOptions,
            folder: try TemporaryFolder("outrigger-exporter"), port: port
        ) { FreePort.isOpen(port) }
        var options = options
        options.aliases = true
        let target = RedisTarget(address: try RedisAddress(parsing: redis.url), options: options)
        _ = await target.page()
        _ = try await ExporterPage.fetched(from: "http://127.0.0.1:\(port)/metrics")

        let theirs = try await ExporterPage.fetched(from: "http://127.0.0.1:\(port)/metrics")
        let ours = await target.page()

        #expect(theirs["redis_up"] == "1")
        #expect(ours.duplicates.isEmpty)
        var compared = 0
        for (series, value) in theirs.values.sorted(by: { $0.key < $1.key }) {
            let name = theirs.family(of: series)
            guard !leftOut.contains(where: { name.hasPrefix($0.prefix) }) else { continue }
            if name == "redis_connected_clients_details" {
                #expect(detailsMatch(series, ours), "no client like \(series)")
                continue
            }
            guard let our = ours[series] else {
                Issue.record("missing: \(series) \(value)")
                continue
            }
            #expect(ours.types[name] == theirs.types[name], "type of \(name)")
            #expect(ours.helps[name] == theirs.helps[name], "help of \(name)")
            if !moves(name) { #expect(our == value, "\(series)") }
            compared += 1
        }
        #expect(compared > 200)
        await server.process.stop()
    }

    /// Their labels hold moments and sizes of a connection that is gone when we look; the rest of them must be the same.
    private static func detailsMatch(_ series: String, _ ours: ExporterPage) -> Bool {
        func names(_ series: String) -> Set<String> {
            Set(series.split { $0 == "{" || $0 == "," || $0 == "}" }.map { String($0.prefix { $0 != "=" }) })
        }
        return ours.values.keys.contains { names($0).isSuperset(of: names(series).subtracting(["name"])) }
    }

    @Test func everythingThatRedisExporterServesByDefaultIsServed() async throws {
        let redis = try await LocalRedis.start()
        try await redis.seed()
        try await Self.compare(redis, exporterOptions: [], options: RedisOptions())
        await redis.stop()
    }

    @Test func everythingThatItsOptionsBringIsServed() async throws {
        let redis = try await LocalRedis.start()
        try await redis.seed()
        let folder = try TemporaryFolder("outrigger-script")
        let script = "return {'answer', '42', 'half', '0.5'}"
        try Files.write(script, to: folder.path + "/values.lua")
        var options = RedisOptions()
        options.includeConfigMetrics = true
        options.includeSystemMetrics = true
        options.exportClientList = true
        options.exportClientPort = true
        options.pingOnConnect = true
        options.checkKeys = try DatabaseKey.list("db0=s*,db3=else*")
        options.checkSingleKeys = try DatabaseKey.list(
            "text,number,list,zset,hash,visitors,events,absent,db3=elsewhere")
        options.countKeys = try DatabaseKey.list("db0=*,db3=*,db0=session:*")
        options.checkStreams = try DatabaseKey.list("ev*")
        options.checkKeyGroups = ["^(session):", "^(.)", "e"]
        options.scripts = [RedisScript(name: "values.lua", body: Array(script.utf8))]
        try await Self.compare(
            redis,
            exporterOptions: [
                "-include-config-metrics", "-include-system-metrics", "-export-client-list", "-export-client-port",
                "-ping-on-connect", "-check-keys", "db0=s*,db3=else*", "-check-single-keys",
                "text,number,list,zset,hash,visitors,events,absent,db3=elsewhere", "-count-keys",
                "db0=*,db3=*,db0=session:*", "-check-streams", "ev*", "-check-key-groups", "^(session):,^(.),e",
                "-script", folder.path + "/values.lua",
            ], options: options)
        await redis.stop()
    }

    @Test func aReplicaAndItsMasterAreServed() async throws {
        let master = try await LocalRedis.start(["--repl-diskless-sync-delay", "0"])
        try await master.seed()
        let replica = try await LocalRedis.start(["--replicaof", "127.0.0.1 \(master.port)"])
        let deadline = Deadline.after(.seconds(120))
        while try await !replica.command("INFO", "replication").contains("master_link_status:up") {
            try #require(!deadline.hasPassed, "the replica never reached its master")
            try await Task.sleep(for: .milliseconds(50))
        }
        while try await !master.command("INFO", "replication").contains("state=online") {
            try #require(!deadline.hasPassed, "the master never saw its replica online")
            try await Task.sleep(for: .milliseconds(50))
        }
        try await Self.compare(replica, exporterOptions: [], options: RedisOptions())
        try await Self.compare(master, exporterOptions: [], options: RedisOptions())
        await replica.stop()
        await master.stop()
    }
}
