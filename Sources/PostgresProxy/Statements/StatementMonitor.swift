import Operations
import Runtime

/// What a statement does, as far as its verb tells.
enum StatementFamily: Int, CaseIterable {
    case select, insert, update, delete, transaction, other

    init(_ verb: Word) {
        switch verb {
        case .select, .with: self = .select
        case .insert: self = .insert
        case .update: self = .update
        case .delete: self = .delete
        case .begin, .commit, .rollback: self = .transaction
        default: self = .other
        }
    }

    /// What its statements are counted as among the service's operations.
    var operation: String { "postgres_\(self)" }
}

/// Tells the monitor what passes: an operation for each family of statements. For one loop.
final class StatementMonitor {
    private let operations: OperationRecorder
    private let places: [OperationRecorder.Place]
    private let failures: [OperationRecorder.Place]

    init(_ operations: OperationRecorder) {
        self.operations = operations
        places = StatementFamily.allCases.map { operations.place(operation: $0.operation) }
        failures = StatementFamily.allCases.map { operations.place(operation: $0.operation, status: "error") }
    }

    func note(_ statement: LastStatement, tookNs: Int) {
        let place = (statement.hasFailed ? failures : places)[statement.family.rawValue]
        operations.record(place, seconds: Double(tookNs) / 1e9)
    }
}
