import Runtime

/// A command that was sent to Redis, and what becomes of its reply.
struct Pending {
    /// Who is answered, and for which of its commands.
    var session: RelaySession?
    var sequence = 0
    /// What is to be kept of the reply: all of it, or of an `MGET` the values in the order of its keys. Nil where somebody
    /// else fetches the same, or nobody may.
    var fetches: [Fetch?] = []
    /// The reply has a part for each of the fetches.
    var hasParts = false
    /// The reply tells how long a key of the only fetch lives.
    var isLifetime = false
    /// In front of a cluster: so that it may be sent again.
    var errand: ClusterErrand?
    /// The whole command, where somebody else may answer in Redis' place.
    var command: [UInt8] = []
    var settlement = Settlement.none
    /// No writes to it are taken until the reply is here.
    var claim = WriteScope.none
    /// May have been carried out when the connection is lost.
    var isWrite = false
    /// It waits for what others do, for as long as it likes.
    var waits = false
    var family = Command.Family.unknown
    var name: Command.ID?
    var sentNs = 0
    /// For what the proxy asks on its own behalf; nil when the connection was lost.
    var taken: ((_ reply: [UInt8]?, _ kind: ReplySkimmer.Kind) -> Void)?
}
