import Collectors
import Databases
import Metrics
import Network
import Runtime

/// The servers to watch.
struct Targets {
    let postgres: [PostgresTarget.Configuration]
    let redis: [Redis]
    let pgbouncer: [PgBouncer]

    struct Redis {
        /// Nil when it is the only one: its series then carry no label `target`.
        let name: String?
        let address: RedisAddress
        let options: RedisOptions
    }

    struct PgBouncer {
        let name: String?
        let connection: String
    }

    /// What all targets of a kind have in common; probes use it too.
    let postgresDefaults: PostgresTarget.Configuration
    let redisDefaults: RedisOptions

    /// - Parameter seriesLimit: series that one collector may bring.
    init(_ settings: Settings, aliases: Bool, seriesLimit: Int) throws(SettingsError) {
        postgresDefaults = try PostgresTarget.Configuration(
            settings, aliases: aliases, seriesLimit: seriesLimit)
        redisDefaults = try RedisOptions(settings, aliases: aliases)
        postgres = try Targets.readPostgres(settings, postgresDefaults)
        redis = try Targets.readRedis(settings, redisDefaults)
        pgbouncer = try Targets.readPgBouncer(settings)
    }

    /// A target as it stands in the file, or as one variable names it.
    private struct Entry {
        let name: String
        let url: String
        let place: (key: String, item: SettingsItem?)
    }

    /// - Parameter singles: what the one setting beside the list says.
    private static func entries(
        _ settings: Settings, kind: String, singles: [String], help: String
    ) throws(SettingsError) -> [Entry] {
        var entries = try settings.readItems("targets.\(kind)", "Several servers, each {name, url}.") {
            item throws(SettingsError) in
            Entry(
                name: try item.require("name", "What the label target says."), url: try item.require("url", help),
                place: ("url", item))
        }
        for (index, url) in singles.enumerated().reversed() where !url.isEmpty {
            let name = index == 0 ? kind : "\(kind)-\(index + 1)"
            entries.insert(Entry(name: name, url: url, place: ("\(kind).url", nil)), at: 0)
        }
        for (index, entry) in entries.enumerated() where entries[..<index].contains(where: { $0.name == entry.name }) {
            throw entry.place.item?.failure("name", "\"\(entry.name)\" is the name of two targets")
                ?? SettingsError(
                    place: settings.fileName, key: "targets.\(kind)", problem: "two targets are called \(entry.name)")
        }
        return entries
    }

    private static func failure(_ entry: Entry, _ settings: Settings, _ problem: String) -> SettingsError {
        entry.place.item?.failure(entry.place.key, problem)
            ?? SettingsError(place: "environment and flags", key: entry.place.key, problem: problem)
    }

    private static func readPostgres(
        _ settings: Settings, _ defaults: PostgresTarget.Configuration
    ) throws(SettingsError) -> [PostgresTarget.Configuration] {
        let help = "Connection string of a Postgres, as libpq reads it."
        let url = try settings.read(
            "postgres.url", as: String.self, help, aliases: ["DATABASE_URL", "DATA_SOURCE_NAME"])
        let singles = try ExporterAccount(settings).connections(url)
        let entries = try entries(settings, kind: "postgres", singles: singles, help: help)
        var targets: [PostgresTarget.Configuration] = []
        for entry in entries {
            do { _ = try PostgresAddress(entry.url) } catch { throw failure(entry, settings, "\(error)") }
            var target = defaults
            target.name = entry.name
            target.connection = entry.url
            if entries.count > 1 { target.labels.append(Label("target", entry.name)) }
            targets.append(target)
        }
        return targets
    }

    private static func readRedis(_ settings: Settings, _ options: RedisOptions) throws(SettingsError) -> [Redis] {
        let help = "Address of a Redis: redis://user:password@host:6379/0 or unix:///path."
        let url = try settings.read(
            "redis.url", as: String.self, help, aliases: ["REDIS_URL", "REDIS_ADDR", "REDIS_ENDPOINT"])
        let login = try RedisLogin(settings)
        let entries = try entries(settings, kind: "redis", singles: url.map { [$0] } ?? [], help: help)
        var targets: [Redis] = []
        for entry in entries {
            var address: RedisAddress
            do { address = try RedisAddress(parsing: entry.url) } catch { throw failure(entry, settings, "\(error)") }
            if entry.place.item == nil { login.complete(&address) }
            targets.append(Redis(name: entries.count > 1 ? entry.name : nil, address: address, options: options))
        }
        return targets
    }

    private static func readPgBouncer(_ settings: Settings) throws(SettingsError) -> [PgBouncer] {
        let help = "Connection string of a PgBouncer's admin console."
        let url = try settings.read("pgbouncer.url", as: String.self, help, aliases: ["PGBOUNCER_URL"])
        let entries = try entries(settings, kind: "pgbouncer", singles: url.map { [$0] } ?? [], help: help)
        for entry in entries {
            do { _ = try PostgresAddress(entry.url) } catch { throw failure(entry, settings, "\(error)") }
        }
        return entries.map { PgBouncer(name: entries.count > 1 ? $0.name : nil, connection: $0.url) }
    }
}

extension Targets {
    /// The servers as Prometheus would scrape each of them: what `job`, `instance` and `up` say of their series.
    func historyTargets(own listen: ListenAddress?) -> [HistoryTarget] {
        var targets: [HistoryTarget] = []
        func add(_ job: String, _ instance: String, up: String, prefixes: [String], target: String?) {
            targets.append(
                HistoryTarget(job: job, instance: instance, upMetric: up) { metric, labels in
                    prefixes.contains { metric.hasPrefix($0) } && (target == nil || labels["target"] == target)
                })
        }
        for one in postgres {
            let address = (try? PostgresAddress(one.connection))?.server ?? one.name
            add(
                "postgres", address, up: "pg_up", prefixes: ["pg_", "outrigger_postgres_connect"],
                target: postgres.count > 1 ? one.name : nil)
        }
        for one in pgbouncer {
            let address = (try? PostgresAddress(one.connection))?.server ?? one.name ?? "pgbouncer"
            add("pgbouncer", address, up: "pgbouncer_up", prefixes: ["pgbouncer_"], target: one.name)
        }
        for one in redis {
            add("redis", one.address.place, up: "redis_up", prefixes: ["redis_"], target: one.name)
        }
        return targets + [.own(instance: "\(hostName()):\(listen?.port ?? 9847)")]
    }
}

extension RedisAddress {
    /// `host:port`, or the socket's path.
    var place: String {
        switch endpoint {
        case .tcp(let host, let port): "\(host):\(port)"
        case .unix(let path): path
        }
    }
}
