import RedisTesting

/// What of a reply has to be the same on both sides, where not every byte. This list is all that is forgiven; an error
/// is never.
enum ReplyComparison: Sendable {
    case exact
    /// The same elements in any order.
    case unordered
    /// The same pairs of key and value in any order.
    case unorderedPairs
    /// Cursors aside, the same elements, which may come twice.
    case scan
    /// Integers that far apart.
    case near(Int)
    /// The same type, and null only where the other is.
    case shape
    /// The same first line, so of a string its length.
    case firstLine
    /// All but the connection's number.
    case hello

    /// By the command's name, and its subcommand where it has any.
    static func of(_ words: [[UInt8]]) -> ReplyComparison {
        let name = words.first.map { String(decoding: $0, as: UTF8.self).lowercased() } ?? ""
        if let found = byName[name] { return found }
        guard words.count > 1, containers.contains(name) else { return name == "command" ? .shape : .exact }
        return byName[name + " " + String(decoding: words[1], as: UTF8.self).lowercased()] ?? .exact
    }

    private static let containers: Set = ["client", "command", "function", "memory", "object"]

    private static let byName: [String: ReplyComparison] = [
        // Redis seeds its hash tables anew with every start.
        "smembers": .unordered, "sinter": .unordered, "sunion": .unordered, "sdiff": .unordered, "hkeys": .unordered,
        "hvals": .unordered, "keys": .unordered, "spop": .unordered, "srandmember": .unordered,
        "hrandfield": .unordered, "zrandmember": .unordered, "hgetall": .unorderedPairs, "function list": .shape,
        "command docs": .shape,
        "scan": .scan, "sscan": .scan, "hscan": .scan, "zscan": .scan, "dump": .firstLine,
        // Clocks and dice.
        "ttl": .near(1), "expiretime": .near(1), "pttl": .near(2000), "pexpiretime": .near(2000),
        "object idletime": .near(1000), "randomkey": .shape, "time": .shape, "lastsave": .shape, "info": .shape,
        "memory usage": .shape,
        // Connections.
        "hello": .hello, "client id": .shape, "client list": .shape, "client info": .shape,
    ]

    /// - Parameter queued: the comparisons of the commands in a transaction; nil where this reply is not that of `EXEC`.
    func accepts(_ ours: [UInt8], _ theirs: [UInt8], queued: [ReplyComparison]? = nil) -> Bool {
        if ours == theirs { return true }
        guard ours.first == theirs.first, ours.first != UInt8(ascii: "-") else { return false }
        if case .firstLine = self { return Self.firstLine(ours) == Self.firstLine(theirs) }
        let (our, their) = (Reply(ours), Reply(theirs))
        guard let queued else {
            if case .shape = self { return accepts(our, their) }
            // The type and the number of elements are the same whatever their order.
            guard case .array = their, case .scan = self else {
                return accepts(our, their) && (their.integer != nil || Self.firstLine(ours) == Self.firstLine(theirs))
            }
            return accepts(our, their)
        }
        guard our.elements.count == their.elements.count, queued.count == their.elements.count else { return false }
        return zip(queued, zip(our.elements, their.elements)).allSatisfy { $0.accepts($1.0, $1.1) }
    }

    private func accepts(_ ours: Reply, _ theirs: Reply) -> Bool {
        if ours == theirs { return true }
        if case .error = theirs { return false }
        switch self {
        case .exact: return false
        case .unordered: return sorted(ours.elements) == sorted(theirs.elements)
        case .unorderedPairs: return sorted(pairs(ours.elements)) == sorted(pairs(theirs.elements))
        case .scan:
            guard ours.elements.count == 2, theirs.elements.count == 2, ours.elements[0] == theirs.elements[0] else {
                return false
            }
            return Set(sorted(ours.elements[1].elements)) == Set(sorted(theirs.elements[1].elements))
        case .near(let distance):
            guard let left = ours.integer, let right = theirs.integer, left >= 0, right >= 0 else { return false }
            return abs(left - right) <= distance
        case .shape: return (ours == .null) == (theirs == .null) && (ours.integer == nil) == (theirs.integer == nil)
        case .firstLine:
            // Inside a transaction the line is gone; a string's length is left.
            guard case .text(let left) = ours, case .text(let right) = theirs else { return false }
            return left.count == right.count
        case .hello: return withoutNumber(ours.elements) == withoutNumber(theirs.elements)
        }
    }

    private func sorted(_ replies: [Reply]) -> [String] { replies.map(\.description).sorted() }

    private func pairs(_ replies: [Reply]) -> [Reply] {
        stride(from: 0, to: replies.count - 1, by: 2).map { .array([replies[$0], replies[$0 + 1]]) }
    }

    private func withoutNumber(_ replies: [Reply]) -> [Reply] {
        var replies = replies
        if let place = replies.firstIndex(where: { $0.text == "id" }), place + 1 < replies.count {
            replies[place + 1] = .null
        }
        return replies
    }

    private static func firstLine(_ bytes: [UInt8]) -> [UInt8] { Array(bytes.prefix { $0 != 13 }) }
}
