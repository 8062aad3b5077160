import Runtime

/// What was done in the last whole period: a second, a transaction, a statement.
struct Averages {
    private var byDatabase: [String: PoolSnapshot.Statistics] = [:]
    private let seconds: Double

    /// - Parameter samples: at most two, the older first; with fewer all averages are 0.
    init(_ samples: [PoolSnapshot], over period: Duration) {
        seconds = max(0.001, period.seconds)
        guard samples.count == 2 else { return }
        let before = Dictionary(Self.perDatabase(samples[0]).map { ($0.database, $0) }) { first, _ in first }
        for after in Self.perDatabase(samples[1]) {
            byDatabase[after.database] = after.minus(before[after.database] ?? PoolSnapshot.Statistics())
        }
    }

    /// Of users together, in the order of their names.
    static func perDatabase(_ snapshot: PoolSnapshot) -> [PoolSnapshot.Statistics] {
        var sums: [String: PoolSnapshot.Statistics] = [:]
        for one in snapshot.statistics {
            var sum = sums[one.database] ?? PoolSnapshot.Statistics()
            sum.add(one)
            sum.database = one.database
            sums[one.database] = sum
        }
        return sums.values.sorted { $0.database < $1.database }
    }

    /// A second: assignments, transactions, statements, bytes in and out. Microseconds each: transaction, statement, wait.
    /// A second again: statements prepared by clients, at servers, and bound.
    func row(_ database: String) -> [Int] {
        guard let done = byDatabase[database] else { return [Int](repeating: 0, count: 11) }
        func perSecond(_ count: Int) -> Int { Int((Double(max(0, count)) / seconds).rounded()) }
        func each(_ sum: Int, _ count: Int) -> Int { count > 0 ? max(0, sum) / count : 0 }
        return [
            perSecond(done.waits), perSecond(done.transactions), perSecond(done.queries),
            perSecond(done.receivedBytes), perSecond(done.sentBytes),
            each(done.transactionMicroseconds, done.transactions), each(done.queryMicroseconds, done.queries),
            each(done.waitMicroseconds, done.waits),
            perSecond(done.clientParses), perSecond(done.serverParses), perSecond(done.binds),
        ]
    }
}

extension PoolSnapshot.Statistics {
    private static let counts: [any WritableKeyPath<PoolSnapshot.Statistics, Int> & Sendable] = [
        \.queries, \.transactions, \.queryMicroseconds, \.transactionMicroseconds, \.waits, \.waitMicroseconds,
        \.receivedBytes, \.sentBytes, \.clientParses, \.serverParses, \.binds,
    ]

    /// What the console shows; the rest stays.
    mutating func add(_ other: PoolSnapshot.Statistics) {
        for path in Self.counts { self[keyPath: path] &+= other[keyPath: path] }
    }

    func minus(_ other: PoolSnapshot.Statistics) -> PoolSnapshot.Statistics {
        var result = self
        for path in Self.counts { result[keyPath: path] &-= other[keyPath: path] }
        return result
    }

    /// In the order of the console's totals.
    var totals: [Int] {
        [
            waits, transactions, queries, receivedBytes, sentBytes, transactionMicroseconds, queryMicroseconds,
            waitMicroseconds, clientParses, serverParses, binds,
        ]
    }
}
