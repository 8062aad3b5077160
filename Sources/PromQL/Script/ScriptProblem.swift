/// Why a test script cannot be run.
public struct ScriptProblem: Error, Sendable, Equatable, CustomStringConvertible {
    /// Counted from 1.
    public let line: Int
    public let message: String

    public var description: String { "line \(line): \(message)" }
}
