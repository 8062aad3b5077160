import Runtime

/// A command that was sent to Redis, and what becomes of its reply.
///
/// Small, because every command that passes is one: what few of them need is apart.
struct Pending {
    /// Who is answered, and for which of its commands.
    var session: RelaySession?
    var sequence = 0
    /// The reply has a part for each of the fetches.
    var hasParts = false
    /// The reply tells how long a key of the only fetch lives.
    var isLifetime = false
    var settlement = Settlement.none
    /// May have been carried out when the connection is lost.
    var isWrite = false
    /// It waits for what others do, for as long as it likes.
    var waits = false
    var family = Command.Family.unknown
    var name: Command.ID?
    var sentNs = 0
    private(set) var rare: Rare?

    /// What few commands need. Shared by the copies of a command until one is changed.
    final class Rare {
        fileprivate(set) var fetches: [Fetch?] = []
        fileprivate(set) var errand: ClusterErrand?
        fileprivate(set) var command: [UInt8] = []
        fileprivate(set) var claim = WriteScope.none
        fileprivate(set) var taken: ((_ reply: [UInt8]?, _ kind: ReplySkimmer.Kind) -> Void)?

        fileprivate init() {}

        fileprivate init(_ other: Rare) {
            (fetches, errand, command) = (other.fetches, other.errand, other.command)
            (claim, taken) = (other.claim, other.taken)
        }
    }

    private mutating func change(_ body: (Rare) -> Void) {
        if !isKnownUniquelyReferenced(&rare) { rare = rare.map { Rare($0) } }
        let changed = rare ?? Rare()
        body(changed)
        rare = changed
    }

    /// What is to be kept of the reply: all of it, or of an `MGET` the values in the order of its keys. Nil where somebody
    /// else fetches the same, or nobody may.
    var fetches: [Fetch?] {
        get { rare?.fetches ?? [] }
        set { change { $0.fetches = newValue } }
    }

    /// In front of a cluster: so that it may be sent again.
    var errand: ClusterErrand? {
        get { rare?.errand }
        set { if newValue != nil || rare != nil { change { $0.errand = newValue } } }
    }

    /// The whole command, where somebody else may answer in Redis' place.
    var command: [UInt8] {
        get { rare?.command ?? [] }
        set { change { $0.command = newValue } }
    }

    /// No writes to it are taken until the reply is here.
    var claim: WriteScope {
        get { rare?.claim ?? .none }
        set { change { $0.claim = newValue } }
    }

    /// For what the proxy asks on its own behalf; nil when the connection was lost.
    var taken: ((_ reply: [UInt8]?, _ kind: ReplySkimmer.Kind) -> Void)? {
        get { rare?.taken }
        set { change { $0.taken = newValue } }
    }
}
