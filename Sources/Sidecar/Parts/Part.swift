import Metrics
import Runtime
import Serving

/// What the sidecar needs of anything that runs for as long as the process does. A member that a part has no use for is
/// left out.
///
/// A part is made from a configuration, started once, and from then on reloaded, until it is drained and stopped. It holds
/// no other part: what parts share is in `Surroundings`, and what one tells the others is a metric.
protocol Part: Sendable {
    /// For log lines.
    var name: String { get }

    /// What it brings to a collection. Asked for after the start and after every reload.
    var sources: [any MetricSource] { get }
    /// What it counts about itself. Asked for once, after the start.
    var instruments: [any Instrument] { get }
    /// Its pages. Asked for after the start and after every reload.
    var routes: [Router.Route] { get }
    /// Its pages whose paths are no fixed text.
    var fallbacks: [Router.Fallback] { get }
    /// Which requests to those may bring a body.
    var bodyRules: [Router.BodyRule] { get }
    /// What it shows on the pages that all proxies share; nil for what is no proxy.
    var proxy: ProxyFacts? { get }
    /// A few words for the line that a service manager shows; nil for none.
    var status: String? { get }

    /// Settings that a reload changes while it runs: names, or the beginnings of names up to a dot. The change of a setting
    /// that no part names here is said to wait for the next start.
    var liveSettings: [String] { get }

    /// Opens what it listens on, and begins.
    func start() async throws

    /// Reads and checks whatever `fresh` asks of it, and changes nothing yet: a reload takes effect in every part or in
    /// none.
    func prepare(_ fresh: Configuration) async throws -> PreparedReload

    /// Accepts nothing any more, and finishes what was begun. Parts drain side by side.
    func drain(by deadline: Deadline) async

    /// Ends for good. Nothing is asked of it afterwards.
    func stop() async
}

/// What a part does with a configuration that it has found no fault with.
struct PreparedReload: Sendable {
    /// Settings whose change waits for the next start although their names do not tell, such as an address that the part
    /// has taken over from another setting.
    var needRestart: [String] = []
    /// Cannot fail any more.
    var apply: @Sendable () async -> Void = {}
}

extension Part {
    var sources: [any MetricSource] { [] }
    var instruments: [any Instrument] { [] }
    var routes: [Router.Route] { [] }
    var fallbacks: [Router.Fallback] { [] }
    var bodyRules: [Router.BodyRule] { [] }
    var proxy: ProxyFacts? { nil }
    var status: String? { nil }
    var liveSettings: [String] { [] }
    func start() async throws {}
    func prepare(_ fresh: Configuration) async throws -> PreparedReload { PreparedReload() }
    func drain(by deadline: Deadline) async {}
    func stop() async {}
}

/// What a proxy shows on the pages that all proxies share.
struct ProxyFacts: Sendable {
    /// The key of its slow list on `/v1/slow`.
    let name: String
    let features: any FeatureBoard
    let slowest: SlowOperations
}
