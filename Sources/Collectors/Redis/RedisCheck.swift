import Databases
import Metrics
import Runtime

/// A part of a scrape that needs round trips of its own, after INFO told what there is.
///
/// What it throws concerns the connection and ends the checks of this scrape; a refusal is part of its result.
protocol RedisCheck {
    /// The name by which it is selected and counted.
    var collector: String { get }

    mutating func run(_ context: CheckContext) throws(RedisError) -> CheckResult
}

struct CheckContext {
    let session: RedisSession
    let info: InfoReading
    /// How many databases the server has.
    let databases: Int
    /// When replies must be there.
    let deadline: Deadline
    /// When a check that could go on forever must stop by itself.
    let scanDeadline: Deadline
}

struct CheckResult {
    var families: [Family] = []
    /// The class of the first command that was refused.
    var error: CollectorErrorClass?

    mutating func note(_ reply: RedisReply) {
        if error == nil, let reason = reply.errorText { error = CollectorErrorClass(refusal: reason) }
    }
}
