import LocalServers
import Network
import Runtime
import TestTools
import Testing

@testable import PostgresProxy

struct SCRAMTests {
    private func verifier(of password: String) -> SCRAM.Verifier {
        let salting = SCRAM.Salting(password: Array(password.utf8), salt: Array("salt".utf8), iterations: 4096)
        return SCRAM.Verifier(salt: salting.salt, iterations: 4096, salted: salting.compute())
    }

    @Test func bothHalvesOfTheExampleInTheStandardAgree() throws {
        // RFC 7677, section 3; Postgres leaves the name out.
        let salt = try #require([UInt8](base64: Array("W22ZaJ0SNY7soEsUEjb6gQ==".utf8)))
        let salted = SCRAM.Salting(password: Array("pencil".utf8), salt: salt, iterations: 4096).compute()
        var client = SCRAMClient(.none, nonce: Array("rOprNGfwEbeRWgbNEkqO".utf8))
        var server = SCRAMServer(
            SCRAM.Verifier(salt: salt, iterations: 4096, salted: salted),
            nonce: Array("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0".utf8))
        let challenge = try server.take(first: client.first, mechanism: Array(SCRAM.plain.utf8))
        #expect(
            String(decoding: challenge, as: UTF8.self)
                == "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")
        let asked = try client.take(challenge: challenge)
        #expect(asked.salt == salt && asked.iterations == 4096)
        let answer = try server.take(final: client.final(salted: salted))
        try client.check(final: answer)
    }

    @Test func aWrongPasswordIsNoneAndAnImpostorIsNoServer() throws {
        var client = SCRAMClient(.none)
        var server = SCRAMServer(verifier(of: "right"))
        let asked = try client.take(challenge: try server.take(first: client.first, mechanism: Array(SCRAM.plain.utf8)))
        let salted = SCRAM.Salting(password: Array("wrong".utf8), salt: asked.salt, iterations: asked.iterations)
            .compute()
        let final = client.final(salted: salted)
        #expect(throws: SCRAMServer.Fault.wrongPassword) { try server.take(final: final) }
        #expect(throws: SCRAMClient.Fault.notTheServer) {
            try client.check(final: Array("v=\([UInt8](repeating: 7, count: 32).base64)".utf8))
        }
    }

    @Test func garbageIsRefusedAndNeverEndsTheProcess() {
        var dice = Seeded(fuzzing: 7)
        let good = SCRAMClient(.none).first
        for _ in 0..<Seeded.rounds(default: 3000) {
            var bytes = dice.chance(0.5) ? good : dice.bytes(upTo: 60)
            if !bytes.isEmpty { bytes[dice.below(bytes.count)] = UInt8.random(in: 0...255, using: &dice) }
            var server = SCRAMServer(verifierOfNobody)
            _ = try? server.take(first: bytes, mechanism: Array(SCRAM.plain.utf8))
            _ = try? server.take(final: bytes)
            var client = SCRAMClient(.none)
            _ = try? client.take(challenge: bytes)
            try? client.check(final: bytes)
        }
    }

    private let verifierOfNobody = SCRAM.Verifier(salt: [1], iterations: 1, salted: [UInt8](repeating: 0, count: 32))

    @Test func postgresOwnVerifiersAreRead() {
        let made = verifier(of: "secret")
        let text = "SCRAM-SHA-256$4096:\(made.salt.base64)$\(made.storedKey.base64):\(made.serverKey.base64)"
        #expect(SCRAM.Verifier(text) == made)
        for broken in [
            "", "md5abc", "SCRAM-SHA-256$0:c2FsdA==$a:b", "SCRAM-SHA-256$4096:c2FsdA==$AAAA:AAAA", text + "x",
        ] {
            #expect(SCRAM.Verifier(broken) == nil, Comment(rawValue: broken))
        }
    }

    @Test func garbageAtTheStartIsRefused() {
        var dice = Seeded(fuzzing: 9)
        let good = ServerLogin.request(
            user: Array("u".utf8), database: Array("d".utf8), [LoginRequest.Parameter(name: [97], value: [98])])
        for _ in 0..<Seeded.rounds(default: 5000) {
            var bytes = dice.chance(0.7) ? good : dice.bytes(upTo: 40)
            for _ in 0..<dice.below(3) where !bytes.isEmpty {
                bytes[dice.below(bytes.count)] = UInt8.random(in: 0...255, using: &dice)
            }
            if dice.chance(0.2) { bytes.removeLast(min(bytes.count, dice.below(5))) }
            if case .complete(_, let size) = StartupRequest.read(bytes.span) { #expect(size <= bytes.count) }
            var login = ServerLogin(user: [1], password: [2], usesTLS: true)
            for _ in 0..<3 {
                _ = login.take(UInt8.random(in: 0x31...0x7A, using: &dice), dice.bytes(upTo: 30).span)
                _ = login.take(FromServer.authentication, bytes.span)
            }
            _ = StatementScan(bytes.span)
        }
        guard case .complete(.login(let request), _) = StartupRequest.read(good.span) else {
            Issue.record("not read")
            return
        }
        #expect(request.user == Array("u".utf8) && request.database == Array("d".utf8))
        for length in 0..<good.count { #expect(StartupRequest.read(Array(good[..<length]).span) == .incomplete) }
    }
}

/// How the proxy logs in, and who logs in to it.
struct PostgresProxyLoginTests {
    private typealias C = WireClient

    @Test(arguments: ["trust", "password", "md5", "scram-sha-256"])
    func itLogsInToPostgresByEveryMethod(_ method: String) async throws {
        let postgres = try await LocalPostgres.start(settings: [
            "password_encryption = '\(method == "md5" ? "md5" : "scram-sha-256")'"
        ])
        try await postgres.sql("CREATE ROLE someone LOGIN PASSWORD 'p ä:ss'")
        try await LocalServer.run(
            "sh",
            [
                "-c",
                "printf 'host all someone 127.0.0.1/32 \(method)\\nhost all postgres 127.0.0.1/32 trust\\n' > '\(postgres.server.folder.path)/data/pg_hba.conf'",
            ], folder: postgres.server.folder, user: LocalServer.unprivilegedUser)
        try await postgres.sql("SELECT pg_reload_conf()")
        let right = try ProxyBench.start(
            postgres, url: "postgresql://someone:p%20%C3%A4%3Ass@127.0.0.1:\(postgres.port)/postgres?sslmode=disable")
        try await eventually("the new rules are in force") {
            (try? C(port: right.port, user: "someone").ask("SELECT current_user")) == "someone"
        }
        if method != "trust" {
            let wrong = try ProxyBench.start(
                postgres, url: "postgresql://someone:wrong@127.0.0.1:\(postgres.port)/postgres?sslmode=disable")
            do {
                _ = try C(port: wrong.port, user: "someone")
                Issue.record("let in")
            } catch let refusal as C.Refusal {
                #expect(refusal.message.field("C") == "28P01")
                #expect(refusal.message.field("M") == #"password authentication failed for user "someone""#)
            }
            await wrong.proxy.stop()
        }
        await right.proxy.stop()
        await postgres.stop()
    }

    @Test func clientsProveWhoTheyAre() async throws {
        let postgres = try await LocalPostgres.start()
        try await postgres.sql("CREATE ROLE someone LOGIN")
        let door = ProxyDoor(users: [("someone", "secret")], requiresPassword: true)
        let bench = try ProxyBench.start(postgres, door: door)
        func psql(_ user: String, _ password: String) async throws -> String {
            try await LocalServer.run(
                postgres.programs + "/psql", ["-X", "-A", "-t", "-c", "SELECT current_user"],
                folder: postgres.server.folder,
                user: LocalServer.unprivilegedUser,
                environment: [
                    "PGHOST": "127.0.0.1", "PGPORT": "\(bench.port)", "PGUSER": user, "PGDATABASE": "postgres",
                    "PGPASSWORD": password, "PGSSLMODE": "disable",
                ])
        }
        #expect(try await psql("someone", "secret") == "someone\n")
        for (user, password) in [("someone", "wrong"), ("nobody", "secret"), ("postgres", "")] {
            await #expect(throws: LocalServerError.self) { try await psql(user, password) }
        }
        await bench.proxy.stop()
        await postgres.stop()
    }

    @Test func bytesAheadOfTLSAreRefused() async throws {
        let postgres = try await LocalPostgres.start()
        let tls = try await LocalTLS.make()
        let door = ProxyDoor(tls: try TLSServer(certificateFile: tls.certificateFile, keyFile: tls.keyFile))
        let bench = try ProxyBench.start(postgres, door: door)
        let request = C.int32(8) + C.int32(1234 << 16 | 5679)
        let attacker = try C(connectingTo: bench.port)
        attacker.send(request + C.startup(user: "postgres", database: "postgres"))
        while let byte = try? attacker.readByte() { #expect(byte == UInt8(ascii: "S")) }
        let asked = try await LocalServer.run(
            postgres.programs + "/psql", ["-X", "-A", "-t", "-c", "\\conninfo"], folder: postgres.server.folder,
            user: LocalServer.unprivilegedUser,
            environment: [
                "PGHOST": "127.0.0.1", "PGPORT": "\(bench.port)", "PGUSER": "postgres", "PGDATABASE": "postgres",
                "PGSSLMODE": "require", "HOME": postgres.server.folder.path,
            ])
        #expect(asked.contains("SSL connection"))
        await bench.proxy.stop()
        await postgres.stop()
    }
}

/// What the words of a statement tell.
struct StatementScanTests {
    private func effects(_ text: String) -> SessionEffects { StatementScan(Array(text.utf8).span).effects }

    @Test(arguments: [
        "SELECT 1", "SELECT abalance FROM pgbench_accounts WHERE aid = 7;",
        "SELECT count(*), max(a) FROM t WHERE b IN (1, 2)",
        "INSERT INTO t (a, b) VALUES (1, now())",
        "INSERT INTO public.t (a) VALUES ($1) ON CONFLICT (a) DO UPDATE SET b = 1",
        "UPDATE t SET a = lower('set_config(') WHERE b = $$pg_advisory_lock()$$", "BEGIN; COMMIT",
        "SET LOCAL work_mem = 1",
        "SET TRANSACTION READ ONLY", "CREATE TABLE t (a int, b numeric(10, 2))", "SELECT temp FROM weather -- LISTEN",
        "WITH x AS (SELECT 1) SELECT * FROM x /* SET a /* b */ = 1 */", "SELECT pg_catalog.lower('a')",
        "PREPARE TRANSACTION 'a'",
        "CREATE TABLE IF NOT EXISTS t (id int)", "SELECT 'it''s' || \"odd name\" FROM t",
    ]) func harmless(_ text: String) { #expect(effects(text) == [], Comment(rawValue: text)) }

    @Test(arguments: [
        ("SET work_mem = 1", SessionEffects.settings), ("set search_path to a", .settings), ("RESET ALL", .settings),
        ("SELECT set_config('a', 'b', false)", .settings), ("SELECT \"set_config\"('a', 'b', false)", .settings),
        ("SELECT 1; SET work_mem = 1", .settings), ("SELECT mine()", .unknownCode), ("DO $$ $$", .unknownCode),
        ("CALL p()", .unknownCode), ("SELECT mine.lower('a')", .unknownCode), ("SELECT '\\'", .unknownCode),
        ("SELECT pg_advisory_lock(1)", .advisoryLock), ("SELECT pg_try_advisory_lock_shared(1)", .advisoryLock),
        ("CREATE TEMP TABLE t (a int)", .temporary), ("CREATE LOCAL TEMPORARY TABLE t (a int)", .temporary),
        ("SELECT 1 AS a INTO TEMP t", .temporary), ("CREATE TABLE pg_temp.t (a int)", .temporary),
        ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", .holdCursor), ("PREPARE p AS SELECT 1", .sqlPrepare),
        ("LISTEN a", .listen),
        ("LOAD 'x'", .loadedLibrary), ("SELECT 1 /* ' */; LISTEN a", .listen),
    ]) func telling(_ text: String, _ effect: SessionEffects) {
        #expect(effects(text).contains(effect), Comment(rawValue: text))
    }
}
