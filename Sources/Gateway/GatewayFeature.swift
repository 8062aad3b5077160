import Serving

/// The steps of the gateway, as switches: each for a share of the clients.
public enum GatewayFeature: Int, FeatureName {
    case inputLimits
    case jwt
    case rateLimit
    case cache
    case coalescing
    case queue
    case breaker
    case retries
    case compression

    public var label: String {
        switch self {
        case .inputLimits: "gateway_input_limits"
        case .rateLimit: "gateway_rate_limit"
        default: "gateway_\(self)"
        }
    }
}
