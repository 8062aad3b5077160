import RedisTesting
import Runtime
import Synchronization
import TestTools

/// One reader and writer of versioned keys, who holds every answer against the keys' histories.
final class StalenessClient {
    /// What all clients tell.
    final class Log: Sendable {
        struct Told: Sendable {
            var operations = 0
            var reads = (inside: 0, outside: 0)
            var lost = 0
            var violations: [String] = []
        }

        let told = Mutex(Told())
        let isOver = Atomic(false)
    }

    private let port: UInt16
    private let side: KeyHistory.Side
    private let number: Int
    private let keys: [VersionedKey]
    private let grace: Duration
    private let log: Log
    private var random: Seeded
    private var socket: RawClient?

    /// - Parameter grace: how much later clients of the proxy are owed what this one writes.
    init(
        _ number: Int, port: UInt16, side: KeyHistory.Side, _ keys: [VersionedKey], grace: Duration, seed: UInt64,
        _ log: Log
    ) {
        self.number = number
        self.port = port
        self.side = side
        self.keys = keys
        self.grace = side == .inside ? .zero : grace
        self.log = log
        random = Seeded(seed &+ UInt64(number) &* 7919)
    }

    private enum Action {
        case write(VersionedKey, Int, VersionedKey.Write)
        case remove(VersionedKey, Int, [[String]])
        case read(VersionedKey, VersionedKey.Read, KeyHistory.Question)

        var commands: [[String]] {
            switch self {
            case .write(_, _, let write): write.commands
            case .remove(_, _, let commands): commands
            case .read(_, let read, _): read.commands
            }
        }
    }

    /// Until the log says it is over.
    func run() {
        while !log.isOver.load(ordering: .relaxed) {
            guard let socket = socket ?? connect() else {
                BlockingWait.milliseconds(5)
                continue
            }
            self.socket = socket
            if random.chance(isPlain ? 0.01 : 0.002) {
                self.socket = nil
                continue
            }
            perform(plan(), on: socket)
        }
    }

    /// Three of the clients inside stay on the path that most commands take.
    private var isPlain: Bool { side == .inside && number % 4 != 1 && number % 4 != 2 }

    /// Clients differ in what their connections have been through.
    private func connect() -> RawClient? {
        guard let socket = try? RawClient(port: port) else { return nil }
        let greetings: [[String]] =
            switch number % 4 {
            case 1: [["HELLO", "3"]]
            case 2: [["SELECT", "1"], ["SELECT", "0"]]
            default: []
            }
        for words in greetings {
            // Without Redis, it may be refused: then the connection is not what it is to be.
            guard let reply = try? socket.ask(words.map { Array($0.utf8) }), reply.first != UInt8(ascii: "-") else {
                return nil
            }
        }
        return socket
    }

    private func plan() -> [Action] {
        let writes = side == .inside ? 0.2 : 0.5
        var own: [String: Int] = [:]
        return (0..<(random.chance(0.3) ? Int.random(in: 2...8, using: &random) : 1)).map { _ in
            let key = random.pick(keys)
            guard random.chance(writes) else {
                let read = key.read(plain: isPlain, &random)
                let question = KeyHistory.Question(
                    side: side, asked: KeyHistory.now, after: own[key.name], isPlain: read.isPlain)
                return .read(key, read, question)
            }
            if random.chance(0.06) {
                own[key.name] = nil
                return .remove(key, key.history.begin(removes: true), key.removal(&random))
            }
            let isShort = key.kind == .string && random.chance(0.15)
            let life: Duration? = isShort ? .milliseconds(Int.random(in: 1...40, using: &random)) : nil
            let number = key.history.begin(life: life)
            // What expires may be gone when it is asked for.
            own[key.name] = life == nil ? number : nil
            let write = key.write(number, life: life, plain: isPlain, &random)
            if write.store?.withoutSource == .removed { key.history.mayEmpty(number) }
            return .write(key, number, write)
        }
    }

    private func perform(_ actions: [Action], on socket: RawClient) {
        socket.send(actions.flatMap(\.commands).flatMap { command($0.map { Array($0.utf8) }) })
        var isLost = false
        for action in actions {
            var replies: [Reply] = []
            for _ in action.commands where !isLost {
                if let bytes = try? socket.nextReply() { replies.append(Reply(bytes)) } else { isLost = true }
            }
            settle(action, isLost ? nil : replies)
        }
        log.told.withLock {
            $0.operations += actions.count
            if isLost { $0.lost += 1 }
        }
        if isLost { self.socket = nil }
    }

    private func settle(_ action: Action, _ replies: [Reply]?) {
        switch action {
        case .write(let key, let number, let write):
            guard let replies else { return key.history.fail(number) }
            switch write.outcome(replies) {
            case .nothing: key.history.fail(number)
            case .removed: key.history.acknowledge(number, hasEmptied: true, grace: grace)
            case .written: key.history.acknowledge(number, grace: grace)
            }
        case .remove(let key, let number, _):
            let isRefused = replies?.contains { if case .error = $0 { true } else { false } } ?? true
            if isRefused {
                key.history.fail(number, removes: true)
            } else {
                key.history.acknowledge(number, removes: true, grace: grace)
            }
        case .read(let key, let read, let question):
            guard let reply = replies?.last else { return }
            if case .error = reply { return }
            judge(reply, key, read, question)
        }
    }

    private func judge(_ reply: Reply, _ key: VersionedKey, _ read: VersionedKey.Read, _ question: KeyHistory.Question)
    {
        let complaint: String?
        do {
            complaint = key.history.judge(try key.number(in: read.value(reply)), question)?.description
        } catch { complaint = "what belongs to somebody else: \(reply)" }
        log.told.withLock {
            if side == .inside { $0.reads.inside += 1 } else { $0.reads.outside += 1 }
            guard let complaint, $0.violations.count < 20 else { return }
            let words = read.commands.map { $0.joined(separator: " ") }.joined(separator: " | ")
            $0.violations.append("\(side) client \(number): \(words) told \(complaint)\n\(question)\n\(key.history)")
        }
    }
}
