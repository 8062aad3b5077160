import Databases
import Metrics
import Runtime

/// One look at a Redis that nobody configured: what `/scrape?target=redis://host:6379&check-keys=…` asks for.
///
/// The connection lives as long as the look. Credentials never come in the address, where proxies and logs would see them:
/// a password in the target is ignored, and the caller is asked for the right one.
public struct RedisProbe: Sendable {
    public enum Malformed: Error, Equatable, CustomStringConvertible {
        case noTarget
        case address(RedisAddress.Malformed)
        case keys(parameter: String, DatabaseKey.Malformed)

        public var description: String {
            switch self {
            case .noTarget: "'target' parameter must be specified"
            case .address(let problem): "target: \(problem)"
            case .keys(let parameter, let problem): "\(parameter): \(problem)"
            }
        }
    }

    private let address: RedisAddress
    private let options: RedisOptions

    /// The parameters of a request that override an option.
    private static var overrides: [(parameter: String, option: WritableKeyPath<RedisOptions, [DatabaseKey]>)] {
        [
            ("check-keys", \.checkKeys), ("check-single-keys", \.checkSingleKeys), ("check-streams", \.checkStreams),
            ("check-single-streams", \.checkSingleStreams), ("count-keys", \.countKeys),
        ]
    }

    /// - Parameters:
    ///   - parameters: of the request, decoded. Those that are not known are ignored, as redis_exporter does.
    ///   - options: what holds where the request says nothing.
    ///   - password: of a user at an address, the address without one.
    public init(
        parameters: [(name: String, value: String)], options: RedisOptions,
        password: (RedisAddress) -> String? = { _ in nil }
    ) throws(Malformed) {
        guard let target = parameters.first(where: { $0.name == "target" })?.value, !target.isEmpty else {
            throw .noTarget
        }
        var address: RedisAddress
        do throws(RedisAddress.Malformed) { address = try RedisAddress(parsing: target) } catch {
            throw .address(error)
        }
        address.password = nil
        address.password = password(address)
        var options = options
        for (parameter, option) in Self.overrides {
            guard let text = parameters.first(where: { $0.name == parameter })?.value else { continue }
            do throws(DatabaseKey.Malformed) {
                options[keyPath: option] = try DatabaseKey.list(text)
            } catch {
                throw .keys(parameter: parameter, error)
            }
        }
        self.address = address
        self.options = options
    }

    /// Asks, and answers by the round's deadline; a server that cannot be asked is told with `redis_up 0`.
    public func run(_ round: CollectionRound) async -> [Collected] {
        await RedisTarget(address: address, options: options).collect(round)
    }
}
