import Runtime

/// How a component's level follows what is seen: down after two looks, up one step at a time after a hold, and more slowly
/// the more often it went to and fro. A value: it takes what is seen and the time.
struct LevelHold: Sendable, Equatable {
    private(set) var level = PerformanceLevel.unknown
    /// When the level was entered.
    private(set) var since: Moment
    /// How many times the plain hold applies now; 1 after a quiet time.
    private(set) var patience = 1.0
    /// Levels seen in a row that are worse, and the mildest of them.
    private var worse: (count: Int, mildest: PerformanceLevel) = (0, .critical)
    private var unknowns = 0
    /// Since when everything seen was better.
    private var betterSince: Moment?
    private var lastImproved: Moment?

    /// The hold never grows beyond this.
    static let longestHold = Duration.seconds(3600)

    init(at now: Moment) { since = now }

    init(level: PerformanceLevel, since: Moment, patience: Double) {
        self.level = level
        self.since = since
        self.patience = patience
    }

    static func == (left: LevelHold, right: LevelHold) -> Bool {
        left.level == right.level && left.since == right.since && left.patience == right.patience
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
            worse = (worse.count + 1, worse.count == 0 ? seen : min(worse.mildest, seen))
            guard isOutage || worse.count >= 2 else { return }
            if let lastImproved, now - lastImproved <= held { patience = min(patience * 1.5, Self.most(hold)) }
            return enter(isOutage ? seen : worse.mildest, at: now)
        }
        worse = (0, .critical)
        guard seen < level else {
            betterSince = nil
            return
        }
        let start = betterSince ?? now
        betterSince = start
        guard now - start >= held else { return }
        lastImproved = now
        enter(level.better, at: now)
        // The next step takes a hold of its own.
        betterSince = seen < level ? now : nil
    }

    private static func most(_ hold: Duration) -> Double { max(1, longestHold.seconds / max(hold.seconds, 0.001)) }

    private mutating func enter(_ fresh: PerformanceLevel, at now: Moment) {
        level = fresh
        since = now
        worse = (0, .critical)
        betterSince = nil
    }
}
