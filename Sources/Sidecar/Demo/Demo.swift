import Glibc
import LocalServers
import Network
import Runtime

extension Command {
    static let demo = Command(
        name: "demo", usage: "demo [--SETTING=VALUE…]",
        summary: "Watch a throw-away Postgres and Redis under a light load, or those of DATABASE_URL and REDIS_URL."
    ) { invocation in
        let signals = Signals.stream([SIGTERM, SIGINT, SIGHUP])
        // What is wrong with the settings shall be said before anything is started.
        _ = try Configuration.load(invocation)
        writeOutput("Starting the demo's servers…\n")
        let servers = try await DemoServers.start(environment: Environment.current)
        let receiver = try HTTPServer(ListenAddress(host: "127.0.0.1", port: 0)) { request in
            Log.debug("demo receiver", ["message": String(decoding: request.body, as: UTF8.self)])
            return .text("")
        }
        let configuration: DemoConfiguration
        let sidecar: Sidecar
        do {
            configuration = try DemoConfiguration(for: servers, receiver: receiver.address.port, invocation)
            let variables = configuration.variables
            sidecar = try Sidecar { () throws(SettingsError) in
                try Configuration.load(invocation, adding: variables)
            }
            try await sidecar.listen()
        } catch {
            await servers.stop()
            throw error
        }
        let load: DemoLoad
        do { load = try DemoLoad.start(on: servers, configuration) } catch {
            await sidecar.stop(endsProcess: false)
            await servers.stop()
            throw error
        }
        introduce(
            servers, configuration, web: await sidecar.addresses.first?.port ?? 0, rules: await sidecar.ruleCount)

        let summary = Task {
            guard isatty(STDOUT_FILENO) == 1 else { return }
            var summary = LiveSummary { await sidecar.gather() }
            await summary.show()
        }
        let status = await sidecar.waitForEnd(signals, isDemo: true)
        summary.cancel()
        await summary.value
        writeOutput("\nCleaning up…\n")
        await load.stop()
        await servers.stop()
        await receiver.stop(within: .seconds(1))
        return status
    }

    private static func introduce(
        _ servers: DemoServers, _ configuration: DemoConfiguration, web: UInt16, rules: Int
    ) {
        let postgres =
            servers.postgres.map { "throw-away, port \($0.port), under load" }
            ?? "yours, by DATABASE_URL; nothing is written"
        let redis =
            servers.redis.map { "throw-away, port \($0.port), under load" } ?? "yours, by REDIS_URL; nothing is written"
        let redisLine = configuration.redisProxyPort.map {
            "  Redis      through a proxy with a cache, port \($0)\(servers.redis == nil ? "" : ", which the load uses")\n"
        }
        let postgresLine = configuration.postgresProxyPort.map {
            "  Postgres   through a proxy with a pool, port \($0), which half of the load uses\n"
        }
        let lines = (redisLine ?? "") + (postgresLine ?? "")
        let carries: String? = lines.isEmpty ? nil : "and carries\n\(lines)"
        let tries = configuration.redisProxyPort.map { port in
            """
              redis-cli -p \(port)    Redis through the proxy; every Redis client can be pointed at it
              http://127.0.0.1:\(web)/health/cache    what it answers itself, by class of keys
              curl -X PUT http://127.0.0.1:\(web)/-/features/cache=off    the same without the cache; =on brings it back

            """
        }
        writeOutput(
            """
            Outrigger watches
              Postgres   \(postgres)
              Redis      \(redis)
              PgBouncer  \(servers.pgbouncer.map { "throw-away, port \($0.port), between the load and Postgres" } ?? "none")
              a service  that reports its operations by StatsD to port \(configuration.statsdPort)
            \(carries ?? "")Open
              http://127.0.0.1:\(web)/           what is here
              http://127.0.0.1:\(web)/metrics    everything as Prometheus reads it
              http://127.0.0.1:\(web)/api/v1/rules    \(rules == 0 ? "no alert rules: there is no ./alerts here" : "\(rules) alert rules and their states")
              Grafana with the data source http://127.0.0.1:\(web) and the files of ./dashboards
            \(tries ?? "")Ctrl-C ends it and removes what it made.


            """)
    }
}
