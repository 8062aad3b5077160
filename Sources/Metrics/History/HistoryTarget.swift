/// One thing that is watched, as Prometheus would scrape it: the `job` and `instance` of its series, and how its `up` is
/// known.
public final class HistoryTarget: Sendable {
    public let job: String
    public let instance: String
    /// The metric whose value is the target's `up`; nil for a target that is up whenever anything is collected.
    public let upMetric: String?
    /// The labels of `up`.
    let upLabels: Labels
    let owns: @Sendable (_ metric: String, _ labels: Labels) -> Bool

    /// - Parameters:
    ///   - upMetric: such as `pg_up`; without it in a round, the target is down.
    ///   - owns: whether a series is this target's. Asked once in a series' life, with the name and labels that its
    ///     collector gave it.
    public init(
        job: String, instance: String, upMetric: String? = nil,
        owns: @escaping @Sendable (_ metric: String, _ labels: Labels) -> Bool
    ) {
        self.job = job
        self.instance = instance
        self.upMetric = upMetric
        self.owns = owns
        upLabels = Labels(["__name__": "up", "job": job, "instance": instance])
    }

    /// A target whose metrics begin with one of `prefixes`, such as `pg_`.
    public convenience init(job: String, instance: String, upMetric: String? = nil, prefixes: [String]) {
        self.init(job: job, instance: instance, upMetric: upMetric) { metric, _ in
            prefixes.contains { metric.hasPrefix($0) }
        }
    }

    /// The sidecar itself, to which everything belongs that no other target owns.
    public static func own(job: String = "outrigger", instance: String) -> HistoryTarget {
        HistoryTarget(job: job, instance: instance) { _, _ in true }
    }

    /// A collector's labels as they are stored: with name, job and instance, in no order. As in a scrape, a label that
    /// already has one of those names is kept as `exported_…`.
    func pairs(_ name: String, _ base: Labels) -> [Label] {
        var pairs: [Label] = []
        pairs.reserveCapacity(base.pairs.count + 3)
        for label in base.pairs {
            let isTaken = label.name == "job" || label.name == "instance"
            pairs.append(isTaken ? Label("exported_" + label.name, label.value) : label)
        }
        pairs.append(Label("__name__", name))
        pairs.append(Label("job", job))
        pairs.append(Label("instance", instance))
        return pairs
    }
}
