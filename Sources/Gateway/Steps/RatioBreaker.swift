/// Whether a service is worth asking, judged by the share of its answers that were failures or slow: when that is too large it
/// is left alone for a while, then a few requests try. A value that is told what happened and the time.
struct RatioBreaker {
    struct Rules: Sendable, Equatable {
        /// Share of failures, 0 to 1, that opens it.
        var failureShare = 0.5
        /// Share of slow answers that opens it; 1 and more for never.
        var slowShare = 1.0
        var slowMs = 5000
        /// With fewer answers in the window nothing is decided.
        var least = 20
        var windowMs = 10_000
        var pauseMs = 5000
        /// Requests that try after the pause; all of them have to succeed.
        var probes = 3
    }

    enum State: Equatable {
        case closed
        case open(untilMs: Int)
        case halfOpen(left: Int, succeeded: Int)
    }

    private let rules: Rules
    private(set) var state = State.closed
    private(set) var openings = 0
    private var (answers, failures, slow) = (0, 0, 0)
    private var (lastAnswers, lastFailures, lastSlow) = (0, 0, 0)
    private var windowStartMs = 0

    init(_ rules: Rules) { self.rules = rules }

    var isOpen: Bool { state != .closed }

    /// Whether a request may go now. In the trial each one that may is one of the probes.
    mutating func admits(nowMs: Int) -> Bool {
        switch state {
        case .closed: return true
        case .open(let untilMs):
            guard nowMs >= untilMs else { return false }
            state = .halfOpen(left: rules.probes - 1, succeeded: 0)
            return true
        case .halfOpen(let left, let succeeded):
            guard left > 0 else { return false }
            state = .halfOpen(left: left - 1, succeeded: succeeded)
            return true
        }
    }

    /// Seconds until it is worth coming back; 1 at least.
    func retryAfter(nowMs: Int) -> Int {
        guard case .open(let untilMs) = state else { return 1 }
        return max(1, (untilMs - nowMs + 999) / 1000)
    }

    mutating func answered(failed: Bool, tookMs: Int, nowMs: Int) {
        let isSlow = tookMs >= rules.slowMs
        switch state {
        case .open: return
        case .halfOpen(let left, let succeeded):
            if failed || isSlow && rules.slowShare < 1 { return open(nowMs: nowMs) }
            if succeeded + 1 >= rules.probes {
                state = .closed
                (answers, failures, slow, lastAnswers, lastFailures, lastSlow) = (0, 0, 0, 0, 0, 0)
            } else {
                state = .halfOpen(left: left, succeeded: succeeded + 1)
            }
        case .closed:
            turn(nowMs: nowMs)
            answers += 1
            if failed { failures += 1 }
            if isSlow { slow += 1 }
            let all = answers + lastAnswers
            guard all >= rules.least else { return }
            let isFailing = Double(failures + lastFailures) >= rules.failureShare * Double(all)
            let isSlowing = rules.slowShare < 1 && Double(slow + lastSlow) >= rules.slowShare * Double(all)
            if isFailing || isSlowing {
                openings += 1
                open(nowMs: nowMs)
            }
        }
    }

    /// A probe ended without saying anything, as when its client left.
    mutating func gaveUp() {
        if case .halfOpen(let left, let succeeded) = state { state = .halfOpen(left: left + 1, succeeded: succeeded) }
    }

    private mutating func open(nowMs: Int) { state = .open(untilMs: nowMs + rules.pauseMs) }

    private mutating func turn(nowMs: Int) {
        let passed = nowMs - windowStartMs
        guard passed >= rules.windowMs else { return }
        (lastAnswers, lastFailures, lastSlow) = passed < 2 * rules.windowMs ? (answers, failures, slow) : (0, 0, 0)
        (answers, failures, slow, windowStartMs) = (0, 0, 0, nowMs)
    }
}
