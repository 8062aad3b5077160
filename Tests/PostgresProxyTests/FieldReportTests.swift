import LocalServers
import PostgresProxy
import Runtime
import TestTools
import Testing

/// What went wrong in other poolers, each told once in the field: here it goes right.
struct PostgresProxyFieldReportTests {
    private typealias C = WireClient

    private func with(
        _ mode: PoolMode = .transaction, settings: [String] = [], _ change: (inout PoolRules) -> Void = { _ in },
        _ body: (ProxyBench) async throws -> Void
    ) async throws {
        let postgres = try await LocalPostgres.start(settings: settings)
        let bench = try ProxyBench.start(postgres, mode: mode, change)
        do {
            try await body(bench)
        } catch {
            Issue.record(error)
        }
        await bench.proxy.stop()
        await postgres.stop()
    }

    // 1: pgbouncer #210, #242
    @Test func preparedStatementsSurviveAChangeOfServer() async throws {
        try await with { bench in
            let a = try C(port: bench.port)
            let b = try C(port: bench.port)
            #expect(try a.exchange(C.parse("one", "SELECT $1::int + 1"), C.sync) == "1Z")
            let first = try a.ask("SELECT pg_backend_pid()")
            // Somebody else takes the server that has it.
            try b.ask("BEGIN")
            #expect(try b.ask("SELECT pg_backend_pid()") == first)
            a.send(C.bind("one", ["41"]) + C.execute() + C.sync)
            let answer = try a.readToReady()
            #expect(C.letters(answer) == "2DCZ")
            #expect(C.value(answer) == "42")
            try b.ask("COMMIT")
        }
    }

    // 2: pgbouncer #991, #1129
    @Test func sqlDeallocatesWhatTheProtocolPrepared() async throws {
        try await with { bench in
            let a = try C(port: bench.port)
            #expect(try a.exchange(C.parse("n", "SELECT 1"), C.sync) == "1Z")
            #expect(try a.exchange(C.query("DEALLOCATE n")) == "CZ")
            #expect(try a.exchange(C.parse("n", "SELECT 2"), C.sync) == "1Z")
            #expect(try a.exchange(C.bind("n"), C.execute(), C.sync) == "2DCZ")
            #expect(try a.ask("EXECUTE n") == "2")
            #expect(try a.ask("DEALLOCATE unknown") == "!26000")
            #expect(try a.exchange(C.query("DEALLOCATE ALL")) == "CZ")
            a.send(C.bind("n") + C.sync)
            #expect(try a.readToReady().first?.field("M") == #"prepared statement "n" does not exist"#)
            // A name that is taken is refused under the client's own name.
            #expect(try a.exchange(C.parse("m", "SELECT 1"), C.sync) == "1Z")
            a.send(C.parse("m", "SELECT 1") + C.sync)
            #expect(try a.readToReady().first?.field("M") == #"prepared statement "m" already exists"#)
            #expect(try a.exchange(C.bind("m"), C.execute(), C.sync) == "2DCZ")
        }
    }

    // 3: asyncpg #1058
    @Test(arguments: [1, 2]) func anUnnamedStatementOutlivesItsSync(_ size: Int) async throws {
        try await with(.transaction) {
            $0.size = size
        } _: { bench in
            let clients = try [C(port: bench.port), C(port: bench.port)]
            for round in 0..<20 {
                for (index, client) in clients.enumerated() {
                    client.send(C.parse("", "SELECT '\(index)-\(round)'") + C.describe(statement: "") + C.sync)
                    #expect(C.letters(try client.readToReady()) == "1tTZ")
                }
                for (index, client) in clients.enumerated() {
                    client.send(C.bind("") + C.execute() + C.sync)
                    #expect(C.value(try client.readToReady()) == "\(index)-\(round)")
                }
            }
            // A simple query ends it, and nobody's stands in for it.
            try clients[0].ask("SELECT 1")
            clients[0].send(C.bind("") + C.sync)
            #expect(C.value(try clients[0].readToReady()) == "!26000")
        }
    }

    // 4: supavisor #1172
    @Test func aDeadClientLeavesNoTransactionBehind() async throws {
        try await with(.transaction) {
            $0.size = 2
        } _: { bench in
            for round in 0..<12 {
                let client = try C(port: bench.port)
                try client.ask("BEGIN")
                if round % 3 == 1 { client.send(C.query("SELECT pg_sleep(60)")) }
                if round % 3 == 2 { client.send(C.parse("", "SELECT 1")) }
                client.hangUp()
            }
            let other = try C(port: bench.port)
            #expect(try other.ask("SELECT 1") == "1")
            try await eventually("no transaction without an owner") {
                try await bench.postgres.sql(
                    "SELECT count(*) FROM pg_stat_activity WHERE state <> 'idle' AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
                ) == "0\n"
            }
        }
    }

    // 5: pgbouncer #245, #38
    @Test func aLateCancelStopsNobodyElse() async throws {
        try await with(.transaction) {
            $0.size = 1
        } _: { bench in
            let a = try C(port: bench.port)
            let b = try C(port: bench.port)
            for _ in 0..<30 {
                a.send(C.query("SELECT 1"))
                try C.cancel(port: bench.port, pid: a.pid, secret: a.secret)
                #expect(try b.ask("SELECT pg_sleep(0.02)") == "")
                _ = try a.readToReady()
            }
            // In time it works, and a wrong secret does not.
            a.send(C.query("SELECT pg_sleep(60)"))
            try await eventually("it runs") {
                try await bench.postgres.sql(
                    "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%sleep(60)' AND state = 'active'")
                    == "1\n"
            }
            try C.cancel(port: bench.port, pid: a.pid, secret: a.secret.map { $0 ^ 1 })
            try C.cancel(port: bench.port, pid: a.pid, secret: a.secret)
            #expect(C.value(try a.readToReady()) == "!57014")
            #expect(try a.ask("SELECT 1") == "1")
        }
    }

    // 6: pgbouncer #392
    @Test func aStormOfCancelsLetsOthersThrough() async throws {
        try await with(.transaction) {
            $0.size = 2
        } _: { bench in
            let victim = try C(port: bench.port)
            let other = try C(port: bench.port)
            for _ in 0..<5 {
                victim.send(C.query("SELECT pg_sleep(60)"))
                for _ in 0..<30 {
                    let storm = try C(connectingTo: bench.port)
                    storm.send(C.int32(16) + C.int32(1234 << 16 | 5678) + C.int32(Int(victim.pid)) + victim.secret)
                }
                #expect(try other.ask("SELECT 1") == "1")
                // Those that came before the statement ran were in vain.
                while !victim.hasInput(within: 20) {
                    try C.cancel(port: bench.port, pid: victim.pid, secret: victim.secret)
                }
                #expect(C.value(try victim.readToReady()) == "!57014")
            }
        }
    }

    // 9: pgbouncer #1588, and the time limit of waiting
    @Test func aClientWaitsFromWhenItNeedsAServer() async throws {
        try await with(.transaction) {
            $0.size = 1
            $0.overflow = 0
            $0.waitLimit = .milliseconds(300)
        } _: { bench in
            let a = try C(port: bench.port)
            let b = try C(port: bench.port)
            try a.ask("BEGIN")
            b.send(C.query("SELECT 1"))
            #expect(try b.readToReady().first?.field("M")?.hasPrefix("query_wait_timeout") == true)
            try a.ask("COMMIT")
            let statistics = await bench.proxy.snapshot().statistics
            #expect(statistics.first?.timeouts == 1)
        }
    }

    // 10: pgbouncer #919
    @Test(arguments: PoolMode.allCases) func aMissingDatabaseIsSaidAtOnce(_ mode: PoolMode) async throws {
        try await with(mode) { bench in
            do {
                _ = try C(port: bench.port, database: "nowhere")
                Issue.record("let in")
            } catch let refusal as C.Refusal {
                #expect(refusal.message.field("C") == "3D000")
                #expect(refusal.message.field("M") == #"database "nowhere" does not exist"#)
            }
        }
    }

    // 11: pgbouncer #357
    @Test func oneUserDoesNotStarveAnother() async throws {
        try await with(.transaction) {
            $0.size = 4
        } _: { bench in
            try await bench.postgres.sql("CREATE ROLE b LOGIN")
            let busy = try (0..<12).map { _ in try C(port: bench.port) }
            for client in busy { client.send(C.query("SELECT pg_sleep(60)")) }
            let b = try C(port: bench.port, user: "b")
            #expect(try b.ask("SELECT current_user") == "b")
            for client in busy { client.hangUp() }
        }
    }

    // 12: pgbouncer #493, #907, #1500
    @Test(arguments: PoolMode.allCases) func startUpSettingsAreHonoured(_ mode: PoolMode) async throws {
        try await with(mode) { bench in
            let a = try C(
                port: bench.port,
                [
                    "options": "-c work_mem=7MB -c app.user=me", "search_path": "a, b", "extra_float_digits": "2",
                    "DateStyle": "German",
                ])
            let b = try C(port: bench.port)
            for _ in 0..<3 {
                #expect(try a.ask("SHOW work_mem") == "7MB")
                #expect(try b.ask("SHOW work_mem") == "4MB")
                #expect(try a.ask("SHOW search_path") == "a, b")
                #expect(try a.ask("SELECT current_setting('app.user')") == "me")
                #expect(try a.ask("SHOW extra_float_digits") == "2")
                #expect(try a.ask("RESET ALL") == nil)
            }
            #expect(a.parameters["DateStyle"] == "German, DMY")
            #expect(b.parameters["DateStyle"] == "ISO, MDY")
            do {
                _ = try C(port: bench.port, ["options": "-c no_such_setting=1"])
                Issue.record("let in")
            } catch let refusal as C.Refusal {
                #expect(refusal.message.field("C") == "42704")
            }
        }
    }

    // 15: pgdog #3; hatchet #3898
    @Test func settingsBelongToTheirClient() async throws {
        try await with(.transaction) {
            $0.size = 1
        } _: { bench in
            try await bench.postgres.sql(
                """
                CREATE ROLE other LOGIN; GRANT other TO postgres;
                CREATE FUNCTION quietly() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('work_mem', '9MB', false); END $$
                """)
            let a = try C(port: bench.port)
            let b = try C(port: bench.port)
            let settings: [(set: String, show: String, value: String)] = [
                ("SET statement_timeout = '77s'", "SHOW statement_timeout", "77s"),
                ("SET default_transaction_read_only = on", "SHOW default_transaction_read_only", "on"),
                ("SET search_path TO x, y", "SHOW search_path", "x, y"),
                ("SET TIME ZONE 'Asia/Tokyo'", "SHOW timezone", "Asia/Tokyo"),
                ("SET lock_timeout TO 5000", "SHOW lock_timeout", "5s"),
                ("SET ROLE other", "SELECT current_user", "other"),
                ("SELECT set_config('work_mem', '11MB', false)", "SHOW work_mem", "11MB"),
                ("SELECT quietly()", "SHOW work_mem", "9MB"),
                ("SET application_name = 'mine'", "SHOW application_name", "mine"),
                ("DO $$ BEGIN SET enable_seqscan = off; END $$", "SHOW enable_seqscan", "off"),
                ("SET app.tenant = 'seven'", "SELECT coalesce(current_setting('app.tenant', true), '')", "seven"),
                ("SET SESSION AUTHORIZATION other", "SELECT session_user", "other"),
                (
                    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
                    "SHOW default_transaction_isolation", "serializable"
                ),
                ("SET DateStyle = 'German'", "SHOW DateStyle", "German, DMY"),
                ("SET extra_float_digits = 0", "SHOW extra_float_digits", "0"),
                ("SET IntervalStyle = 'iso_8601'", "SHOW IntervalStyle", "iso_8601"),
                ("SET bytea_output = 'escape'", "SHOW bytea_output", "escape"),
                ("SET client_min_messages = error", "SHOW client_min_messages", "error"),
                ("SET temp_buffers = 200", "SHOW temp_buffers", "1600kB"),
                ("SET row_security = off", "SHOW row_security", "off"),
            ]
            for (set, show, value) in settings {
                let before = try b.ask(show)
                try a.ask(set)
                #expect(try b.ask(show) == before, Comment(rawValue: "\(set) leaks"))
                #expect(try a.ask(show) == value, Comment(rawValue: "\(set) is lost"))
                #expect(try b.ask(show) == before, Comment(rawValue: "\(set) leaks later"))
                try a.ask("DISCARD ALL")
                #expect(try a.ask(show) == before, Comment(rawValue: "\(set) survives DISCARD ALL"))
            }
            // What was rolled back is as if it had not been.
            try a.ask("BEGIN")
            try a.ask("SET work_mem = '13MB'")
            try a.ask("SAVEPOINT s")
            try a.ask("SET work_mem = '14MB'")
            try a.ask("ROLLBACK TO s")
            try a.ask("COMMIT")
            #expect(try b.ask("SHOW work_mem") == "4MB")
            #expect(try a.ask("SHOW work_mem") == "13MB")
            try a.ask("BEGIN; SET work_mem = '15MB'")
            try a.ask("ROLLBACK")
            #expect(try b.ask("SHOW work_mem") == "4MB")
            #expect(try a.ask("SHOW work_mem") == "13MB")
            try a.ask("BEGIN; SET LOCAL work_mem = '16MB'; COMMIT")
            #expect(try b.ask("SHOW work_mem") == "4MB")
        }
    }

    // 16: pgdog #999
    @Test(arguments: PoolMode.allCases.filter { $0 != .statement })
    func everyOrderOfMessagesWorks(_ mode: PoolMode) async throws {
        try await with(mode) { bench in
            let a = try C(port: bench.port)
            for isInside in [false, true] {
                if isInside { try a.ask("BEGIN") }
                a.send(C.parse("s", "SELECT $1::int") + C.describe(statement: "s") + C.flush)
                #expect(try [a.read().type, a.read().type, a.read().type] == ["1", "t", "T"])
                a.send(C.bind("s", ["7"]) + C.flush)
                #expect(try a.read().type == "2")
                a.send(C.execute() + C.flush)
                #expect(try [a.read().type, a.read().type] == ["D", "C"])
                #expect(try a.exchange(C.close(statement: "s"), C.sync) == "3Z")
                #expect(try a.exchange(C.sync) == "Z")
                a.send(
                    C.parse("", "SELECT 1") + C.bind("") + C.execute() + C.sync + C.parse("", "SELECT 2") + C.bind("")
                        + C.execute() + C.sync)
                #expect(try C.letters(a.readToReady()) == "12DCZ")
                #expect(try C.letters(a.readToReady()) == "12DCZ")
                if isInside { try a.ask("COMMIT") }
            }
            // An error takes with it what follows up to the Sync, names included.
            #expect(try a.exchange(C.parse("x", "SELEC"), C.bind("x"), C.execute(), C.sync) == "EZ")
            #expect(try a.exchange(C.parse("x", "SELECT 1"), C.bind("x"), C.execute(), C.sync) == "12DCZ")
            a.send(C.parse("y", "SELEC") + C.parse("z", "SELECT 1") + C.close(statement: "x") + C.sync)
            a.send(C.bind("x") + C.execute() + C.sync)
            #expect(try C.letters(a.readToReady()) == "EZ")
            #expect(try C.letters(a.readToReady()) == "2DCZ")
            #expect(try a.exchange(C.bind("z"), C.sync) == "EZ")
        }
    }

    // 17: pgdog #1402
    @Test func discardAllActsOnTheClientsSession() async throws {
        try await with { bench in
            let a = try C(port: bench.port)
            for number in 0..<300 { a.send(C.parse("n\(number)", "SELECT \(number)") + C.sync) }
            for _ in 0..<300 { #expect(try C.letters(a.readToReady()) == "1Z") }
            try a.ask("CREATE TEMP TABLE mine (id int)")
            try a.ask("LISTEN news")
            try a.ask("BEGIN; LISTEN others; COMMIT")
            try a.ask("SELECT pg_advisory_lock(5)")
            #expect(await bench.proxy.snapshot().clients.first?.pins.isEmpty == false)
            #expect(try a.exchange(C.query("DISCARD ALL")) == "CZ")
            #expect(try a.ask("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == "0")
            #expect(try a.ask("SELECT * FROM mine") == "!42P01")
            #expect(try a.exchange(C.bind("n7"), C.sync) == "EZ")
            let client = try #require(await bench.proxy.snapshot().clients.first)
            #expect(client.pins.isEmpty)
            #expect(client.preparedStatements == 0)
            try a.ask("BEGIN")
            #expect(try a.ask("DISCARD ALL") == "!25001")
            try a.ask("ROLLBACK")
        }
    }

    // 18: authentik #23876
    @Test func anAdvisoryLockKeepsItsServerUntilItIsReleased() async throws {
        try await with(.transaction) {
            $0.size = 2
        } _: { bench in
            let a = try C(port: bench.port)
            let b = try C(port: bench.port)
            try a.ask("SELECT pg_advisory_lock(9)")
            #expect(try b.ask("SELECT pg_try_advisory_lock(9)") == "f")
            #expect(try b.ask("SELECT pg_try_advisory_lock(9)") == "f")
            #expect(try a.ask("SELECT pg_advisory_unlock(9)") == "t")
            try await eventually("nobody is pinned") {
                await bench.proxy.snapshot().clients.allSatisfy { $0.pins.isEmpty }
            }
            try a.ask("SELECT pg_advisory_lock(9)")
            a.hangUp()
            try await eventually("it is free") { try b.ask("SELECT pg_try_advisory_lock(9)") == "t" }
        }
    }

    // 19: odyssey #554
    @Test(arguments: PoolMode.allCases) func copyMayBeCutAnywhere(_ mode: PoolMode) async throws {
        try await with(mode) { bench in
            let a = try C(port: bench.port)
            try a.ask("CREATE TABLE c (id int)")
            for size in [1, 3, 1000] {
                a.send(C.query("COPY c FROM STDIN"))
                #expect(try a.read().type == "G")
                let bytes = (0..<200).flatMap { Array("\($0)\n".utf8) }
                var place = 0
                while place < bytes.count {
                    let message = C.frame("d", Array(bytes[place..<min(place + size, bytes.count)]))
                    if size == 1 { for byte in message { a.send([byte]) } } else { a.send(message) }
                    place += size
                }
                #expect(try a.exchange(C.frame("c", [])) == "CZ")
            }
            #expect(try a.ask("SELECT count(*) FROM c") == "600")
            // As libpq does it in extended protocol: a Sync that is ignored, and one that is not.
            a.send(C.parse("", "COPY c FROM STDIN") + C.bind("") + C.execute() + C.sync)
            #expect(try [a.read().type, a.read().type, a.read().type] == ["1", "2", "G"])
            #expect(try a.exchange(C.frame("d", Array("1\n".utf8)), C.frame("c", []), C.sync) == "CZ")
            #expect(try a.exchange(C.query("COPY c FROM STDIN"), C.frame("f", [0])) == "GEZ")
            #expect(try a.ask("SELECT count(*) FROM c") == "601")
        }
    }

    // 22: npgsql #3731, and #2 of the wishes: nothing pins that need not
    @Test func ordinaryStatementsPinNobody() async throws {
        try await with(.transaction) {
            $0.size = 2
        } _: { bench in
            let clients = try (0..<20).map { _ in try C(port: bench.port) }
            for client in clients {
                try client.ask("SET search_path TO public")
                #expect(
                    try client.exchange(C.parse("", "SELECT $1::int"), C.bind("", ["1"]), C.execute(), C.sync)
                        == "12DCZ")
            }
            for client in clients { #expect(try client.ask("SHOW search_path") == "public") }
            let snapshot = await bench.proxy.snapshot()
            #expect(snapshot.clients.allSatisfy { $0.pins.isEmpty })
            #expect(snapshot.servers.count <= 2)
        }
    }

    // 24: pgbouncer PR #1007
    @Test func versionsAreNegotiatedAsPostgresDoes() async throws {
        try await with { bench in
            func negotiation(_ minor: Int, _ parameters: [String: String] = [:]) throws -> (said: C.Message?, key: Int)
            {
                let client = try C(connectingTo: bench.port)
                client.send(C.startup(user: "postgres", database: "postgres", minor: minor, parameters))
                let messages = try client.finishLogin()
                return (messages.first { $0.type == "v" }, client.secret.count)
            }
            let plain = try negotiation(0)
            #expect(plain.said == nil && plain.key == 4)
            let newer = try negotiation(2)
            #expect(newer.said == nil && newer.key == 32)
            let newest = try negotiation(9)
            #expect(newest.said?.body == C.int32(3 << 16 | 2) + C.int32(0))
            let optional = try negotiation(0, ["_pq_.x": "1"])
            #expect(optional.said?.body == C.int32(3 << 16) + C.int32(1) + Array("_pq_.x".utf8) + [0])
        }
    }

    // 26: pgbouncer #879
    @Test func settingsAreNotSetAgainBeforeEveryTransaction() async throws {
        try await with(settings: ["log_statement = all", "log_min_messages = warning"]) { bench in
            let a = try C(port: bench.port, ["DateStyle": "ISO", "application_name": "counted"])
            for _ in 0..<100 { try a.ask("SELECT 1") }
            let log = try Files.readText(bench.postgres.server.folder.path + "/log")
            #expect(log.split(separator: "\n").filter { $0.contains("set_config") }.count == 1)
        }
    }

    // 28: pgbouncer #125, #22
    @Test func theClockOfAnIdleTransactionStopsWhileTheServerWorks() async throws {
        try await with(.transaction) {
            $0.idleTransactionLimit = .milliseconds(700)
        } _: { bench in
            let a = try C(port: bench.port)
            try a.ask("BEGIN")
            #expect(try a.ask("SELECT pg_sleep(1.2)") == "")
            #expect(try a.ask("COMMIT") == nil)
            try a.ask("BEGIN")
            #expect(try a.read().field("C") == "25P03")
        }
    }

    // 31: pgbouncer #999
    @Test func anEmptyNameIsAName() async throws {
        try await with(.transaction) {
            $0.size = 1
        } _: { bench in
            let x = try C(port: bench.port, ["application_name": "x"])
            let empty = try C(port: bench.port, ["application_name": ""])
            for _ in 0..<3 {
                #expect(try x.ask("SHOW application_name") == "x")
                #expect(try empty.ask("SHOW application_name") == "")
            }
        }
    }

    // pgbouncer #655: one connection listens for all
    @Test func listeningPinsNobody() async throws {
        try await with(.transaction) {
            $0.size = 2
        } _: { bench in
            let clients = try (0..<6).map { _ in try C(port: bench.port) }
            for client in clients { #expect(try client.exchange(C.query("LISTEN news")) == "CZ") }
            #expect(await bench.proxy.snapshot().clients.allSatisfy { $0.pins.isEmpty && $0.server == nil })
            try await bench.postgres.sql("NOTIFY news, 'first'")
            for client in clients {
                let heard = try client.read()
                #expect(heard.type == "A" && String(decoding: heard.body[4...], as: UTF8.self) == "news\0first\0")
            }
            // Not within a transaction, and after it.
            try clients[0].ask("BEGIN")
            try await bench.postgres.sql("NOTIFY news, 'second'")
            #expect(try clients[1].read().type == "A")
            #expect(try clients[0].exchange(C.query("SELECT 1")) == "TDCZ")
            #expect(try clients[0].exchange(C.query("COMMIT")) == "CZ")
            #expect(try clients[0].read().type == "A")
            #expect(try clients[2].exchange(C.query("UNLISTEN news")) == "ACZ")
            #expect(try clients[3].exchange(C.query("DISCARD ALL")) == "ACZ")
            try await bench.postgres.sql("NOTIFY news, 'third'")
            #expect(try clients[4].read().type == "A")
            #expect(try clients[4].read().type == "A")
            for client in clients[2...3] { #expect(try client.exchange(C.query("SELECT 1")) == "TDCZ") }
            for client in clients { client.hangUp() }
        }
    }
}
