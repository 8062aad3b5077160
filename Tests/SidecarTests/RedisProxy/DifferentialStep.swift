import RedisTesting
import TestTools

/// One step of the differential fuzzer, complete in itself, so that a run can be repeated without what came before.
struct DifferentialStep: Sendable, CustomStringConvertible {
    enum Kind: Sendable {
        /// Commands sent at once, in pieces that end at `cuts`.
        case burst([Invocation], cuts: [Int])
        /// A burst that gets as many replies as told: `CLIENT REPLY`.
        case hushed([Invocation], replies: Int)
        /// A key that lives for some milliseconds is written, read, and read again when it must be gone.
        case shortLife([Invocation], key: [UInt8], reads: [Invocation])
        /// Bytes after which the server closes: `QUIT` and what is no command.
        case last([UInt8])
        /// The client goes without a word and comes back.
        case reconnect
        /// A client waits for a list; then it goes, or another one fills the list.
        case waits(list: String, dies: Bool)
        /// A message, and all that the subscribers have got until then.
        case published(String)
    }

    let client: Int
    let kind: Kind

    /// A burst's commands as steps of their own.
    var oneByOne: [DifferentialStep] {
        guard case .burst(let commands, _) = kind else { return [self] }
        return commands.map { DifferentialStep(client: client, kind: .burst([$0], cuts: [])) }
    }

    var description: String {
        func told(_ invocations: [Invocation]) -> String {
            invocations.map { invocation in
                invocation.words.map { readable($0, most: 60) }.joined(separator: " ")
                    + (invocation.isInline ? " (inline)" : "")
            }.joined(separator: " | ")
        }
        let action =
            switch kind {
            case .burst(let commands, let cuts): told(commands) + (cuts.isEmpty ? "" : " (cut at \(cuts))")
            case .hushed(let commands, let replies): told(commands) + " (\(replies) replies)"
            case .shortLife(let commands, _, let reads): told(commands) + " … " + told(reads)
            case .last(let bytes): "to the end: " + readable(bytes)
            case .reconnect: "reconnects"
            case .waits(let list, let dies): "a client waits for \(list)\(dies ? " and dies" : "")"
            case .published(let text): "publishes \(text)"
            }
        return "client \(client): \(action)"
    }
}

/// Draws steps.
struct DifferentialSteps {
    private var commands = RandomCommands()
    private var random: Seeded
    private let clients: Int
    private var isQueueing: [Bool]
    private var serial = 0

    init(seed: UInt64, clients: Int) {
        random = Seeded(seed)
        self.clients = clients
        isQueueing = Array(repeating: false, count: clients)
    }

    mutating func next() -> DifferentialStep {
        serial += 1
        let client = Int.random(in: 0..<clients, using: &random)
        return DifferentialStep(client: client, kind: kind(for: client))
    }

    /// Two clients stay on the path that most commands take. What puts them on another one they leave by reconnecting.
    private func isPlain(_ client: Int) -> Bool { client < 2 }

    private mutating func kind(for client: Int) -> DifferentialStep.Kind {
        if isPlain(client), random.chance(0.05) { return .reconnect }
        switch Int.random(in: 0..<1000, using: &random) {
        case 0..<4: return .last(random.pick(Self.lastWords))
        case 4..<7:
            isQueueing[client] = false
            return .reconnect
        case 7..<11: return .waits(list: "wait:\(serial)", dies: random.chance(0.4))
        case 11..<20: return .published("message \(serial)")
        case 20..<26: return hushed()
        case 26..<38: return shortLife()
        default:
            let count = random.chance(0.12) ? Int.random(in: 2...24, using: &random) : 1
            let burst = (0..<count).map { _ in command(for: client) }
            guard random.chance(0.1) else { return .burst(burst, cuts: []) }
            let length = burst.reduce(0) { $0 + $1.bytes.count }
            let cuts = (0..<Int.random(in: 1...3, using: &random)).map { _ in Int.random(in: 0..<length, using: &random)
            }
            return .burst(burst, cuts: cuts.sorted())
        }
    }

    /// What belongs to transactions is drawn so that they begin and end.
    private mutating func command(for client: Int) -> Invocation {
        if isPlain(client) { return commands.next(plain: true, &random) }
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<2:
            isQueueing[client] = true
            return Invocation("MULTI")
        case 2: return Invocation(["WATCH", "s1", "h1"].map { Array($0.utf8) })
        case 3: return Invocation("WATCH", random.pick(["s2", "s3", "l1", "z1"]))
        case 4: return Invocation("UNWATCH")
        case 5: return Invocation(random.chance(0.5) ? "EXEC" : "DISCARD")
        case 6..<20 where isQueueing[client]:
            isQueueing[client] = false
            return Invocation(random.chance(0.85) ? "EXEC" : "DISCARD")
        default: return commands.next(plain: false, &random)
        }
    }

    private mutating func hushed() -> DifferentialStep.Kind {
        let write = Invocation("SET", random.pick(["s1", "s2", "s3"]), "hushed \(serial)")
        let read = Invocation("GET", random.pick(["s1", "s2", "s3"]))
        guard random.chance(0.5) else {
            return .hushed([Invocation("CLIENT", "REPLY", "SKIP"), write, read], replies: 1)
        }
        return .hushed(
            [Invocation("CLIENT", "REPLY", "OFF"), write, read, Invocation("CLIENT", "REPLY", "ON"), read], replies: 2)
    }

    private mutating func shortLife() -> DifferentialStep.Kind {
        let key = random.pick(["s1", "s2", "s3", "h1", "z1"])
        let life = "\(Int.random(in: 1...12, using: &random))"
        let writes = random.pick([
            [Invocation("SET", key, "soon gone", "PX", life)],
            [Invocation("PSETEX", key, life, "soon gone")],
            [Invocation("SET", key, "soon gone"), Invocation("PEXPIRE", key, life)],
            [Invocation("SET", key, "soon gone"), Invocation("GETEX", key, "PX", life)],
            [Invocation("PEXPIRE", key, life)],
        ])
        let reads = [
            Invocation("GET", key), Invocation("EXISTS", key), Invocation("STRLEN", key), Invocation("TYPE", key),
            Invocation("MGET", key, "s1"), Invocation("PTTL", key), Invocation("SET", key, "again", "NX"),
            Invocation("HGETALL", key), Invocation("ZSCORE", key, "f"),
        ].shuffled(using: &random).prefix(3)
        return .shortLife(writes, key: Array(key.utf8), reads: Array(reads))
    }

    private static let lastWords: [[UInt8]] =
        [
            "QUIT\r\n", "*1\r\n$4\r\nquit\r\n", "*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nQUIT\r\n*1\r\n$4\r\nPING\r\n",
            "*1\r\n:1\r\n", "*1\r\n$-5\r\n", "*1\r\n$x\r\n", "*99999999999\r\n", "*x\r\n",
            "*2\r\n$3\r\nGET\r\n$99999999999\r\n", "GET \"x\r\n", "PING\r\nGET 'x\r\n", "*2\r\n$3\r\nGET\r\n$-1\r\n",
            "*1\r\n$4\r\nPING\r\n*1\r\nPING\r\n", "*2\r\n$4\r\nECHO\r\n$2\r\nab\r\n*1\r\n+x\r\n",
        ].map { Array($0.utf8) }
}
