import Metrics

/// What all groups of rules share. Durations are milliseconds.
public struct RulerSettings: Sendable, Equatable {
    /// Paths or globs of rule files.
    public var files: [String] = []

    /// Between evaluations of a group that does not say.
    public var evaluationInterval: Int64 = 15_000

    /// Into the past at which a group that does not say asks its queries.
    public var queryOffset: Int64 = 0

    /// After which an alert that still fires is handed on again.
    public var resendDelay: Int64 = 60_000

    /// After a start, how long an alert that was restored waits for its sample before it counts as resolved; long enough
    /// for every target to be asked twice. Rules with longer windows wait for those.
    public var settlingTime: Int64 = 60_000

    /// Where Outrigger is reached from outside, without a slash at the end; links in alerts begin with it.
    public var externalURL = ""

    /// Labels that tell this sidecar from others; templates may name them.
    public var externalLabels = Labels.none

    /// Evaluations of each rule that are remembered.
    public var evaluationsKept = 20

    public init() {}
}
