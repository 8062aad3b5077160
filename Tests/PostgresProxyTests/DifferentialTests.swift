import LocalServers
import PostgresProxy
import Runtime
import TestTools
import Testing

/// The same random statements of several clients, to Postgres and through the proxy: message by message the same.
@Suite(.tags(.proof)) struct PostgresProxyDifferentialTests {
    private typealias C = WireClient

    private static var statements: Int {
        Environment.current["TEST_DIFFERENTIAL_STATEMENTS"].flatMap { Int($0) } ?? 1500
    }

    /// One client in two worlds.
    private final class Twin {
        let direct: C
        let proxied: C
        let number: Int
        let mode: PoolMode

        init(_ number: Int, _ directPort: UInt16, _ proxyPort: UInt16, _ mode: PoolMode) throws {
            (self.number, self.mode) = (number, mode)
            let parameters = number % 3 == 0 ? ["DateStyle": "SQL"] : [:]
            direct = try C(port: directPort, database: "west", parameters)
            proxied = try C(port: proxyPort, database: "east", parameters)
        }

        /// - Returns: what differs.
        func play(_ turn: Turn) throws -> String? {
            direct.send(turn.bytes)
            proxied.send(turn.bytes)
            for _ in 0..<turn.readies {
                let (left, right) = (try direct.readToReady(), try proxied.readToReady())
                let (said, heard) = (
                    left.filter(Self.isTold).map(Self.plain), right.filter(Self.isTold).map(Self.plain)
                )
                guard said == heard else { return "\(turn.name): \(said) became \(heard)" }
            }
            guard direct.parameters == proxied.parameters else {
                return "\(turn.name): parameters \(direct.parameters) became \(proxied.parameters)"
            }
            return nil
        }

        /// Without the numbers of tables, which are others in another database.
        private static func plain(_ message: C.Message) -> C.Message {
            guard message.type == "T" else { return message }
            var body = message.body
            var place = 2
            while place < body.count, let end = body[place...].firstIndex(of: 0), end + 19 <= body.count {
                for index in end + 1...end + 4 { body[index] = 0 }
                place = end + 19
            }
            return C.Message(type: "T", body: body)
        }

        /// ParameterStatus may come a moment earlier or later; what they add up to is compared.
        private static func isTold(_ message: C.Message) -> Bool { message.type != "S" }
    }

    private struct Turn {
        let name: String
        let bytes: [UInt8]
        let readies: Int

        static func query(_ text: String) -> Turn { Turn(name: text, bytes: C.query(text), readies: 1) }
    }

    private static func turn(_ dice: inout Seeded, _ number: Int, isPooled: Bool) -> Turn {
        let table = "t\(number)"
        let name = "s\(dice.below(4))"
        let value = dice.below(100)
        let texts = [
            "SELECT \(value)", "SELECT * FROM \(table) ORDER BY id LIMIT \(dice.below(5))", "SELECT 1/0", "SELEC", "",
            "INSERT INTO \(table) (name) VALUES ('\(value)') RETURNING name",
            "UPDATE \(table) SET name = 'x' WHERE id = \(value)",
            "DELETE FROM \(table) WHERE id < \(value / 10)", "BEGIN", "BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT a",
            "ROLLBACK TO a",
            "RELEASE a", "SET work_mem = '\(64 + value)kB'", "SHOW work_mem", "SET LOCAL work_mem = '2MB'",
            "RESET work_mem",
            "SET TIME ZONE '\(dice.pick(["UTC", "Asia/Tokyo", "Europe/Berlin"]))'", "SHOW timezone",
            "SET DateStyle = 'German'",
            "SELECT current_setting('DateStyle'), date '2020-01-31'",
            "SELECT set_config('lock_timeout', '\(value)s', false)",
            "SHOW lock_timeout", "RESET ALL", "DISCARD ALL", "DEALLOCATE ALL", "DEALLOCATE \(name)",
            "EXECUTE \(name)(1)",
            "SET search_path = pg_catalog, public", "SHOW search_path", "SELECT 1; SELECT 2; SELECT 3",
            "SELECT 1; SELECT 1/0; SELECT 3",
            "SET ROLE helper", "SELECT current_user", "RESET ROLE", "SET application_name = 'a\(value)'",
            "SHOW application_name",
            "DO $$ BEGIN RAISE NOTICE 'n\(value)'; END $$", "DO $$ BEGIN SET enable_sort = off; END $$",
            "SHOW enable_sort",
            "CREATE TEMP TABLE mine (id int)", "SELECT count(*) FROM mine", "INSERT INTO mine VALUES (1)",
            "DROP TABLE mine",
            "DECLARE c CURSOR FOR SELECT generate_series(1, 5)", "FETCH 2 FROM c", "CLOSE c",
            "DECLARE h CURSOR WITH HOLD FOR SELECT generate_series(1, 5)", "FETCH 1 FROM h", "CLOSE h", "CLOSE ALL",
            "PREPARE q\(value % 2) AS SELECT \(value)", "EXECUTE q\(value % 2)", "DEALLOCATE q\(value % 2)",
            "SELECT pg_advisory_lock(\(number))", "SELECT pg_advisory_unlock(\(number))",
            "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SHOW transaction_isolation",
            "COPY \(table) (name) TO STDOUT", "SELECT repeat('y', \(value * 1000))", "SELECT now() = now(), lower('A')",
            "SELECT to_regclass('\(table)'), length(current_setting('search_path'))",
            "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY",
        ]
        switch dice.below(10) {
        case 0..<5: return .query(dice.pick(texts))
        case 5:
            let text = dice.pick(texts.filter { !$0.hasPrefix("COPY") && !$0.contains(";") })
            return Turn(
                name: "extended \(text)", bytes: C.parse("", text) + C.bind("") + C.execute() + C.sync, readies: 1)
        case 6:
            return Turn(
                name: "parse \(name)",
                bytes: C.parse(name, "SELECT $1::int + \(value)") + C.describe(statement: name) + C.sync, readies: 1)
        case 7: return Turn(name: "bind \(name)", bytes: C.bind(name, ["\(value)"]) + C.execute() + C.sync, readies: 1)
        case 8: return Turn(name: "close \(name)", bytes: C.close(statement: name) + C.sync, readies: 1)
        default:
            // Several at once, with or without Syncs between.
            var (bytes, readies, words) = ([UInt8](), 0, "pipeline")
            for _ in 0..<dice.below(4) + 1 {
                let text = dice.pick([
                    "SELECT 7", "SELECT 1/0", "INSERT INTO \(table) (name) VALUES ('p')", "SHOW work_mem",
                    "SET work_mem = '99kB'",
                ])
                let own = dice.chance(0.3) ? name : ""
                words += ", \(own) \(text)"
                bytes += C.parse(own, text) + C.bind(own) + C.execute()
                if dice.chance(0.3) { bytes += C.close(statement: own) }
                if dice.chance(0.4) {
                    bytes += C.sync
                    readies += 1
                }
            }
            return Turn(name: words, bytes: bytes + C.sync, readies: readies + 1)
        }
    }

    @Test(arguments: [PoolMode.session]) func saysWhatPostgresSays(_ mode: PoolMode) async throws {
        let postgres = try await LocalPostgres.start()
        let count = 5
        for database in ["west", "east"] {
            try await postgres.sql("CREATE DATABASE \(database)")
            for number in 0..<count {
                try await postgres.sql("CREATE TABLE t\(number) (id serial PRIMARY KEY, name text)", database: database)
            }
        }
        try await postgres.sql(
            "CREATE ROLE helper; GRANT pg_read_all_data, pg_write_all_data TO helper; GRANT helper TO postgres")
        let bench = try ProxyBench.start(postgres, mode: mode) { $0.size = 2 }
        let seed = Environment.current["TEST_SEED"].flatMap { UInt64($0) } ?? UInt64.random(in: 0...UInt64.max)
        var dice = Seeded(seed)
        let twins = try (0..<count).map { try Twin($0, postgres.port, bench.port, mode) }
        var history: [String] = []
        for step in 0..<Self.statements {
            let twin = dice.pick(twins)
            let turn = Self.turn(&dice, twin.number, isPooled: mode == .transaction)
            history.append("\(twin.number): \(turn.name)")
            let fault: String?
            do { fault = try twin.play(turn) } catch { fault = "\(turn.name): \(error)" }
            if let fault {
                let own = history.filter { $0.hasPrefix("\(twin.number):") }.suffix(14).joined(separator: "\n")
                Issue.record("seed \(seed), step \(step), client \(twin.number): \(fault.prefix(1500))\n\(own)")
                break
            }
        }
        await bench.proxy.stop()
        await postgres.stop()
    }
}
