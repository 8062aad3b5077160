import Runtime

/// One command on its way through a cluster, kept until it is answered, so that it can be sent again.
final class ClusterErrand {
    let bytes: [UInt8]
    let command: Command?
    /// Nil for what any node answers.
    let slot: UInt16?
    var policy: RedirectPolicy

    init(_ command: Command?, _ bytes: Span<UInt8>, slot: UInt16?) {
        self.bytes = bytes.copy(0..<bytes.count)
        self.command = command
        self.slot = slot
        policy = RedirectPolicy(command)
    }
}

/// Commands of one client that were not carried out where they were sent. One after the other goes where it belongs, and
/// the client is held back until all are answered, so that those for the same key stay in order.
struct ClusterDetours {
    struct Detour {
        var pending: Pending
        let errand: ClusterErrand
        var step: RedirectPolicy.Step
    }

    private var waiting: [Detour] = []

    var isEmpty: Bool { waiting.isEmpty }
    /// The one that is under way.
    var first: Detour? { waiting.first }

    /// - Returns: whether it is the one under way now.
    mutating func add(_ detour: Detour) -> Bool {
        if waiting.first?.pending.sequence == detour.pending.sequence {
            waiting[0] = detour
            return true
        }
        waiting.append(detour)
        return waiting.count == 1
    }

    /// How many of those behind a command are here as well.
    func count(behind sequence: Int) -> Int { waiting.reduce(0) { $0 + ($1.pending.sequence > sequence ? 1 : 0) } }

    /// - Returns: whether a command was the one under way, and so the next one may go.
    mutating func end(_ sequence: Int) -> Bool {
        guard waiting.first?.pending.sequence == sequence else { return false }
        waiting.removeFirst()
        return true
    }

    mutating func removeAll() { waiting = [] }
}

/// A transaction that has not named its node yet: what was said so far, which is answered but not sent.
struct HeldTransaction {
    private(set) var commands: [[UInt8]] = []
    /// What the commands may change once they are carried out.
    private(set) var settlement = Settlement.none
    private(set) var sizeBytes = 0
    /// One of the commands was refused, so Redis would not carry out the others.
    var isSpoiled = false

    static let mostCommands = 1024

    mutating func add(_ bytes: Span<UInt8>, _ settlement: Settlement) {
        commands.append(bytes.copy(0..<bytes.count))
        sizeBytes += bytes.count
        self.settlement.merge(settlement)
    }
}
