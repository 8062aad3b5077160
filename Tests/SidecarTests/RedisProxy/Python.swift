import LocalServers
import Runtime
import Testing

/// Scripts that end with `fine`, run by the Python that has the clients' libraries.
enum Python {
    /// - Parameters:
    ///   - ports: what the script finds in `sys.argv`, followed by the processes and `more`.
    static func run(
        _ script: String, _ ports: [UInt16], processes: [Int32] = [], then more: [UInt16] = [],
        in folder: TemporaryFolder
    ) async throws {
        let program = try #require(Environment.current["TEST_PYTHON"], "made by make")
        try Files.write(script, to: folder.path + "/client.py")
        let words = ports.map { "\($0)" } + processes.map { "\($0)" } + more.map { "\($0)" }
        let said = try await LocalServer.run(program, [folder.path + "/client.py"] + words, folder: folder)
        #expect(said == "fine\n")
    }
}

extension RunningOutrigger {
    /// How many commands the Redis proxy has answered from its local level.
    func localHits() async throws -> Int {
        let head = "outrigger_redis_proxy_replies_total{source=\"local\"} "
        // A collection that had begun before is shared; the next has not.
        _ = try await get("/metrics")
        let line = try await get("/metrics").body.split(separator: "\n").first { $0.hasPrefix(head) }
        return Int(try #require(line).dropFirst(head.count)) ?? 0
    }
}
