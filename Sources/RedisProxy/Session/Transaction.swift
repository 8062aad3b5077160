import Runtime

/// A transaction of one client: from `WATCH` or `MULTI` to what ends it, on a connection that is the client's meanwhile.
struct Transaction {
    let upstream: Upstream
    private(set) var isQueueing = false
    /// Its last command was passed on.
    private(set) var isEnding = false
    /// That was `EXEC`, which ends it even where it fails.
    private(set) var wasExecuted = false
    /// What the commands that were queued may change once they are carried out.
    private var queued = Settlement.none

    /// In front of a cluster one of its commands was refused, so the others must not be carried out either.
    var isSpoiled = false

    init(on upstream: Upstream) { self.upstream = upstream }

    /// One that queues already.
    init(on upstream: Upstream, queued: Settlement) {
        self.init(on: upstream)
        (isQueueing, self.queued) = (true, queued)
    }

    /// Whether a command begins one.
    static func begins(with command: Command, _ words: [Range<Int>], in bytes: Span<UInt8>) -> Bool {
        command.takes(words: words.count) && (bytes.isWord("multi", words[0]) || bytes.isWord("watch", words[0]))
    }

    /// Takes the next command.
    ///
    /// - Parameter settlement: what the command would change if it were carried out at once.
    /// - Returns: what is to be forgotten when its reply comes.
    mutating func take(
        _ command: Command, _ words: [Range<Int>], in bytes: Span<UInt8>, _ settlement: Settlement
    ) -> Settlement {
        // Of those with a word too many or too few, `EXEC` alone ends something: the transaction, not the watching.
        guard command.takes(words: words.count) || isQueueing && bytes.isWord("exec", words[0]) else { return .none }
        if bytes.isWord("multi", words[0]) {
            isQueueing = true
        } else if bytes.isWord("exec", words[0]) {
            (isEnding, wasExecuted) = (isQueueing, isQueueing)
            return queued
        } else if bytes.isWord("discard", words[0]) {
            isEnding = isQueueing
        } else if bytes.isWord("unwatch", words[0]) {
            isEnding = !isQueueing
        } else if isQueueing {
            queued.merge(settlement)
        }
        return settlement
    }

    /// Redis has refused to end it.
    mutating func goOn() { isEnding = false }
}
