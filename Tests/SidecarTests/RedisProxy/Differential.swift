import RedisTesting
import Runtime

/// Several clients of the proxy, each beside a twin of a plain Redis. A step is done by both, one after the other, and
/// nobody does anything meanwhile, so that both servers see the same commands in the same order.
final class Differential {
    struct Difference: CustomStringConvertible {
        let command: String
        let ours: String
        let theirs: String

        var description: String { "\(command)\n  proxy: \(ours)\n  Redis: \(theirs)" }
    }

    struct Ports: Sendable {
        let proxy: UInt16
        /// The Redis behind the proxy.
        let behind: UInt16
        let plain: UInt16
    }

    /// A client, its twin, and what both have queued.
    private struct Pair {
        let ours: RawClient
        let theirs: RawClient
        var isQueueing = false
        var queued: [ReplyComparison] = []

        init(_ ports: Ports, patience: Duration) throws {
            ours = try RawClient(port: ports.proxy, patience: patience)
            theirs = try RawClient(port: ports.plain, patience: patience)
        }
    }

    private let ports: Ports
    private let patience: Duration
    private var pairs: [Pair] = []
    private let subscribers: [Pair]
    /// Connections to the two servers past the proxy.
    private let sides: [RawClient]
    private(set) var replies = 0

    /// Both servers are emptied.
    init(_ ports: Ports, clients: Int, patience: Duration = .seconds(20)) throws {
        self.ports = ports
        self.patience = patience
        sides = try [ports.behind, ports.plain].map { try RawClient(port: $0) }
        let first = try Pair(ports, patience: patience)
        for words in [
            ["FLUSHALL"], ["SCRIPT", "FLUSH"], ["FUNCTION", "FLUSH"],
            ["CONFIG", "SET", "hash-max-listpack-entries", "128"],
            ["CONFIG", "SET", "set-max-intset-entries", "512"],
        ] {
            for client in [first.ours, first.theirs] { _ = try client.ask(words.map { Array($0.utf8) }) }
        }
        pairs = try (0..<clients).map { _ in try Pair(ports, patience: patience) }
        subscribers = try (0..<2).map { number in
            let pair = try Pair(ports, patience: patience)
            for client in [pair.ours, pair.theirs] {
                if number == 1 { try client.ask("HELLO", "3") }
                try client.ask("SUBSCRIBE", "news")
                try client.ask("PSUBSCRIBE", "n*s")
            }
            return pair
        }
    }

    /// Does it on both sides. Returns the first difference in what was answered.
    func perform(_ step: DifferentialStep) throws -> Difference? {
        let client = step.client
        switch step.kind {
        case .burst(let commands, let cuts):
            let bytes = commands.flatMap(\.bytes)
            pairs[client].ours.send(bytes, cutAt: cuts)
            pairs[client].theirs.send(bytes)
            return try readReplies(to: commands, client)
        case .hushed(let commands, let count):
            guard !pairs[client].isQueueing else { return nil }
            let bytes = commands.flatMap(\.bytes)
            pairs[client].ours.send(bytes)
            pairs[client].theirs.send(bytes)
            return try readReplies(to: Array(commands.suffix(count)), client)
        case .shortLife(let writes, let key, let reads): return try liveShortly(client, writes, key, reads)
        case .last(let bytes):
            pairs[client].ours.send(bytes)
            pairs[client].theirs.send(bytes)
            let (ours, theirs) = (try ends(pairs[client].ours), try ends(pairs[client].theirs))
            pairs[client] = try Pair(ports, patience: patience)
            return ours == theirs ? nil : Difference(command: readable(bytes), ours: ours, theirs: theirs)
        case .reconnect:
            pairs[client] = try Pair(ports, patience: patience)
            return nil
        case .waits(let list, let dies): return try wait(for: list, dies: dies)
        case .published(let text): return try publish(text, client)
        }
    }

    private func readReplies(to commands: [Invocation], _ client: Int) throws -> Difference? {
        for command in commands where !command.words.isEmpty {
            let ours = try reply(of: pairs[client].ours)
            let theirs = try reply(of: pairs[client].theirs)
            replies += 1
            let comparison = ReplyComparison.of(command.words)
            let isExecuted = command.name == "EXEC" && pairs[client].isQueueing
            let queued = isExecuted ? pairs[client].queued : nil
            guard comparison.accepts(ours, theirs, queued: queued) else {
                let words = command.words.map { readable($0, most: 100) }.joined(separator: " ")
                return Difference(command: words, ours: readable(ours), theirs: readable(theirs))
            }
            note(command, comparison, answered: theirs, client)
        }
        return nil
    }

    /// Follows the client's transaction.
    private func note(_ command: Invocation, _ comparison: ReplyComparison, answered reply: [UInt8], _ client: Int) {
        if reply == Array("+QUEUED\r\n".utf8) { return pairs[client].queued.append(comparison) }
        switch command.name {
        case "MULTI" where reply.first == UInt8(ascii: "+"):
            (pairs[client].isQueueing, pairs[client].queued) = (true, [])
        case "EXEC", "DISCARD", "RESET":
            guard command.words.count == 1 else { return }
            (pairs[client].isQueueing, pairs[client].queued) = (false, [])
        default: return
        }
    }

    /// A reply; closing and silence are told in words, as they have to be the same, too.
    private func reply(of client: RawClient) throws -> [UInt8] {
        do { return try client.nextReply() } catch RawClient.Failure.closed {
            return Array("closed".utf8)
        } catch RawClient.Failure.silent { return Array("silent".utf8) }
    }

    private func ends(_ client: RawClient) throws -> String {
        do { return readable(try client.readToEnd()) } catch RawClient.Failure.silent { return "stays open" }
    }

    private func liveShortly(_ client: Int, _ writes: [Invocation], _ key: [UInt8], _ reads: [Invocation]) throws
        -> Difference?
    {
        guard !pairs[client].isQueueing else { return nil }
        let bytes = writes.flatMap(\.bytes)
        // The reads that may fill a cache come too early to be compared.
        let early = reads.filter { $0.name != "SET" }
        pairs[client].ours.send(bytes + early.flatMap(\.bytes))
        pairs[client].theirs.send(bytes + early.flatMap(\.bytes))
        for _ in 0..<(writes.count + early.count) {
            _ = try pairs[client].ours.nextReply()
            _ = try pairs[client].theirs.nextReply()
        }
        BlockingWait.milliseconds(14)
        // What has expired is counted by DBSIZE until somebody comes across it.
        for side in sides {
            for database in 0..<3 {
                side.send(command("SELECT", "\(database)") + command([Array("EXISTS".utf8), key]))
                for _ in 0..<2 { _ = try side.nextReply() }
            }
        }
        let late = reads.flatMap(\.bytes)
        pairs[client].ours.send(late)
        pairs[client].theirs.send(late)
        return try readReplies(to: reads, client)
    }

    private func wait(for list: String, dies: Bool) throws -> Difference? {
        let (waiter, other) = (try Pair(ports, patience: patience), try Pair(ports, patience: patience))
        for client in [waiter.ours, waiter.theirs] { client.send(command("BLPOP", list, "0")) }
        try sides.forEach { try waitUntil($0, blocks: 1) }
        if dies {
            for client in [waiter.ours, waiter.theirs] { client.hangUp() }
            try sides.forEach { try waitUntil($0, blocks: 0) }
        }
        var answers = try [other.ours, other.theirs].map { try $0.ask("RPUSH", list, "one", "two") }
        if !dies {
            answers[0] += readable(try reply(of: waiter.ours))
            answers[1] += readable(try reply(of: waiter.theirs))
        }
        answers[0] += try other.ours.ask("LRANGE", list, "0", "-1") + other.ours.ask("DEL", list)
        answers[1] += try other.theirs.ask("LRANGE", list, "0", "-1") + other.theirs.ask("DEL", list)
        guard answers[0] != answers[1] else { return nil }
        return Difference(command: "BLPOP \(list)", ours: answers[0], theirs: answers[1])
    }

    private func waitUntil(_ side: RawClient, blocks count: Int) throws {
        let deadline = Deadline.after(.seconds(120))
        while !deadline.hasPassed {
            if try side.ask("INFO", "clients").contains("blocked_clients:\(count)\r\n") { return }
            BlockingWait.milliseconds(1)
        }
    }

    private func publish(_ text: String, _ client: Int) throws -> Difference? {
        guard !pairs[client].isQueueing else { return nil }
        let message = Invocation("PUBLISH", "news", text)
        pairs[client].ours.send(message.bytes)
        pairs[client].theirs.send(message.bytes)
        if let difference = try readReplies(to: [message], client) { return difference }
        for subscriber in subscribers {
            let (ours, theirs) = try (messages(subscriber.ours, to: text), messages(subscriber.theirs, to: text))
            if ours != theirs { return Difference(command: "messages to \(text)", ours: ours, theirs: theirs) }
        }
        return nil
    }

    /// What was pushed until the text came for the channel and for the pattern.
    private func messages(_ client: RawClient, to text: String) throws -> String {
        var (pushed, seen) = ("", 0)
        while seen < 2 {
            let message = try reply(of: client)
            pushed += readable(message, most: 200) + " "
            if message.first != UInt8(ascii: "*"), message.first != UInt8(ascii: ">") { return pushed }
            if Reply(message).elements.last?.text == text { seen += 1 }
        }
        return pushed
    }
}
