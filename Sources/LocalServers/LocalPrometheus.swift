import Runtime

/// A throw-away Prometheus that scrapes one port and answers queries about it.
public final class LocalPrometheus: Sendable {
    public let server: LocalServer

    public var port: UInt16 { server.port }
    public var url: String { "http://127.0.0.1:\(port)" }

    private init(server: LocalServer) { self.server = server }

    /// - Parameters:
    ///   - target: a loopback port whose `/metrics` is scraped every second.
    ///   - ruleFiles: paths of rule files, evaluated every second unless they say otherwise.
    ///   - alertmanager: a loopback port.
    public static func start(
        scraping target: UInt16, job: String = "outrigger", ruleFiles: [String] = [], alertmanager: UInt16? = nil
    ) async throws -> LocalPrometheus {
        let folder = try TemporaryFolder("outrigger-prometheus")
        let port = FreePort.next()
        var configuration = """
            global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
            scrape_configs: [{job_name: "\(job)", static_configs: [{targets: ["127.0.0.1:\(target)"]}]}]
            rule_files: [\(ruleFiles.map { "\"\($0)\"" }.joined(separator: ", "))]

            """
        if let alertmanager {
            configuration +=
                "alerting: {alertmanagers: [{static_configs: [{targets: [\"127.0.0.1:\(alertmanager)\"]}]}]}\n"
        }
        try Files.write(configuration, to: folder.path + "/prometheus.yml")
        let server = try await LocalServer.start(
            "prometheus",
            [
                "--config.file=\(folder.path)/prometheus.yml", "--storage.tsdb.path=\(folder.path)/data",
                "--web.listen-address=127.0.0.1:\(port)", "--log.level=warn",
            ], folder: folder, port: port
        ) {
            let probe = try? ChildProcess("curl", ["-sf", "http://127.0.0.1:\(port)/-/ready"])
            return (try? await probe?.exited(within: .seconds(5))) == 0
        }
        return LocalPrometheus(server: server)
    }

    public func stop() async { await server.process.stop() }

    /// The `data` of an API's answer, asked with curl; `parameters` are percent-encoded for the query.
    public func ask(_ path: String, _ parameters: [(String, String)]) async throws -> JSON {
        let words = parameters.flatMap { ["--data-urlencode", "\($0.0)=\($0.1)"] }
        let text = try await LocalServer.run(
            "curl", ["-sS", "-G", "--max-time", "30"] + words + [url + path], folder: server.folder)
        let answer = try JSON.parse(Array(text.utf8))
        guard answer["status"]?.string == "success", let data = answer["data"] else { throw Refusal(description: text) }
        return data
    }

    public struct Refusal: Error, CustomStringConvertible {
        public let description: String
    }

    /// Whether the last scrape succeeded, and what it complained of.
    public func scrapeState() async throws -> (isUp: Bool, error: String) {
        let target = try await ask("/api/v1/targets", [])["activeTargets"]?.array?.first
        return (target?["health"]?.string == "up", target?["lastError"]?.string ?? "")
    }
}
