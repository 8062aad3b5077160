import Operations
import Runtime

/// Tells the monitor of operations what passes: `http_get` and so on. For one loop.
final class RequestMonitor {
    private let operations: OperationRecorder
    private let answered: [OperationRecorder.Place]
    private let failed: [OperationRecorder.Place]

    init(_ operations: OperationRecorder) {
        self.operations = operations
        answered = Method.allCases.map { operations.place(operation: $0.operation) }
        failed = Method.allCases.map { operations.place(operation: $0.operation, status: "error") }
    }

    func note(_ method: Method, seconds: Double, isError: Bool) {
        operations.record(isError ? failed[method.index] : answered[method.index], seconds: seconds)
    }

    func flush() {}
}

extension Method {
    var operation: String { "http_\(label.lowercased())" }
}
