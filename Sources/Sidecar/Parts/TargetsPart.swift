import Collectors
import Databases
import Metrics
import Runtime
import Synchronization

/// What is watched: databases, the service's processes, the machine and this process.
final class TargetsPart: Part {
    let name = "targets"
    private let current: Mutex<(sources: [any MetricSource], count: Int)>

    init(_ configuration: Configuration) throws(SettingsError) {
        current = Mutex((try Self.sources(for: configuration), configuration.targets.count))
    }

    var sources: [any MetricSource] { current.withLock { $0.sources } }
    var status: String? {
        let count = current.withLock { $0.count }
        return count == 1 ? "1 target" : "\(count) targets"
    }

    var liveSettings: [String] { ["targets", "postgres", "redis", "pgbouncer", "collector", "compat", "service"] }

    func prepare(_ fresh: Configuration) async throws -> PreparedReload {
        let sources = try Self.sources(for: fresh)
        return PreparedReload { [self] in current.withLock { $0 = (sources, fresh.targets.count) } }
    }

    private static func sources(for configuration: Configuration) throws(SettingsError) -> [any MetricSource] {
        var sources: [any MetricSource] = [ProcessSource()]
        do throws(PostgresError) {
            for target in configuration.targets.postgres { sources.append(try PostgresTarget(target)) }
            for target in configuration.targets.pgbouncer {
                sources.append(try PgBouncerTarget(name: target.name, connection: target.connection))
            }
        } catch {
            throw SettingsError(place: configuration.origin, key: "targets", problem: "\(error)")
        }
        for target in configuration.targets.redis {
            sources.append(RedisTarget(name: target.name, address: target.address, options: target.options))
        }
        if configuration.service.isSet { sources.append(ServiceSource(configuration.service)) }
        if configuration.host.isSet { sources.append(HostSource(configuration.host)) }
        return sources
    }
}

extension Targets {
    fileprivate var count: Int { postgres.count + redis.count + pgbouncer.count }
}
