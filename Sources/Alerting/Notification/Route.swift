import Metrics
import Runtime

/// A branch of the routing tree: which alerts it takes, to whom it gives them, and how it groups and paces them.
public struct Route: Sendable {
    /// Which labels make a group.
    public enum Grouping: Sendable, Equatable {
        case by([String])
        /// `...`: every alert is a group of its own.
        case byAllLabels
    }

    public var receiver: String
    public var matchers: [Matcher]
    public var grouping: Grouping
    /// From the first alert of a group to its first message, so that alerts which belong together arrive together.
    public var groupWait: Duration
    /// Between two messages about one group.
    public var groupInterval: Duration
    /// After which an unchanged group is told again. It takes effect at the next `groupInterval`.
    public var repeatInterval: Duration
    /// Whether siblings behind this one are asked, too.
    public var continues: Bool
    public var routes: [Route]

    public static let defaultGroupWait = Duration.seconds(30)
    public static let defaultGroupInterval = Duration.seconds(300)
    public static let defaultRepeatInterval = Duration.seconds(4 * 3600)

    /// The root, or a route that says everything itself. `child` makes one that inherits.
    public init(
        receiver: String, matchers: [Matcher] = [], grouping: Grouping = .by([]),
        groupWait: Duration = defaultGroupWait, groupInterval: Duration = defaultGroupInterval,
        repeatInterval: Duration = defaultRepeatInterval, continues: Bool = false, routes: [Route] = []
    ) {
        self.receiver = receiver
        self.matchers = matchers.sorted(by: Matcher.precedes)
        self.grouping = grouping
        self.groupWait = groupWait
        self.groupInterval = groupInterval
        self.repeatInterval = repeatInterval
        self.continues = continues
        self.routes = routes
    }

    /// A route below this one, which takes over what it is not told.
    public func child(
        receiver: String? = nil, matchers: [Matcher], grouping: Grouping? = nil, groupWait: Duration? = nil,
        groupInterval: Duration? = nil, repeatInterval: Duration? = nil, continues: Bool = false, routes: [Route] = []
    ) -> Route {
        Route(
            receiver: receiver ?? self.receiver, matchers: matchers, grouping: grouping ?? self.grouping,
            groupWait: groupWait ?? self.groupWait, groupInterval: groupInterval ?? self.groupInterval,
            repeatInterval: repeatInterval ?? self.repeatInterval, continues: continues, routes: routes)
    }
}

/// The tree with its branches numbered and named.
struct RouteTree: Sendable {
    struct Branch: Sendable {
        let route: Route
        /// The matchers from the root to here, joined by `/`: the first half of a group's key.
        let key: String
        /// Numbers of the branches below, in order.
        let children: [Int]
    }

    private(set) var branches: [Branch] = []
    private let root: Int

    init(_ route: Route) {
        var branches: [Branch] = []
        root = Self.add(route, below: "", to: &branches)
        self.branches = branches
    }

    private static func add(_ route: Route, below parent: String, to branches: inout [Branch]) -> Int {
        let key = (parent.isEmpty ? "" : parent + "/") + route.matchers.text
        let children = route.routes.map { add($0, below: key, to: &branches) }
        branches.append(Branch(route: route, key: key, children: children))
        return branches.count - 1
    }

    /// The numbers of the branches that take an alert: the deepest that match, the first among siblings unless it says
    /// `continue`. The root takes what no other does, provided it has no matchers.
    func branches(for labels: Labels) -> [Int] { branches(for: labels, at: root) }

    private func branches(for labels: Labels, at number: Int) -> [Int] {
        let branch = branches[number]
        guard branch.route.matchers.matches(labels) else { return [] }
        var taken: [Int] = []
        for child in branch.children {
            let below = branches(for: labels, at: child)
            taken += below
            if !below.isEmpty, !branches[child].route.continues { break }
        }
        return taken.isEmpty ? [number] : taken
    }

    /// Of an alert's labels those that name its group in a branch.
    func groupLabels(of labels: Labels, in number: Int) -> Labels {
        switch branches[number].route.grouping {
        case .byAllLabels: labels
        case .by(let names): Labels(sortedUnique: labels.pairs.filter { names.contains($0.name) })
        }
    }
}
