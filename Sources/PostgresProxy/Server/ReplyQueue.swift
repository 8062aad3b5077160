/// What a server still has to answer, in the order in which it was asked: whose each reply is, and what it ends.
///
/// A ring, so that asking and answering cost a few instructions and no allocation.
struct ReplyQueue {
    /// What was sent, by what ends its reply.
    enum Kind: UInt8 {
        case parse, bind, describe, execute, close
        /// These end with ReadyForQuery.
        case sync, query, functionCall
        /// The end of what a client copies in: it has no reply, and parts the Syncs that the server ignores from those it
        /// answers.
        case copyEnd
        /// Nothing was sent: the reply is ours, and comes when everything before it was answered.
        case ownParseComplete, ownCloseComplete
    }

    /// Who gets the reply.
    enum Use: UInt8 {
        case client
        /// Nobody: it was asked by the proxy.
        case nobody
        /// The settings of a session, kept for its client.
        case settings
        /// Whether a pinned client still needs its server.
        case pins
    }

    struct Entry {
        let kind: Kind
        let use: Use
        /// The statement that it makes, drops or needs here; 0 for none.
        let statement: UInt32
        /// Whether its client calls the statement by another name.
        let isRenamed: Bool

        init(_ kind: Kind, _ use: Use = .client, statement: UInt32 = 0, isRenamed: Bool = false) {
            (self.kind, self.use, self.statement, self.isRenamed) = (kind, use, statement, isRenamed)
        }

        var endsWithReady: Bool { kind == .sync || kind == .query || kind == .functionCall }
        var isOwn: Bool { kind == .ownParseComplete || kind == .ownCloseComplete }
    }

    private var ring: [Entry]
    private var head = 0
    private(set) var count = 0

    init() { ring = [] }

    var isEmpty: Bool { count == 0 }

    var first: Entry? { count == 0 ? nil : ring[head] }

    /// - Parameter index: 0 for the first.
    subscript(index: Int) -> Entry { ring[(head + index) & (ring.count - 1)] }

    mutating func append(_ entry: Entry) {
        if count == ring.count { grow() }
        ring[(head + count) & (ring.count - 1)] = entry
        count += 1
    }

    @discardableResult
    mutating func popFirst() -> Entry? {
        guard count > 0 else { return nil }
        let entry = ring[head]
        repeat {
            head = (head + 1) & (ring.count - 1)
            count -= 1
            // The end of a copy says nothing any more once the copy is answered.
        } while count > 0 && ring[head].kind == .copyEnd
        return entry
    }

    /// Takes out what the server skips after an error: everything before the next Sync.
    ///
    /// - Parameter skipped: is given each.
    /// - Returns: whether that Sync was sent already.
    mutating func skipToSync(_ skipped: (Entry) -> Void) -> Bool {
        while let entry = first {
            if entry.kind == .sync { return true }
            popFirst()
            skipped(entry)
        }
        return false
    }

    /// Takes out the Syncs that a server ignores because it is being copied to: those between the first entry, which is
    /// copying, and the end of the copy.
    ///
    /// - Returns: whether there were any.
    mutating func dropIgnoredSyncs() -> Bool {
        guard count > 1 else { return false }
        var kept: [Entry] = []
        var isWithin = true
        for index in 0..<count {
            let entry = self[index]
            if entry.kind == .copyEnd { isWithin = false }
            if index > 0, isWithin, entry.kind == .sync { continue }
            kept.append(entry)
        }
        guard kept.count < count else { return false }
        (head, count) = (0, 0)
        for entry in kept { append(entry) }
        return true
    }

    mutating func removeAll() { (ring, head, count) = ([], 0, 0) }

    private mutating func grow() {
        var larger: [Entry] = []
        larger.reserveCapacity(max(8, ring.count * 2))
        for index in 0..<count { larger.append(self[index]) }
        while larger.count < max(8, ring.count * 2) { larger.append(Entry(.sync)) }
        (ring, head) = (larger, 0)
    }
}
