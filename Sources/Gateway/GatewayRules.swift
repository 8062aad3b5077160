import Network
import Runtime

/// What the gateway does, checked: everything but where it listens may be changed while it runs.
public struct GatewayRules: Sendable {
    /// The first that matches counts; the last should match everything.
    public var routes: [RouteRules]
    public var limits = ClientLimits()
    /// Whose word about clients' addresses is taken.
    public var trustedProxies: [AddressRange] = []
    /// Every connection begins with a header of the PROXY protocol, version 2, and is closed without.
    public var expectsProxyHeader = false
    /// How often requests may be repeated, as a share of all of them.
    public var retryShare = 0.1
    /// What tokens are checked with; nil where no route asks for any.
    public var tokenKeys: TokenKeys?
    /// For kept answers in all.
    public var cacheBytes = 64 << 20
    /// Longer bodies are not kept.
    public var mostCachedBody = 1 << 20
    /// Nil for no queue.
    var queue: AdmissionQueue.Rules?
    /// Which class a request waits in, where its route names none: the value of this field, in lower case.
    public var queueClassField: String?
    /// Or the value of this claim of its token.
    public var queueClassClaim: String?
    public var hasServerTiming = false
    public var hasServerTimingDetails = false
    /// Of the requests, 0 to 1, that a line of JSON is written about.
    public var accessLogShare = 0.0

    public init(routes: [RouteRules]) { self.routes = routes }
}

/// What one route does.
public struct RouteRules: Sendable {
    /// A label of metrics.
    public var name: String
    public var match: RouteMatch
    public var upstreams: [UpstreamPlace]
    public var health = HealthRules()
    public var answerTimeout = Duration.seconds(60)
    public var connectTimeout = Duration.seconds(3)
    /// How long a service that takes no connections is waited for.
    public var restartPatience = Duration.seconds(5)
    // The steps, in their order; nil for off.
    public var input: InputLimits?
    public var token: TokenRules?
    public var rates: [RateRule] = []
    public var cache: AnswerCacheRules?
    /// The name of the class that its requests wait in.
    public var queueClass: String?
    var breaker: RatioBreaker.Rules?
    /// What is answered while the breaker is open, in place of the usual 503.
    public var breakerBody: String?
    public var compression: CompressionRules?

    public init(name: String, match: RouteMatch = .all, upstreams: [UpstreamPlace]) {
        (self.name, self.match, self.upstreams) = (name, match, upstreams)
    }
}

/// How instances are looked after.
public struct HealthRules: Sendable, Equatable {
    /// Nil for none: requests alone tell.
    public var path: String?
    public var interval = Duration.seconds(5)
    public var timeout = Duration.seconds(2)
    public var failures = 3
    public var successes = 2
    public var slowStart = Duration.zero

    public init() {}
}

/// What clients may cost.
public struct ClientLimits: Sendable, Equatable {
    public var message = MessageLimits()
    public var body = 1 << 20
    public var headTimeout = Duration.seconds(10)
    /// Bytes of a body that have to come each second, after the first ten.
    public var bodyRate = 240
    public var idle = Duration.seconds(60)
    public var writeStall = Duration.seconds(30)
    /// Connections of one address (of one /64 for IPv6).
    public var connectionsPerClient = 100
    public var connections = 20_000

    public init() {}
}

/// Addresses with a common beginning: `10.0.0.0/8`, `::1`.
public struct AddressRange: Sendable, Equatable {
    private let bytes: [UInt8]
    private let bits: Int

    public init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 2, let bytes = IPAddress.bytes(String(parts[0])) else { return nil }
        var bits = bytes.count * 8
        if parts.count == 2 {
            guard let given = Int(parts[1]), (0...bits).contains(given) else { return nil }
            bits = given
        }
        (self.bytes, self.bits) = (bytes, bits)
    }

    func contains(_ address: [UInt8]) -> Bool {
        guard address.count == bytes.count else { return false }
        for bit in stride(from: 0, to: bits, by: 8) {
            let mask = bits - bit >= 8 ? 0xFF : UInt8(truncatingIfNeeded: 0xFF00 >> (bits - bit))
            guard address[bit / 8] & mask == bytes[bit / 8] & mask else { return false }
        }
        return true
    }
}
