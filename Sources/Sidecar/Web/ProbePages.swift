import Collectors
import Databases
import Metrics
import Network
import Runtime
import Synchronization

/// `GET /probe?target=&auth_module=` as postgres_exporter has it, and `GET /scrape?target=` as redis_exporter has it: one
/// server is asked over connections of its own.
///
/// Only allowed targets are asked, so that nobody can make this process talk to hosts of his choice, and credentials in the
/// URL are ignored.
final class ProbePages: Sendable {
    private let probes: Probes
    private let postgres: PostgresTarget.Configuration
    private let redis: RedisOptions
    private let page: MetricsPage
    private let running = Mutex(0)

    init(_ configuration: Configuration, page: MetricsPage) {
        probes = configuration.probes
        postgres = configuration.targets.postgresDefaults
        redis = configuration.targets.redisDefaults
        self.page = page
    }

    // MARK: Postgres

    func probe(_ request: HTTPRequest) async -> HTTPResponse {
        guard let target = request.parameter("target"), !target.isEmpty else {
            return .text("target is required\n", status: 400)
        }
        guard let asked = try? PostgresAddress(target) else { return .text("target is not an address\n", status: 400) }
        let host = asked["host"] ?? "localhost"
        // A list of hosts could smuggle another one past a pattern, and `hostaddr` would win over the name.
        guard !host.contains(","), allows("\(host):\(asked["port"] ?? "5432")") else { return refusal }

        var configuration = postgres
        configuration.name = "probe"
        configuration.connection = "host=\(quoted(host)) port=\(quoted(asked["port"] ?? "5432"))"
        for keyword in ["dbname", "sslmode"] {
            if let value = asked[keyword] { configuration.connection += " \(keyword)=\(quoted(value))" }
        }
        if let name = request.parameter("auth_module"), !name.isEmpty {
            guard let module = probes.authModules[name] else {
                return .text("auth_module \(name) not found\n", status: 400)
            }
            guard !module.username.isEmpty, !module.password.isEmpty else {
                return .text("auth_module \(name) has no username or password\n", status: 400)
            }
            configuration.overrides = [("user", module.username), ("password", module.password)] + module.options
        }
        return await answer(request) { [configuration] round in
            do { return try await PostgresTarget.probe(configuration, round) } catch {
                Log.warn("probe failed", ["kind": "postgres", "error": "\(error)"])
                return []
            }
        }
    }

    private func quoted(_ value: String) -> String {
        var text = "'"
        for character in value {
            if character == "'" || character == "\\" { text.append("\\") }
            text.append(character)
        }
        return text + "'"
    }

    // MARK: Redis

    func scrape(_ request: HTTPRequest) async -> HTTPResponse {
        guard let target = request.parameter("target"), !target.isEmpty else {
            return .text("'target' parameter must be specified\n", status: 400)
        }
        guard var address = try? RedisAddress(parsing: target) else {
            return .text("Invalid 'target' parameter\n", status: 400)
        }
        guard allows(address.place) else { return refusal }
        address.password = password(for: address)
        var options = redis
        do {
            options.checkKeys = try keys(request, "check-keys") ?? options.checkKeys
            options.checkSingleKeys = try keys(request, "check-single-keys") ?? options.checkSingleKeys
            options.checkStreams = try keys(request, "check-streams") ?? options.checkStreams
            options.checkSingleStreams = try keys(request, "check-single-streams") ?? options.checkSingleStreams
            options.countKeys = try keys(request, "count-keys") ?? options.countKeys
        } catch {
            return .text("\(error)\n", status: 400)
        }
        return await answer(request) { [address, options] round in
            await RedisTarget(address: address, options: options).collect(round)
        }
    }

    private func keys(_ request: HTTPRequest, _ name: String) throws(DatabaseKey.Malformed) -> [DatabaseKey]? {
        guard let text = request.parameter(name) else { return nil }
        return try DatabaseKey.list(text)
    }

    /// The file names a server with or without the user, as redis_exporter reads it.
    private func password(for address: RedisAddress) -> String? {
        let scheme = address.usesTLS ? "rediss://" : "redis://"
        let place = address.place
        let withUser = address.user.map { "\(scheme)\($0)@\(place)" }
        return withUser.flatMap { probes.redisPasswords[$0] } ?? probes.redisPasswords[scheme + place]
            ?? probes.redisPasswords[place]
    }

    // MARK: Both

    private var refusal: HTTPResponse {
        .text("this target is not allowed: see the setting probe.targets\n", status: 403)
    }

    private func allows(_ target: String) -> Bool {
        probes.allowedTargets.contains { NamePattern.matches(target, $0) }
    }

    private func answer(
        _ request: HTTPRequest, _ collect: @Sendable (CollectionRound) async -> [Collected]
    ) async -> HTTPResponse {
        let isRoom = running.withLock { running in
            guard running < probes.concurrency else { return false }
            running += 1
            return true
        }
        guard isRoom else { return .text("too many probes at once: see the setting probe.concurrency\n", status: 503) }
        defer { running.withLock { $0 -= 1 } }
        let selection = CollectorSelection(
            collect: request.parameters("collect[]"), exclude: request.parameters("exclude[]"))
        let round = CollectionRound(deadline: .after(page.budget(request)), selection: selection)
        let collected = await collect(round)
        return page.page(Snapshot(families: collected.flatMap(\.families)), for: request)
    }
}
