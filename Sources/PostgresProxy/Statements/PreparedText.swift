import Runtime

/// A statement that clients have prepared: its text and the types of its parameters, kept once however many clients and
/// servers have it, under a number that is its name on every server.
final class PreparedText {
    /// Never 0.
    let id: UInt32
    /// What stands in a Parse after the name.
    let body: [UInt8]
    let effects: SessionEffects
    let family: StatementFamily
    /// What servers know it as.
    let serverName: [UInt8]

    fileprivate init(id: UInt32, _ body: [UInt8], _ scan: StatementScan) {
        (self.id, self.body, effects, family) = (id, body, scan.effects, StatementFamily(scan.verb))
        serverName = Array("\(PreparedText.prefix)\(id)".utf8)
    }

    static let prefix = "outrigger_"
}

/// Every prepared statement that a client has, once each. For one loop.
final class PreparedTexts {
    private struct Held { weak var text: PreparedText? }

    private var known: [[UInt8]: Held] = [:]
    private var lastID: UInt32 = 0
    private var pruneAt = 1024
    /// How many have been kept, the forgotten ones included.
    var count: Int { known.count }

    /// - Parameter body: what stands in a Parse after the name.
    func text(_ body: [UInt8], _ scan: StatementScan) -> PreparedText {
        if let known = known[body]?.text { return known }
        if known.count >= pruneAt {
            known = known.filter { $0.value.text != nil }
            pruneAt = max(1024, known.count * 2)
        }
        lastID = lastID == .max ? 1 : lastID + 1
        let fresh = PreparedText(id: lastID, body, scan)
        known[body] = Held(text: fresh)
        return fresh
    }
}

/// The statements that one server connection has prepared, by number, so many at most. For one loop.
struct ServerStatements {
    private var usedAt: [UInt32: UInt64] = [:]
    private var clock: UInt64 = 0

    var count: Int { usedAt.count }

    /// Whether it is there; it then counts as used.
    mutating func use(_ id: UInt32) -> Bool {
        guard usedAt[id] != nil else { return false }
        clock += 1
        usedAt[id] = clock
        return true
    }

    mutating func add(_ id: UInt32) {
        clock += 1
        usedAt[id] = clock
    }

    mutating func remove(_ id: UInt32) { usedAt[id] = nil }

    mutating func removeAll() { usedAt = [:] }

    /// What has not been used for the longest, when there are more than `limit`.
    mutating func evict(limit: Int) -> UInt32? {
        guard usedAt.count > limit, let oldest = usedAt.min(by: { $0.value < $1.value }) else { return nil }
        usedAt[oldest.key] = nil
        return oldest.key
    }
}
