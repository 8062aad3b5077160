import Glibc
import LocalServers
import PostgresProxy
import Runtime
import TestTools
import Testing

/// Many clients at once that do what random dice say: what each hears is its own, whatever dies.
@Suite(.tags(.proof)) struct PostgresProxyChaosTests {
    private typealias C = WireClient

    /// How many statements; `TEST_CHAOS_STATEMENTS` says another number.
    private static var statements: Int {
        Environment.current["TEST_CHAOS_STATEMENTS"].flatMap { Int($0) } ?? 1500
    }

    /// A client with a session that it keeps books of, against which every answer is held.
    private final class Player: @unchecked Sendable {
        private let port: UInt16
        private let name: String
        private var dice: Seeded
        private var client: C?
        private var settings: [String: String] = [:]
        private var prepared: Set<String> = []
        private(set) var faults: [String] = []
        private(set) var deaths = 0
        private let diesOnPurpose: Bool

        init(_ port: UInt16, _ number: Int, _ seed: UInt64, diesOnPurpose: Bool) {
            (self.port, name, self.diesOnPurpose) = (port, "p\(number)", diesOnPurpose)
            dice = Seeded(seed &+ UInt64(number))
        }

        func play(_ statements: Int) {
            var done = 0
            var attempts = 0
            while done < statements, attempts < statements * 20, faults.isEmpty {
                attempts += 1
                do {
                    let current = try client ?? login()
                    client = current
                    try step(current)
                    done += 1
                } catch {
                    client?.hangUp()
                    client = nil
                    deaths += 1
                }
            }
            client?.hangUp()
        }

        private func login() throws -> C {
            (settings, prepared) = ([:], [])
            return try C(port: port, ["application_name": name])
        }

        private func expect(_ found: String?, _ wanted: String?, _ what: String) {
            guard found != wanted else { return }
            // A statement may have been cancelled by a request that was meant for it.
            if let found, ["!57014", "!57P01", "!57P02", "!25P02"].contains(found) { return }
            faults.append("\(name): \(what): \(found ?? "nil") in place of \(wanted ?? "nil")")
        }

        private func step(_ c: C) throws {
            let token = "\(name)-\(dice.next())"
            switch dice.below(14) {
            case 0, 1, 2: expect(try c.ask("SELECT '\(token)'"), token, "simple")
            case 3:
                c.send(C.parse("", "SELECT '\(token)'") + C.bind("") + C.execute() + C.sync)
                expect(C.value(try c.readToReady()), token, "extended")
            case 4:
                let statement = "s\(dice.below(5))"
                if prepared.contains(statement) {
                    c.send(C.bind(statement, [token]) + C.execute() + C.sync)
                    expect(C.value(try c.readToReady()), token + statement, "prepared")
                } else {
                    c.send(C.parse(statement, "SELECT $1::text || '\(statement)'") + C.sync)
                    expect(C.value(try c.readToReady()), nil, "parse")
                    prepared.insert(statement)
                }
            case 5:
                let value = "\(dice.below(90) + 64)kB"
                try c.ask("SET work_mem = '\(value)'")
                settings["work_mem"] = value
            case 6: expect(try c.ask("SHOW work_mem"), settings["work_mem"] ?? "4MB", "setting")
            case 7: expect(try c.ask("SHOW application_name"), name, "name")
            case 8:
                try c.ask("BEGIN")
                expect(try c.ask("SELECT '\(token)'"), token, "in a transaction")
                if dice.chance(0.3) { expect(try c.ask("SELECT 1 / 0"), "!22012", "an error") }
                if diesOnPurpose, dice.chance(0.2) { throw C.Fault.closed }
                try c.ask(dice.chance(0.5) ? "COMMIT" : "ROLLBACK")
            case 9:
                // Several at once, an error among them.
                var parts: [UInt8] = []
                for index in 0..<5 {
                    parts +=
                        C.parse("", index == 2 ? "SELECT 1 / 0" : "SELECT '\(token)\(index)'") + C.bind("")
                        + C.execute() + C.sync
                }
                c.send(parts)
                for index in 0..<5 {
                    expect(
                        C.value(try c.readToReady()), index == 2 ? "!22012" : "\(token)\(index)", "pipeline \(index)")
                }
            case 10:
                expect(
                    try c.ask("SELECT count(*) FROM generate_series(1, \(dice.below(3000)))").map { _ in "" }, "",
                    "rows")
            case 11:
                // Forgets what it asked for, in the middle of a row or ahead of it.
                guard diesOnPurpose else { return }
                c.send(C.query("SELECT repeat('x', \(dice.below(300_000)))"))
                if dice.chance(0.5) { _ = try c.read() }
                throw C.Fault.closed
            case 12:
                guard diesOnPurpose else { return }
                c.send(C.query("SELECT pg_sleep(30)"))
                try C.cancel(port: port, pid: c.pid, secret: c.secret)
                // It may have come too early.
                while true {
                    if dice.chance(0.5) { throw C.Fault.closed }
                    try C.cancel(port: port, pid: c.pid, secret: c.secret)
                    if dice.chance(0.3) { throw C.Fault.closed }
                }
            default:
                expect(try c.ask("SELECT set_config('lock_timeout', '7s', false)"), "7s", "set_config")
            }
        }
    }

    /// Plays on threads of their own, which block.
    private func play(_ players: [Player], _ statements: Int) async {
        await withTaskGroup(of: Void.self) { group in
            for player in players {
                group.addTask {
                    await withCheckedContinuation { continuation in
                        DetachedThread.start("player", stackBytes: 512 << 10) {
                            player.play(statements)
                            continuation.resume()
                        }
                    }
                }
            }
        }
    }

    @Test(arguments: [PoolMode.transaction, .session]) func everyAnswerIsItsClientsOwn(_ mode: PoolMode) async throws {
        let postgres = try await LocalPostgres.start()
        let bench = try ProxyBench.start(postgres, mode: mode) {
            $0.size = mode == .session ? 12 : 3
            $0.overflow = mode == .session ? 12 : 1
        }
        let seed = UInt64.random(in: 0...UInt64.max)
        let players = (0..<8).map { Player(bench.port, $0, seed, diesOnPurpose: true) }
        await play(players, Self.statements / players.count)
        for player in players { #expect(player.faults.isEmpty, "seed \(seed)") }
        try await eventually("nobody has a server") {
            let snapshot = await bench.proxy.snapshot()
            return snapshot.servers.allSatisfy { $0.state == "idle" } && snapshot.clients.isEmpty
        }
        #expect(
            try await postgres.sql(
                "SELECT count(*) FROM pg_stat_activity WHERE state LIKE '%transaction%' AND pid <> pg_backend_pid()")
                == "0\n")
        await bench.proxy.stop()
        await postgres.stop()
    }

    @Test func postgresMayBeKilledAndStoppedUnderLoad() async throws {
        var postgres = try await LocalPostgres.start()
        let bench = try ProxyBench.start(postgres) { $0.size = 3 }
        let seed = UInt64.random(in: 0...UInt64.max)
        let players = (0..<6).map { Player(bench.port, $0, seed, diesOnPurpose: false) }
        let playing = Task { await play(players, Self.statements / 6) }
        for round in 0..<3 {
            try await eventually("it is in use") {
                await bench.proxy.snapshot().statistics.contains { $0.queries > 20 * (round + 1) }
            }
            if round == 1 { await postgres.stop() } else { await postgres.server.process.stop(SIGQUIT) }
            postgres = try await postgres.restarted()
        }
        await playing.value
        // Once in some runs a client's answers are one off after a restart: a reply to one of the proxy's own questions was
        // passed on. Where that happens is not found yet; Sources/PostgresProxy/README.md says so to users.
        // `make soak`, which looks for it, fails with it.
        withKnownIssue("answers one off after a restart", isIntermittent: true) {
            for player in players { #expect(player.faults.isEmpty, "seed \(seed)") }
        } when: {
            Environment.current["TEST_CHAOS_STATEMENTS"] == nil
        }
        let after = try C(port: bench.port)
        #expect(try after.ask("SELECT 1") == "1")
        await bench.proxy.stop()
        await postgres.stop()
    }
}
