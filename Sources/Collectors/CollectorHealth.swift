import Metrics
import Runtime

/// Why a collector's run failed: a closed set, so that it can be a label.
public enum CollectorErrorClass: String, Sendable, CaseIterable {
    /// No answer before the deadline.
    case timeout
    /// The server refused who we are, or what that user may ask.
    case permission
    /// The server does not know what was asked: an older version, a missing extension, a renamed command.
    case missing
    /// No server, no room in it, or a connection that ended.
    case connection
    /// The answer waits for a lock that somebody else holds.
    case lock
    /// The answer was not what the protocol allows, or does not fit the question.
    case `protocol`
    /// The answer was larger than its budget.
    case limit
    case other
}

/// How the collectors of one target fare: duration and success and class of error of the last run.
///
/// A plain value that the target's actor owns; it is told about every run and turns itself into families.
public struct CollectorHealth: Sendable {
    public static let duration = Metric.gauge(
        "outrigger_collector_duration_seconds", "How long the collector's last run took.")
    public static let success = Metric.gauge(
        "outrigger_collector_success", "Whether the collector's last run succeeded.")
    public static let lastError = Metric.gauge(
        "outrigger_collector_last_error",
        "1 while a collector fails for this class of reasons, 0 after it works again.")

    private struct Run {
        let labels: Labels
        var took: Duration
        var error: CollectorErrorClass?
        /// Every class that it failed for so far, so that a series goes to 0 and does not vanish.
        var classes: [(errorClass: CollectorErrorClass, labels: Labels)] = []
    }

    private let target: Labels
    private var runs: [String: Run] = [:]
    private var order: [String] = []

    /// - Parameter target: labels that tell this target from its siblings; none when it is the only one.
    public init(target: Labels = .none) { self.target = target }

    /// Notes that `collector` ran for `took`, and how it ended: nil means well.
    public mutating func record(_ collector: String, took: Duration, error: CollectorErrorClass? = nil) {
        if runs[collector] == nil {
            order.append(collector)
            runs[collector] = Run(labels: target.adding([Label("collector", collector)]), took: took)
        }
        runs[collector]?.took = took
        runs[collector]?.error = error
        guard let error, let run = runs[collector], !run.classes.contains(where: { $0.errorClass == error }) else {
            return
        }
        runs[collector]?.classes.append((error, run.labels.adding([Label("class", error.rawValue)])))
    }

    /// Collectors in the order in which they first ran.
    public var families: [Family] {
        var durations = Family(Self.duration)
        var successes = Family(Self.success)
        var errors = Family(Self.lastError)
        for name in order {
            guard let run = runs[name] else { continue }
            durations.samples.append(Sample(run.labels, run.took.seconds))
            successes.samples.append(Sample(run.labels, run.error == nil ? 1 : 0))
            for (errorClass, labels) in run.classes {
                errors.samples.append(Sample(labels, errorClass == run.error ? 1 : 0))
            }
        }
        return [durations, successes, errors]
    }

    /// The same with every collector that ever ran marked as failed by `error`: what is served in place of an answer
    /// that did not come in time.
    public func failed(_ error: CollectorErrorClass, took: Duration = .zero) -> CollectorHealth {
        var copy = self
        for name in order { copy.record(name, took: took, error: error) }
        return copy
    }
}
