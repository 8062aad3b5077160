/// Whether one instance of a service is worth asking. A value that is told what happened and the time.
struct UpstreamHealth: Sendable {
    struct Rules: Sendable, Equatable {
        /// Failures in a row, of requests or of checks, after which it is left alone.
        var failures = 3
        /// Checks in a row that bring it back. Without checks a request that succeeds does.
        var successes = 2
        /// How long it is left alone before a request may try, where nobody checks it. Doubled up to 16 times as long.
        var pauseMs = 1000
        /// For so long after it came back its share of requests grows from a tenth to its whole weight.
        var slowStartMs = 0
        var isChecked = false
    }

    private enum State: Equatable {
        case up(failures: Int)
        case down(untilMs: Int, pauseMs: Int, successes: Int)
    }

    private let rules: Rules
    private var state = State.up(failures: 0)
    private var upSinceMs: Int?
    private var failedMs = Int.min / 2
    /// Where all are left alone, one is tried so often: it may be back the next moment.
    private static let lastResortMs = 200

    init(_ rules: Rules) { self.rules = rules }

    var isUp: Bool { if case .up = state { true } else { false } }

    /// Whether a request may go there now.
    func isWorthAsking(nowMs: Int) -> Bool {
        switch state {
        case .up: true
        case .down(let untilMs, _, _): !rules.isChecked && nowMs >= untilMs
        }
    }

    /// Whether it may be tried although it is left alone, because there is nobody else.
    func isLastResort(nowMs: Int) -> Bool { nowMs - failedMs >= Self.lastResortMs }

    /// The part of its weight that counts now, 0.1 to 1.
    func share(nowMs: Int) -> Double {
        guard let upSinceMs, rules.slowStartMs > 0 else { return 1 }
        return min(1, max(0.1, Double(nowMs - upSinceMs) / Double(rules.slowStartMs)))
    }

    /// A connection could not be made, or ended without an answer, or a check failed.
    ///
    /// - Returns: whether it has just gone down.
    mutating func failed(nowMs: Int) -> Bool {
        failedMs = nowMs
        switch state {
        case .up(let failures):
            guard failures + 1 >= rules.failures else {
                state = .up(failures: failures + 1)
                return false
            }
            state = .down(untilMs: nowMs + rules.pauseMs, pauseMs: rules.pauseMs, successes: 0)
            return true
        case .down(_, let pauseMs, _):
            let longer = min(pauseMs * 2, rules.pauseMs * 16)
            state = .down(untilMs: nowMs + longer, pauseMs: longer, successes: 0)
            return false
        }
    }

    /// A request was answered.
    mutating func answered(nowMs: Int) {
        switch state {
        case .up(failures: 0): return
        case .up: state = .up(failures: 0)
        case .down: if !rules.isChecked { comeBack(nowMs: nowMs) }
        }
    }

    /// A check was answered as it should be.
    mutating func checked(nowMs: Int) {
        guard case .down(let untilMs, let pauseMs, let successes) = state else {
            state = .up(failures: 0)
            return
        }
        guard successes + 1 < rules.successes else { return comeBack(nowMs: nowMs) }
        state = .down(untilMs: untilMs, pauseMs: pauseMs, successes: successes + 1)
    }

    private mutating func comeBack(nowMs: Int) {
        state = .up(failures: 0)
        upSinceMs = nowMs
    }
}
