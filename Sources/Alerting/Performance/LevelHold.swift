import Runtime

/// How a component's level follows what is seen: down after two looks, up one step at a time after a hold, and more slowly
/// the more often it went to and fro. Back down to the level it has just left it goes no sooner than a hold after leaving,
/// so that what wavers across a threshold changes the level at most once per hold; further down, or when something is gone,
/// it goes as ever. A value: it takes what is seen and the time.
struct LevelHold: Sendable, Equatable {
    private(set) var level = PerformanceLevel.unknown
    /// When the level was entered.
    private(set) var since: Moment
    /// How many times the plain hold applies now; 1 after a quiet time.
    private(set) var patience = 1.0
    /// The level that was left for this better one; nil where the last change was none to the better.
    private(set) var left: PerformanceLevel?
    /// What the last look saw, if it was worse, and when the first of such looks in a row was.
    private var worse: (last: PerformanceLevel, since: Moment)?
    private var unknowns = 0
    /// Since when everything seen was better.
    private var betterSince: Moment?

    /// The hold never grows beyond this.
    static let longestHold = Duration.seconds(3600)

    init(at now: Moment) { since = now }

    init(level: PerformanceLevel, since: Moment, patience: Double, left: PerformanceLevel? = nil) {
        self.level = level
        self.since = since
        self.patience = patience
        self.left = left
    }

    static func == (left: LevelHold, right: LevelHold) -> Bool {
        left.level == right.level && left.since == right.since && left.patience == right.patience
            && left.left == right.left
    }

    /// - Parameters:
    ///   - seen: what the indicators say now.
    ///   - isOutage: worse counts at once.
    ///   - hold: how long better must last, before it is lengthened.
    mutating func see(_ seen: PerformanceLevel, isOutage: Bool, hold: Duration, at now: Moment) {
        let held = min(hold * patience, Self.longestHold)
        // A long quiet time is forgiven.
        if patience > 1, now - since > held * 4 { patience = 1 }
        guard seen != .unknown else {
            unknowns += 1
            if unknowns >= 2, level != .unknown { enter(.unknown, at: now) }
            return
        }
        unknowns = 0
        if level == .unknown { return enter(seen, at: now) }
        if seen > level {
            betterSince = nil
            let before = worse
            let first = before?.since ?? now
            worse = (seen, first)
            guard let fallen = isOutage ? seen : before.map({ min($0.last, seen) }) else { return }
            // The plain hold: how bad things are is not kept back for longer, however often they went to and fro.
            if let left, fallen <= left, !isOutage, now - since < hold { return }
            if left != nil, first - since <= held { patience = min(patience * 1.5, Self.most(hold)) }
            return enter(fallen, at: now)
        }
        worse = nil
        guard seen < level else {
            betterSince = nil
            return
        }
        let start = betterSince ?? now
        betterSince = start
        guard now - start >= held else { return }
        let before = level
        enter(level.better, at: now)
        left = before
        // The next step takes a hold of its own.
        betterSince = seen < level ? now : nil
    }

    /// Until when the level stays although something better is seen; nil while nothing better is.
    func heldUntil(hold: Duration) -> Moment? { betterSince.map { $0 + min(hold * patience, Self.longestHold) } }

    /// The clock was set by so many milliseconds.
    mutating func move(by step: Int64) {
        since = since.moved(by: step)
        worse = worse.map { ($0.last, $0.since.moved(by: step)) }
        betterSince = betterSince?.moved(by: step)
    }

    private static func most(_ hold: Duration) -> Double { max(1, longestHold.seconds / max(hold.seconds, 0.001)) }

    private mutating func enter(_ fresh: PerformanceLevel, at now: Moment) {
        level = fresh
        since = now
        left = nil
        worse = nil
        betterSince = nil
    }
}
