import Operations
import Runtime

/// Tells the monitor what passes: an operation for each family of commands, `redis_string` and so on. For one loop.
///
/// Commands that were answered from memory come in bursts and take next to nothing; they are added up and told at
/// intervals, with the time that their rounds of the loop took on average. Those of a long round are told at once.
final class CommandMonitor {
    private let operations: OperationRecorder
    private let answered: [OperationRecorder.Place]
    private let failed: [OperationRecorder.Place]
    private var hits = [Int](repeating: 0, count: Command.Family.allCases.count)
    /// How long each took, added up.
    private var hitsNs = [Int](repeating: 0, count: Command.Family.allCases.count)

    private static let longRoundNs = 1_000_000

    init(_ operations: OperationRecorder) {
        self.operations = operations
        answered = Command.Family.allCases.map { operations.place(operation: $0.operation) }
        failed = Command.Family.allCases.map { operations.place(operation: $0.operation, status: "error") }
    }

    func note(_ family: Command.Family, durationNs: Int, isError: Bool) {
        let place = isError ? failed[Int(family.rawValue)] : answered[Int(family.rawValue)]
        operations.record(place, seconds: Double(durationNs) / 1e9)
    }

    /// - Parameter roundNs: for how long the round of the loop had been under way when they were answered.
    func noteHit(_ family: Command.Family, _ count: Int = 1, roundNs: Int) {
        let family = Int(family.rawValue)
        guard roundNs < Self.longRoundNs else {
            return operations.record(answered[family], seconds: Double(roundNs) / 1e9, count: count)
        }
        hits[family] &+= count
        hitsNs[family] &+= max(0, roundNs) &* count
    }

    func flush() {
        for (family, count) in hits.enumerated() where count > 0 {
            operations.record(answered[family], seconds: Double(hitsNs[family]) / Double(count) / 1e9, count: count)
            (hits[family], hitsNs[family]) = (0, 0)
        }
    }
}

extension Command.Family {
    /// What its commands are counted as among the service's operations.
    var operation: String { "redis_\(label)" }
}
