import LocalServers
import RedisTesting
import Runtime
import Testing

/// Names of servers that lead nowhere.
@Suite struct NameTests {
    @Test func aNameThatIsNotFoundEndsNothing() async throws {
        let port = FreePort.next()
        // An empty label, which no name server is asked for.
        let outrigger = try await RunningOutrigger.start(
            ["--redis-proxy.listen-address=127.0.0.1:\(port)"],
            environment: ["REDIS_URL": "redis://redis..nowhere:6379"])
        let client = try RawClient(port: port)
        #expect(try client.ask("GET", "k") == "-ERR Redis cannot be reached\r\n")
        #expect(try await outrigger.get("/metrics").body.contains("\nredis_up 0\n"))
        #expect(try await outrigger.get("/-/ready").status == 200)
        #expect(outrigger.log.contains("msg=\"a name is not found\" host=redis..nowhere why="))
        await outrigger.stop()
    }
}
