import Operations
import Runtime

/// Tells the monitor what passes: an operation for each family of commands, `redis_string` and so on. For one loop.
///
/// Commands that were answered from memory come in bursts and take next to nothing; they are added up and told at
/// intervals, with the time their round of the loop took.
final class CommandMonitor {
    private let operations: OperationRecorder
    private let answered: [OperationRecorder.Place]
    private let failed: [OperationRecorder.Place]
    private var hits = [Int](repeating: 0, count: Command.Family.allCases.count)
    private var hitsNs = 0

    init(_ operations: OperationRecorder) {
        self.operations = operations
        answered = Command.Family.allCases.map { operations.place(operation: $0.operation) }
        failed = Command.Family.allCases.map { operations.place(operation: $0.operation, status: "error") }
    }

    func note(_ family: Command.Family, durationNs: Int, isError: Bool) {
        let place = isError ? failed[Int(family.rawValue)] : answered[Int(family.rawValue)]
        operations.record(place, seconds: Double(durationNs) / 1e9)
    }

    func noteHit(_ family: Command.Family, _ count: Int = 1) { hits[Int(family.rawValue)] += count }

    /// The longest that a round with hits has taken since the last flush.
    func noteRound(ns: Int) { hitsNs = max(hitsNs, ns) }

    func flush() {
        for (family, count) in hits.enumerated() where count > 0 {
            operations.record(answered[family], seconds: Double(hitsNs) / 1e9, count: count)
            hits[family] = 0
        }
        hitsNs = 0
    }
}

extension Command.Family {
    /// What its commands are counted as among the service's operations.
    var operation: String { "redis_\(label)" }
}
