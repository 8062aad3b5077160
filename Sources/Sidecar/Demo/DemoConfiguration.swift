import Glibc
import LocalServers
import Network
import Runtime

/// What the demo sets: where its servers are, and, unless the user brings a file, a configuration that shows
/// everything Outrigger can tell of them.
struct DemoConfiguration {
    /// Variables that win over the environment's.
    let variables: [String: String]
    /// Of the service's process, which the load writes.
    let pidFile: String
    let statsdPort: UInt16
    /// Where the Redis proxy listens; nil without one.
    let redisProxyPort: UInt16?
    /// Where the Postgres proxy listens; nil without one.
    let postgresProxyPort: UInt16?

    /// - Parameter receiver: the port of a webhook that takes every alert.
    init(for servers: DemoServers, receiver: UInt16, _ invocation: Invocation) throws {
        let folder = servers.folder.path
        pidFile = folder + "/service.pid"
        let wished = invocation.value("statsd.listen_address").flatMap { ListenAddress(setting: $0) }
        statsdPort = wished?.port ?? FreePort.next()
        var variables = [
            "DATABASE_URL": servers.postgresURL, "REDIS_URL": servers.redisURL,
            "OUTRIGGER_STATSD_LISTEN_ADDRESS": "127.0.0.1:\(statsdPort)",
        ]
        let proxy = invocation.value("redis_proxy.listen_address").flatMap { ListenAddress(setting: $0) }
        if let proxy {
            redisProxyPort = proxy.port
        } else if servers.redis != nil {
            let usual: UInt16 = 6380
            let port = FreePort.isOpen(usual) ? FreePort.next() : usual
            variables["OUTRIGGER_REDIS_PROXY_LISTEN_ADDRESS"] = "127.0.0.1:\(port)"
            redisProxyPort = port
        } else {
            redisProxyPort = nil
        }
        let postgresProxy = invocation.value("postgres_proxy.listen_address").flatMap { ListenAddress(setting: $0) }
        if let postgresProxy {
            postgresProxyPort = postgresProxy.port
        } else if servers.postgres != nil {
            let usual: UInt16 = 6432
            let port = FreePort.isOpen(usual) ? FreePort.next() : usual
            variables["OUTRIGGER_POSTGRES_PROXY_LISTEN_ADDRESS"] = "127.0.0.1:\(port)"
            postgresProxyPort = port
        } else {
            postgresProxyPort = nil
        }
        if let pgbouncer = servers.pgbouncer { variables["PGBOUNCER_URL"] = pgbouncer.url() }
        // The rules of the repository, when the demo is started in it.
        if Files.exists("alerts"), !invocation.has("alerting.rules") {
            variables["OUTRIGGER_ALERTING_RULES"] = DemoConfiguration.workingDirectory + "/alerts/*.yml"
        }
        let bringsFile =
            invocation.has("config") || invocation.has("config.file")
            || Environment.current["OUTRIGGER_CONFIG"] != nil
        if !bringsFile {
            variables["OUTRIGGER_CONFIG"] = folder + "/outrigger.yml"
            try Files.write(
                DemoConfiguration.text(
                    folder: folder, receiver: receiver, pidFile: servers.postgres == nil ? nil : pidFile),
                to: folder + "/outrigger.yml")
        }
        self.variables = variables
    }

    private static func text(folder: String, receiver: UInt16, pidFile: String?) -> String {
        """
        collector:
          stat_statements: {enabled: true, include_query: true}
          postmaster: true
          database_wraparound: true
          long_running_transactions: true
          host_resources: true
        history: {interval: 5s}
        performance: {interval: 5s}
        state: {dir: "\(folder)/state"}
        cache:
          max_bytes: 1MiB
          compression_threshold: 1KiB
          classes:
            - {name: pages, match: ["page:*"], refresh_ahead: 0.2, on_failure: stale, share: 0.3}
            - {name: sessions, match: ["session:*"], ttl: 2m, strategy: lru, share: 0.3}
            # So little that something has to go now and then.
            - {name: products, match: ["product:*"], strategy: wtinylfu, share: 0.17}
            - {name: baskets, match: ["basket:*"], write: behind, share: 0.1}
        alerting:
          evaluation_interval: 5s
          receivers: [{name: demo, webhook: {url: "http://127.0.0.1:\(receiver)/"}}]
          route: {receiver: demo, group_by: [alertname], group_wait: 1s, group_interval: 1m, repeat_interval: 1h}

        """ + (pidFile.map { "service: {name: shop, pid_file: \"\($0)\"}\n" } ?? "")
    }

    private static var workingDirectory: String {
        guard let path = getcwd(nil, 0) else { return "." }
        defer { free(path) }
        return String(cString: path)
    }
}
