import Runtime

/// What came of one attempt to deliver a message.
public enum DeliveryOutcome: Sendable, Equatable {
    /// 2xx.
    case accepted
    /// Any other status; with the `Retry-After` of a 429.
    case refused(status: Int, retryAfter: Duration?)
    /// No answer in time.
    case timedOut
    /// No connection, a reset, a certificate that is not trusted, a secret that cannot be read.
    case failed(String)
}

extension DeliveryOutcome: CustomStringConvertible {
    public var description: String {
        switch self {
        case .accepted: "accepted"
        case .refused(let status, _): "answered with status \(status)"
        case .timedOut: "no answer in time"
        case .failed(let reason): reason
        }
    }
}

/// Why a message was given up; the `reason` of the failure counter.
public enum DeliveryFailure: String, Sendable, CaseIterable {
    case clientError, serverError, contextDeadlineExceeded, contextCanceled, other
}

/// The attempts at one message: when to try again, and when to leave it to the group's next flush.
///
/// Failures of the network and answers 5xx are tried again, first after half a second, then 1.5 times later each time, at
/// most a minute, each time half as much more or less, until the flush's deadline. 4xx is not tried again before the
/// next flush. 429 with `Retry-After` (a superset of Alertmanager) is tried again after that time, and until then
/// nothing is sent to the integration at all.
public struct RetryPolicy: Sendable {
    public enum Verdict: Sendable, Equatable {
        case done
        case retry(at: Moment)
        case giveUp(DeliveryFailure)
    }

    public static let firstInterval = Duration.milliseconds(500)
    public static let maxInterval = Duration.seconds(60)
    /// The longest `Retry-After` that is obeyed.
    public static let maxRetryAfter = Duration.seconds(3600)

    private var deadline: Moment
    private var interval = firstInterval
    private(set) var attempts = 0

    /// - Parameter deadline: of the flush: the group interval or ten seconds after it began, whichever is later.
    public init(deadline: Moment) { self.deadline = deadline }

    /// - Parameter random: 0 ..< 1.
    public mutating func finished(_ outcome: DeliveryOutcome, at now: Moment, random: Double) -> Verdict {
        attempts += 1
        switch outcome {
        case .accepted: return .done
        case .refused(429, let retryAfter?):
            let next = now + min(retryAfter, Self.maxRetryAfter)
            return next < deadline ? .retry(at: next) : .giveUp(.clientError)
        case .refused(let status, _) where status / 100 == 5: return retry(at: now, random, orElse: .serverError)
        case .refused(let status, _): return .giveUp(status / 100 == 4 ? .clientError : .other)
        case .timedOut: return retry(at: now, random, orElse: .contextDeadlineExceeded)
        case .failed: return retry(at: now, random, orElse: .other)
        }
    }

    /// The clock was set by so many milliseconds.
    mutating func move(by step: Int64) { deadline = deadline.moved(by: step) }

    private mutating func retry(at now: Moment, _ random: Double, orElse failure: DeliveryFailure) -> Verdict {
        let next = now + interval * (0.5 + random)
        interval = min(interval * 1.5, Self.maxInterval)
        return next < deadline ? .retry(at: next) : .giveUp(failure)
    }
}
