/// How often requests may be repeated: a share of those that came, so that repeating never doubles the load on a service
/// that is failing under it.
struct RetryBudget {
    private var tokens: Double
    private let share: Double
    /// What may be spent at once after a quiet time.
    private static let most = 100.0

    /// - Parameter share: of the requests, 0 to 1.
    init(share: Double) {
        self.share = share
        tokens = share > 0 ? 10 : 0
    }

    mutating func requested() { tokens = min(Self.most, tokens + share) }

    mutating func mayRepeat() -> Bool {
        guard tokens >= 1 else { return false }
        tokens -= 1
        return true
    }
}
