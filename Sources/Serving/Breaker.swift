/// Whether a server is worth asking: after a row of failures it is left alone for a while, then one connection tries.
///
/// A value that is told what happened and the time; it acts on nothing itself.
public struct Breaker: Sendable {
    public enum State: Equatable, Sendable {
        case closed(failures: Int)
        /// Nobody asks until then.
        case open(untilMs: Int, pauseMs: Int)
        /// One connection is trying; everybody else is refused.
        case probing(pauseMs: Int)
    }

    public private(set) var state = State.closed(failures: 0)
    private let threshold: Int
    private let firstPauseMs: Int
    private let longestPauseMs: Int
    /// How often it opened from being closed.
    public private(set) var openings = 0

    /// - Parameters:
    ///   - threshold: failures in a row that open it.
    ///   - firstPauseMs: doubled with every failed attempt, up to `longestPauseMs`.
    public init(threshold: Int = 3, firstPauseMs: Int = 200, longestPauseMs: Int = 5000) {
        self.threshold = threshold
        self.firstPauseMs = firstPauseMs
        self.longestPauseMs = longestPauseMs
    }

    public var isClosed: Bool {
        if case .closed = state { true } else { false }
    }

    /// Whether a connection may be opened now. The first to be told so after a pause is the one that tries.
    public mutating func mayConnect(nowMs: Int) -> Bool {
        switch state {
        case .closed: return true
        case .probing: return false
        case .open(let untilMs, let pauseMs):
            guard nowMs >= untilMs else { return false }
            state = .probing(pauseMs: pauseMs)
            return true
        }
    }

    /// A connection could not be made, or did not answer.
    public mutating func failed(nowMs: Int) {
        switch state {
        case .closed(let failures):
            guard failures + 1 >= threshold else {
                state = .closed(failures: failures + 1)
                return
            }
            openings += 1
            state = .open(untilMs: nowMs + firstPauseMs, pauseMs: firstPauseMs)
        case .probing(let pauseMs):
            let longer = min(pauseMs * 2, longestPauseMs)
            state = .open(untilMs: nowMs + longer, pauseMs: longer)
        case .open: return
        }
    }

    /// Nobody needs the connection any more that was being made: another one may try.
    public mutating func gaveUp(nowMs: Int) {
        guard case .probing(let pauseMs) = state else { return }
        state = .open(untilMs: nowMs, pauseMs: pauseMs)
    }

    /// A connection was made and answers.
    public mutating func succeeded() { state = .closed(failures: 0) }
}
