import Glibc
import LocalServers
import Runtime

/// A server where something happens in every view that is collected: a replica, slots, archived segments, tables with
/// indexes, statements, sessions in several states and locks.
final class BusyPostgres: Sendable {
    let primary: LocalPostgres
    let replica: LocalPostgres
    private let sessions: [ChildProcess]

    static func start(programs: String? = nil, extensions: Bool = true) async throws -> BusyPostgres {
        var settings = [
            "wal_level = logical", "archive_mode = on", "archive_command = 'true'", "track_io_timing = on",
            "max_slot_wal_keep_size = 1GB",
        ]
        if extensions { settings.append("shared_preload_libraries = 'pg_stat_statements'") }
        let primary = try await LocalPostgres.start(settings: settings, programs: programs)
        try await primary.sql("CREATE DATABASE app")
        if extensions {
            try await primary.sql("CREATE EXTENSION pg_stat_statements; CREATE EXTENSION pg_buffercache")
        }
        try await primary.sql(
            """
            CREATE TABLE item (id int PRIMARY KEY, note text);
            INSERT INTO item SELECT n, repeat('x', 50) FROM generate_series(1, 1000) AS n;
            UPDATE item SET note = 'y' WHERE id < 100;
            DELETE FROM item WHERE id > 900;
            SELECT count(*) FROM item WHERE id = 5;
            CREATE TABLE wide (id int PRIMARY KEY, blob text);
            INSERT INTO wide SELECT 1, string_agg(md5(n::text), '') FROM generate_series(1, 5000) AS n;
            SELECT length(blob) FROM wide;
            CREATE TABLE event (at date) PARTITION BY RANGE (at);
            CREATE TABLE event_2026 PARTITION OF event FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
            """, database: "app")
        try await primary.sql("VACUUM ANALYZE item", database: "app")
        try await primary.sql("CREATE TABLE here (id int PRIMARY KEY); INSERT INTO here SELECT generate_series(1, 100)")
        try await primary.sql("SELECT pg_create_physical_replication_slot('idle_slot', true)")
        try await primary.sql("SELECT pg_switch_wal()")
        try await primary.sql("CHECKPOINT")
        let replica = try await primary.replica(slot: "replica_slot")
        // Until it ends, each is there for whoever looks.
        let nobodyWrites = primary.server.folder.path + "/nobody-writes"
        guard mkfifo(nobodyWrites, 0o600) == 0 else { throw Unmet(condition: "a pipe is made") }
        let sessions = try [
            ["-c", "BEGIN; LOCK TABLE item IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(600)"],
            ["-c", "BEGIN; SELECT 1; SELECT pg_sleep(600)"],
            ["-c", "BEGIN", "-f", nobodyWrites],
        ].map {
            try ChildProcess(primary.programs + "/psql", ["-X", "-q", "-d", primary.url(database: "app")] + $0)
        }
        let busy = BusyPostgres(primary: primary, replica: replica, sessions: sessions)
        try await busy.wait("count(*) = 2 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)' AND state = 'active'")
        try await busy.wait("count(*) = 1 FROM pg_stat_activity WHERE state = 'idle in transaction'")
        try await busy.wait("count(*) = 1 FROM pg_stat_replication WHERE state = 'streaming'")
        try await busy.wait("archived_count > 0 FROM pg_stat_archiver")
        return busy
    }

    private init(primary: LocalPostgres, replica: LocalPostgres, sessions: [ChildProcess]) {
        self.primary = primary
        self.replica = replica
        self.sessions = sessions
    }

    /// Waits until `SELECT condition` is true on the primary.
    func wait(_ condition: String, for patience: Duration = .seconds(120)) async throws {
        let deadline = Deadline.after(patience)
        while !deadline.hasPassed {
            if try await primary.sql("SELECT \(condition)") == "t\n" { return }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw Unmet(condition: condition)
    }

    struct Unmet: Error { let condition: String }

    func stop() async {
        for session in sessions { await session.stop() }
        await replica.stop()
        await primary.stop()
    }
}
