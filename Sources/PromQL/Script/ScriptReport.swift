/// The outcome of several scripts, as `outrigger promqltest` prints it.
public struct ScriptReport: Sendable, CustomStringConvertible {
    public private(set) var passed = 0
    public private(set) var failed = 0
    public private(set) var skipped = 0
    private var lines: [String] = []

    public init() {}

    /// Adds the cases of one script. Throws if it cannot be read; what was added before stays.
    public mutating func add(_ script: String, named name: String, test: PromQLTest) throws(ScriptProblem) {
        for one in try test.run(script) {
            switch one.outcome {
            case .passed: passed += 1
            case .failed(let why):
                failed += 1
                lines.append("FAIL \(name):\(one.line): \(one.expression): \(why)")
            case .skipped(let why):
                skipped += 1
                lines.append("SKIP \(name):\(one.line): \(one.expression): \(why)")
            }
        }
    }

    /// A line for every case that failed or was skipped, and the sums in the last one.
    public var description: String {
        (lines + ["\(passed) passed, \(failed) failed, \(skipped) skipped"]).joined(separator: "\n")
    }
}
