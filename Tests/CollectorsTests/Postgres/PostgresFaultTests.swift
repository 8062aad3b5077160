import Collectors
import Databases
import Foundation
import Glibc
import LocalServers
import Metrics
import Runtime
import Testing

/// Servers that are not as they should be: always an answer in time, and the truth about the server.
@Suite(.serialized) struct PostgresFaultTests {
    private func target(_ address: String, _ change: (inout PostgresTarget.Configuration) -> Void = { _ in }) throws
        -> PostgresTarget
    {
        var configuration = PostgresTarget.Configuration(name: "test", connection: address)
        change(&configuration)
        return try PostgresTarget(configuration)
    }

    private func timedScrape(_ target: PostgresTarget, within patience: Duration) async throws -> (Page, Duration) {
        let started = ContinuousClock.now
        let page = try await scrape(target, within: patience)
        return (page, .now - started)
    }

    private func success(_ collector: String) -> String { "pg_scrape_collector_success{collector=\"\(collector)\"}" }

    /// Scrapes until `condition` holds; a reconnect may rest for 5 s.
    private func patiently(_ target: PostgresTarget, until condition: (Page) -> Bool) async throws -> Page {
        let deadline = Deadline.after(.seconds(120))
        while true {
            let page = try await scrape(target)
            if condition(page) || deadline.hasPassed { return page }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    @Test func aServerThatIsDownIsDownAtOnce() async throws {
        let target = try target("host=127.0.0.1 port=\(FreePort.next()) user=ann password=secret")
        let (page, duration) = try await timedScrape(target, within: .seconds(60))
        #expect(page.value("pg_up") == 0)
        #expect(page.value(success("locks")) == 0)
        #expect(page.value(#"outrigger_collector_last_error{class="connection",collector="locks"}"#) == 1)
        #expect(duration < .seconds(30), "it waits for the deadline")
        #expect(!page.text.contains("secret"))
    }

    @Test func aServerThatRestartsIsAskedAgain() async throws {
        let server = try await LocalPostgres.start()
        let target = try target(server.url())
        #expect(try await scrape(target).value("pg_up") == 1)
        await server.stop()
        #expect(try await scrape(target).value("pg_up") == 0)
        let again = try await server.restarted()
        let page = try await patiently(target) { $0.value("pg_up") == 1 }
        #expect(page.value("pg_up") == 1)
        #expect(page.value(success("locks")) == 1)
        #expect(page.value(#"outrigger_collector_last_error{class="connection",collector="locks"}"#) == 1)
        // A connection that ended unseen does not cost a scrape.
        try await again.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'outrigger'")
        let next = try await scrape(target)
        #expect(next.value("pg_up") == 1)
        #expect(next.value(success("settings")) == 1)
        await again.stop()
    }

    @Test func aStoppedServerCostsNoMoreThanTheDeadline() async throws {
        let server = try await LocalPostgres.start()
        let target = try target(server.url())
        #expect(try await scrape(target).value("pg_up") == 1)
        let backend = try await server.sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'outrigger'")
        let processes = [server.server.process.pid, try #require(pid_t(backend.dropLast()))]
        processes.forEach { kill($0, SIGSTOP) }
        for _ in 0..<2 {
            let page = try await scrape(target, within: .seconds(1))
            #expect(page.value("pg_up") == 0)
            // What the target took; this test itself may have waited for a core.
            #expect(page.value("pg_exporter_last_scrape_duration_seconds") ?? .infinity < 1)
            #expect(page.value(#"outrigger_collector_last_error{class="timeout",collector="locks"}"#) == 1)
        }
        processes.reversed().forEach { kill($0, SIGCONT) }
        let page = try await patiently(target) { $0.value("pg_up") == 1 }
        #expect(page.value(success("stat_database")) == 1)
        await server.stop()
    }

    @Test func refusedLoginsAreDownWithoutThePassword() async throws {
        let server = try await LocalPostgres.start()
        try await server.sql("CREATE ROLE ann LOGIN PASSWORD 'right'")
        let folder = server.server.folder.path
        try Files.write(
            "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n", to: folder + "/hba")
        try await server.sql("ALTER SYSTEM SET hba_file = '\(folder)/hba'")
        await server.stop()
        let again = try await server.restarted()
        let wrong = try target("postgresql://ann:wrongsecret@127.0.0.1:\(again.port)/postgres")
        let page = try await scrape(wrong)
        #expect(page.value("pg_up") == 0)
        #expect(!page.text.contains("wrongsecret"))
        let right = try target("postgresql://ann:right@127.0.0.1:\(again.port)/postgres")
        #expect(try await scrape(right).value("pg_up") == 1)
        await again.stop()
    }

    @Test func aServerOutOfConnectionsIsDownUntilOneIsFree() async throws {
        let server = try await LocalPostgres.start(
            // One for psql, and one for a session that was refused and has not gone yet.
            settings: ["max_connections = 5", "superuser_reserved_connections = 2", "max_wal_senders = 0"])
        try await server.sql("CREATE ROLE ann LOGIN")
        let ann = server.url(user: "ann")
        // More than there is room for; those that come too late end.
        let sleepers = try (0..<8).map { _ in
            try ChildProcess(server.programs + "/psql", ["-X", "-q", "-d", ann, "-c", "SELECT pg_sleep(600)"])
        }
        let deadline = Deadline.after(.seconds(120))
        var target = try target(ann)
        while try await scrape(target).value("pg_up") == 1, !deadline.hasPassed {
            await target.close()
            target = try self.target(ann)
        }
        #expect(try await scrape(target).value("pg_up") == 0)
        try await server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ann'")
        for sleeper in sleepers { await sleeper.stop() }
        #expect(try await patiently(target) { $0.value("pg_up") == 1 }.value("pg_up") == 1)
        await target.close()
        await server.stop()
    }

    @Test func aTableLockedExclusivelyIsNotWaitedFor() async throws {
        let server = try await LocalPostgres.start()
        try await server.sql("CREATE TABLE free (id int PRIMARY KEY); CREATE TABLE held (id int PRIMARY KEY)")
        let target = try target(server.url()) { $0.sizesTTL = .zero }
        let before = try await scrape(target)
        let size = #"pg_stat_user_tables_table_size_bytes{datname="postgres",relname="held",schemaname="public"}"#
        #expect(before.value(size) == 0)
        let holder = try ChildProcess(
            server.programs + "/psql",
            [
                "-X", "-q", "-d", server.url(), "-c",
                "BEGIN; LOCK TABLE held; INSERT INTO held VALUES (1); SELECT pg_sleep(600)",
            ])
        let mode = #"pg_locks_count{datname="postgres",mode="accessexclusivelock"}"#
        _ = try await patiently(target) { $0.value(mode) == 1 }
        let (page, duration) = try await timedScrape(target, within: .seconds(60))
        #expect(duration < .seconds(30), "it waits for the deadline")
        #expect(page.value(success("stat_user_tables")) == 1)
        #expect(page.value(size) == 0)
        #expect(page.value(size.replacingOccurrences(of: "held", with: "free")) == 0)
        #expect(
            page.value(#"pg_stat_user_tables_n_live_tup{datname="postgres",relname="held",schemaname="public"}"#) != nil
        )
        await holder.stop()
        await server.stop()
    }

    @Test func aRoleWithoutPrivilegesCostsOnlyWhatItMayNotSee() async throws {
        let server = try await LocalPostgres.start(settings: ["log_min_messages = warning"])
        try await server.sql("CREATE ROLE guest LOGIN; CREATE ROLE watcher LOGIN IN ROLE pg_monitor")
        let guest = try target(server.url(user: "guest"))
        for _ in 0..<3 {
            let page = try await scrape(guest)
            #expect(page.value("pg_up") == 1)
            #expect(page.value(success("wal")) == 0)
            #expect(page.value(#"outrigger_collector_last_error{class="permission",collector="wal"}"#) == 1)
            #expect(page.value("pg_exporter_last_scrape_error") == 0)
            #expect(page.series("pg_scrape_collector_success").count { page.value($0) == 0 } == 1)
        }
        // Asked once, not at every scrape.
        #expect(server.server.log.components(separatedBy: "permission denied").count == 2)
        let watcher = try await scrape(try target(server.url(user: "watcher")))
        #expect(watcher.series("pg_scrape_collector_success").allSatisfy { watcher.value($0) == 1 })
        await server.stop()
    }

    @Test func databasesMayHaveAnyName() async throws {
        let server = try await LocalPostgres.start()
        let names = ["quo\"te", "new\nline", "back\\slash", "postgresql://x", "sp ace='1'"]
        for name in names {
            try await server.sql("CREATE DATABASE \"\(name.replacingOccurrences(of: "\"", with: "\"\""))\"")
        }
        // Bytes that are no UTF-8, as a database of another encoding may have given it.
        try await server.sql("CREATE DATABASE raw TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'")
        try await server.sql("CREATE DATABASE broken")
        try await server.sql(
            """
            SET client_encoding = 'SQL_ASCII';
            UPDATE pg_database SET datname = convert_from('\\x62ff72', 'SQL_ASCII')::name WHERE datname = 'broken'
            """, database: "raw")
        let target = try target(server.url()) { $0.discoversDatabases = true }
        let page = try await scrape(target)
        #expect(page.duplicates == 0)
        for label in ["quo\\\"te", "new\\nline", "back\\\\slash", "postgresql://x", "sp ace='1'", "b\u{FFFD}r"] {
            #expect(page.value("pg_database_connection_limit{datname=\"\(label)\"}") == -1)
        }
        #expect(page.series("pg_scrape_collector_success").allSatisfy { page.value($0) == 1 })
        #expect(page.value("outrigger_postgres_connections_opened_total") == 8)
        await server.stop()
    }

    @Test func aHundredDatabasesAreWatchedOverFewConnections() async throws {
        let server = try await LocalPostgres.start(settings: ["max_connections = 30"])
        try await server.sql("CREATE TABLE t (id int PRIMARY KEY)", database: "template1")
        let commands = (0..<100).flatMap { ["-c", "CREATE DATABASE db\($0) STRATEGY file_copy"] }
        try await LocalServer.run(
            server.programs + "/psql", ["-X", "-q", "-d", server.url()] + commands, folder: server.server.folder)
        let target = try target(server.url()) {
            $0.discoversDatabases = true
            $0.excludeDatabases = ["db9?"]
        }
        for _ in 0..<2 {
            let (page, duration) = try await timedScrape(target, within: .seconds(60))
            #expect(duration < .seconds(60))
            #expect(page.series("pg_stat_user_tables_seq_scan").count == 90)
            #expect(page.series("pg_scrape_collector_success").allSatisfy { page.value($0) == 1 })
            #expect(page.duplicates == 0)
        }
        let kept = try await server.sql(
            "SELECT count(DISTINCT datname) FROM pg_stat_activity WHERE application_name = 'outrigger'")
        // That of the first database; a session in another would be in the way of who drops it.
        #expect(kept == "1\n")
        await target.close()
        await server.stop()
    }

    @Test func sizesThatTakeTooLongCostOnlyThemselvesAndOnlyOnce() async throws {
        let server = try await LocalPostgres.start()
        // A server whose own function is slow.
        try await server.sql(
            """
            ALTER FUNCTION pg_catalog.pg_database_size(oid) RENAME TO pg_quick_database_size;
            CREATE FUNCTION pg_catalog.pg_database_size(oid) RETURNS bigint LANGUAGE sql AS 'SELECT 1 FROM pg_sleep(60)';
            CREATE ROLE slow LOGIN IN ROLE pg_monitor
            """)
        let target = try target(server.url(user: "slow"))
        let (first, waited) = try await timedScrape(target, within: .seconds(3))
        #expect(first.value("pg_up") == 1)
        #expect(first.value(success("database")) == 0)
        #expect(first.value(#"outrigger_collector_last_error{class="timeout",collector="database"}"#) == 1)
        #expect(first.value(#"pg_database_connection_limit{datname="postgres"}"#) == -1)
        #expect(first.series("pg_scrape_collector_success").count { first.value($0) == 0 } == 1)
        let (second, duration) = try await timedScrape(target, within: .seconds(3))
        #expect(duration < waited, "it waits for the sizes again")
        #expect(second.value("pg_up") == 1)
        #expect(second.value(success("database")) == 0)
        await server.stop()
    }

    @Test func aNameServerThatDoesNotAnswerIsNotWaitedFor() async throws {
        let target = try target("postgresql://nobody@name.invalid:5432/postgres")
        let (page, duration) = try await timedScrape(target, within: .seconds(1))
        #expect(page.value("pg_up") == 0)
        // A resolver itself gives a name server 5 s.
        #expect(duration < .seconds(5))
    }

    @Test func connectionsAreRecycledAndProbesClosed() async throws {
        let server = try await LocalPostgres.start()
        let target = try target(server.url()) { $0.connectionMaxAge = .zero }
        _ = try await scrape(target)
        let page = try await scrape(target)
        #expect(page.value("outrigger_postgres_connections_opened_total") == 2)
        await target.close()
        let files = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count
        for _ in 0..<5 {
            let collected = try await PostgresTarget.probe(
                .init(name: "probe", connection: "127.0.0.1:\(server.port)/postgres?sslmode=disable&user=postgres"),
                CollectionRound(deadline: .after(.seconds(5))))
            #expect(CollectorsTests.page(of: collected).value("pg_up") == 1)
        }
        let after = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count
        #expect(after <= files + 3)
        await server.stop()
    }
}
