/// Which statements get series of their own: those that took most time, but without a coming and going at the edge,
/// where every change would be a new series for whoever stores them.
///
/// A statement that is served stays until the server forgets it, until it is no longer among twice as many, or until
/// another one took a tenth more time; and of such replacements there are only so many in a while.
struct StatementSelection {
    private let limit: Int
    private(set) var members: Set<[UInt8]> = []
    private var replacements: Double
    private var refilledAt: ContinuousClock.Instant?

    /// A quarter of the places may change hands in this time.
    private static let refillTime = Duration.seconds(300)
    private var replacementLimit: Double { Double(max(2, limit / 4)) }

    init(limit: Int) {
        self.limit = limit
        replacements = 0
        replacements = replacementLimit
    }

    /// - Parameter ranked: statements by falling time; the first of them and everybody who may stay.
    mutating func choose(from ranked: [(key: [UInt8], seconds: Double)], at now: ContinuousClock.Instant) {
        refill(at: now)
        members.formIntersection(ranked.map(\.key))
        var candidates = ranked.filter { !members.contains($0.key) }[...]
        while members.count < limit, let next = candidates.popFirst() { members.insert(next.key) }
        var weakest = ranked.filter { members.contains($0.key) }[...]
        while replacements >= 1, let next = candidates.popFirst(), let last = weakest.popLast(),
            next.seconds > 1.1 * last.seconds
        {
            members.remove(last.key)
            members.insert(next.key)
            replacements -= 1
        }
    }

    private mutating func refill(at now: ContinuousClock.Instant) {
        if let refilledAt {
            let share = (now - refilledAt) / StatementSelection.refillTime
            replacements = min(replacementLimit, replacements + share * replacementLimit)
        }
        refilledAt = now
    }
}
