import Glibc
import Network
import Runtime

extension Command {
    static let serve = Command(
        name: "serve", usage: "[serve] [--config FILE] [--SETTING=VALUE…]",
        summary: "Watch, judge, warn and carry until a signal ends it. SIGHUP reads the configuration anew."
    ) { invocation in
        let signals = Signals.stream([SIGTERM, SIGINT, SIGHUP])
        let sidecar = try Sidecar { () throws(SettingsError) in try Configuration.load(invocation) }
        return try await sidecar.run(signals)
    }

    static let healthcheck = Command(
        name: "healthcheck", usage: "healthcheck [--config FILE] [--SETTING=VALUE…]",
        summary: "Ask a running sidecar on this machine whether it is ready; for container probes. Exit status 0 or 1."
    ) { invocation in
        let configuration = try Configuration.load(invocation)
        guard let address = configuration.web.listen.first else {
            throw UsageError(description: "web.listen_address is empty")
        }
        let status = try LoopbackRequest.status(of: "/-/ready", at: address, within: .seconds(2))
        writeOutput(status == 200 ? "ready\n" : "not ready: HTTP \(status)\n")
        return status == 200 ? 0 : 1
    }
}
