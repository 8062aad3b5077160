/// Whether a server gets on with what it says: by whole replies, or by enough of a long one. A byte now and then is not
/// enough, for others wait behind it. A value that is told what happened and the time.
struct ReplyProgress {
    /// When it last did.
    private(set) var lastMs: Int
    /// Bytes that were here before and are no reply yet.
    private var left = 0
    /// Bytes that have come since `lastMs`.
    private var fresh = 0

    /// So much of a reply is progress: with ten seconds of patience, 6 KB a second.
    private static let enoughBytes = 64 << 10

    init(nowMs: Int) { lastMs = nowMs }

    /// - Parameter count: bytes that are here and were not taken, old and new.
    mutating func sees(_ count: Int, nowMs: Int) {
        fresh += max(0, count - left)
        left = count
        if fresh >= Self.enoughBytes { (lastMs, fresh) = (nowMs, 0) }
    }

    /// A reply was whole.
    mutating func tookReply(nowMs: Int) { (lastMs, fresh) = (nowMs, 0) }

    /// - Parameter count: bytes that are no reply yet.
    mutating func leaves(_ count: Int) { left = max(0, count) }
}
