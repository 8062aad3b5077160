import Serving

/// What the Redis proxy does beyond passing on.
public enum RedisFeature: Int, FeatureName {
    /// Serving from the local level.
    case cache
    /// Commands of many clients on few connections; without it every client has one of its own.
    case pipelining
    /// One fetch for many who ask at once.
    case singleFlight
    /// Keeping that there is no such key.
    case negativeCache
    /// Fetching hot entries anew before they expire.
    case refreshAhead
    /// Acknowledging writes once they are logged.
    case writeBehind
    /// Answering in Redis' place while it is gone.
    case fallback

    public var label: String {
        switch self {
        case .singleFlight: "single_flight"
        case .negativeCache: "negative_cache"
        case .refreshAhead: "refresh_ahead"
        case .writeBehind: "write_behind"
        default: "\(self)"
        }
    }
}

/// The switches of the Redis proxy; shares are of the keys.
public typealias Features = FeatureSwitches<RedisFeature>
