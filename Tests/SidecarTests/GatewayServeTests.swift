import LocalServers
import Runtime
import Testing

/// The real binary with the gateway on, in front of Python's file server.
@Suite struct GatewayServeTests {
    @Test func curlGetsThroughItWhatTheServiceServes() async throws {
        let folder = try TemporaryFolder("outrigger-gateway")
        try Files.write("hello\n", to: folder.path + "/page.txt")
        let service = FreePort.next()
        let files = try await LocalServer.start(
            "python3", ["-m", "http.server", "\(service)", "--bind", "127.0.0.1"], folder: folder, port: service
        ) { FreePort.isOpen(service) }
        let port = FreePort.next()
        let outrigger = try await RunningOutrigger.start([
            "--gateway.listen-address=127.0.0.1:\(port)", "--gateway.upstream=http://127.0.0.1:\(service)",
        ])
        let page = try await LocalServer.run("curl", ["-sS", "http://127.0.0.1:\(port)/page.txt"], folder: folder)
        #expect(page == "hello\n")
        // A page may be a second old.
        let wanted = "outrigger_http_requests_total{class=\"2xx\",method=\"GET\",route=\"default\"} 1\n"
        var metrics = ""
        let deadline = Deadline.after(.seconds(60))
        while !metrics.contains(wanted), !deadline.hasPassed {
            metrics = try await LocalServer.run("curl", ["-sS", "\(outrigger.url)/metrics"], folder: folder)
        }
        #expect(metrics.contains(wanted))
        let events = try await LocalServer.run("curl", ["-sS", "\(outrigger.url)/v1/security/events"], folder: folder)
        #expect(events == "{\"events\":[]}\n")
        await outrigger.process.stop()
        await files.process.stop()
    }

    @Test func beyondLoopbackWithoutTLSItDoesNotStart() async throws {
        let result = try await RunningOutrigger.run([
            "serve", "--gateway.listen-address=:0", "--gateway.upstream=http://127.0.0.1:1",
        ])
        #expect(result.status == 2)
        #expect(result.output.contains("gateway.listen_address: :0 can be reached from other machines"))
    }
}
