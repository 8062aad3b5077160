import Runtime

/// Something that can be asked what is true now: a database server, this process, our own instruments.
public protocol MetricSource: Sendable {
    /// Asks, and answers by `round.deadline` with whatever is known by then.
    func collect(_ round: CollectionRound) async -> [Collected]

    /// What is served instead when `collect` did not come back in time: the success metrics at 0.
    func collectedWhenLate(_ round: CollectionRound) -> [Collected]
}

/// What one collector brought. Its name is what `collect[]=` and `--collector.NAME` speak of, and its series are
/// counted against one limit.
public struct Collected: Sendable {
    public let collector: String
    public var families: [Family]
    /// Whether somebody outside chose the names: a family is then left out when another part has one of its names.
    public let yields: Bool

    public init(_ collector: String, _ families: [Family], yields: Bool = false) {
        self.collector = collector
        self.families = families
        self.yields = yields
    }
}

/// One asking of all sources: by when, and for which collectors.
public struct CollectionRound: Sendable {
    public let deadline: Deadline
    public let selection: CollectorSelection

    public init(deadline: Deadline, selection: CollectorSelection = .all) {
        self.deadline = deadline
        self.selection = selection
    }
}

/// Which collectors a scrape asks for: `collect[]=a&collect[]=b`, or all of those switched on but `exclude[]=c`.
public struct CollectorSelection: Sendable, Hashable {
    private let only: Set<String>?
    private let without: Set<String>

    public static let all = CollectorSelection(collect: [], exclude: [])

    /// - Parameter collect: empty for all that are switched on.
    public init(collect: [String], exclude: [String]) {
        only = collect.isEmpty ? nil : Set(collect)
        without = Set(exclude)
    }

    public func contains(_ collector: String) -> Bool {
        (only?.contains(collector) ?? true) && !without.contains(collector)
    }
}
