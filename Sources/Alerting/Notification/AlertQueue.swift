import Runtime

/// Alerts that wait to be posted to one Alertmanager. When it is full, the oldest make room.
struct AlertQueue: Sendable {
    static let capacity = 10_000

    private var alerts: [Alert] = []
    /// Alerts at the front that are gone already; they are removed when they are many.
    private var taken = 0

    var count: Int { alerts.count - taken }

    /// - Returns: how many alerts were dropped.
    mutating func append(_ arriving: [Alert]) -> Int {
        alerts += arriving
        let dropped = max(0, count - Self.capacity)
        take(dropped)
        return dropped
    }

    /// The oldest alerts, as many as one post may have.
    mutating func nextBatch() -> [Alert] {
        let batch = Array(alerts[taken...].prefix(AlertmanagerPost.batchLimit))
        take(batch.count)
        return batch
    }

    private mutating func take(_ number: Int) {
        taken += number
        guard taken > alerts.count / 2 else { return }
        alerts.removeFirst(taken)
        taken = 0
    }
}
