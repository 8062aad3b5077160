import Glibc
import LocalServers
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
        var addresses = ["DATABASE_URL": servers.postgresURL, "REDIS_URL": servers.redisURL]
        // The rules of the repository, when the demo is started in it.
        if Files.exists("alerts"), !invocation.has("alerting.rules") {
            addresses["OUTRIGGER_ALERTING_RULES"] = "alerts/*.yml"
        }
        let variables = addresses
        let sidecar = try Sidecar { () throws(SettingsError) in try Configuration.load(invocation, adding: variables) }
        do {
            try await sidecar.listen()
        } catch {
            await servers.stop()
            throw error
        }
        let load = try DemoLoad.start(on: servers)
        introduce(servers, port: await sidecar.addresses.first?.port ?? 0)

        let summary = Task {
            guard isatty(STDOUT_FILENO) == 1 else { return }
            var summary = LiveSummary { await sidecar.gather() }
            await summary.show()
        }
        let status = await sidecar.waitForEnd(signals)
        summary.cancel()
        await summary.value
        writeOutput("\nCleaning up…\n")
        await load.stop()
        await servers.stop()
        return status
    }

    private static func introduce(_ servers: DemoServers, port: UInt16) {
        let postgres =
            servers.postgres.map { "throw-away, port \($0.port), under load" }
            ?? "yours, by DATABASE_URL; nothing is written"
        let redis =
            servers.redis.map { "throw-away, port \($0.port), under load" } ?? "yours, by REDIS_URL; nothing is written"
        writeOutput(
            """
            Outrigger watches
              Postgres   \(postgres)
              Redis      \(redis)
            Open
              http://127.0.0.1:\(port)/           what is here
              http://127.0.0.1:\(port)/metrics    everything as Prometheus reads it
              http://127.0.0.1:\(port)/api/v1/rules    the alert rules of ./alerts and their states
            Ctrl-C ends it and removes what it made.


            """)
    }
}
