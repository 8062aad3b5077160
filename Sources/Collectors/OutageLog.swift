import Runtime

/// Says when something answers for the first time, when it begins to fail, when it fails for another reason, and when it works again; silent in between, so
/// that a server that is down for a night does not fill the log.
struct OutageLog {
    private let subject: String
    private let fields: String
    private var failure: String?
    private var hasAnswered = false

    /// - Parameters:
    ///   - subject: such as `redis`.
    ///   - address: where it is, without secrets.
    init(_ subject: String, at address: String) {
        self.subject = subject
        fields = address
    }

    /// - Parameter reason: nil when it works.
    mutating func note(_ reason: String?) {
        defer {
            failure = reason
            if reason == nil { hasAnswered = true }
        }
        if let reason {
            guard reason != failure else { return }
            Log.warn("\(subject) is \(failure == nil ? "" : "still ")down", ["address": fields, "error": reason])
        } else if failure != nil {
            Log.info("\(subject) is up\(hasAnswered ? " again" : "")", ["address": fields])
        } else if !hasAnswered {
            Log.info("\(subject) is up", ["address": fields])
        }
    }
}
