import LocalServers
import Runtime
import Testing

@testable import Sidecar

/// The Postgres proxy as a part of the program.
@Suite struct PostgresProxyPartTests {
    private func psql(_ postgres: LocalPostgres, _ port: UInt16, _ arguments: [String]) async throws -> String {
        try await LocalServer.run(
            postgres.programs + "/psql",
            ["-X", "-q", "-A", "-t", "-d", "postgresql://postgres@127.0.0.1:\(port)/postgres?sslmode=disable"]
                + arguments,
            folder: postgres.server.folder, user: LocalServer.unprivilegedUser)
    }

    private func residentBytes(_ pid: Int32) throws -> Int {
        let fields = try Files.readText("/proc/\(pid)/statm").split(separator: " ")
        return (Int(fields[1]) ?? 0) * 4096
    }

    @Test func aURLIsAllItNeedsAndALongRowPassesInLittleMemory() async throws {
        let postgres = try await LocalPostgres.start()
        let port = FreePort.next()
        let outrigger = try await RunningOutrigger.start(
            ["--postgres-proxy.listen-address=127.0.0.1:\(port)"], environment: ["DATABASE_URL": postgres.url()])
        #expect(try await psql(postgres, port, ["-c", "SELECT 'through'"]) == "through\n")
        let before = try residentBytes(outrigger.process.pid)
        // A row is one message, which nobody has to hold as a whole but the client.
        let reader = try ChildProcess(
            postgres.programs + "/psql",
            [
                "-X", "-d", "postgresql://postgres@127.0.0.1:\(port)/postgres?sslmode=disable", "-c",
                "COPY (SELECT repeat('x', 64 << 20) FROM generate_series(1, 4)) TO STDOUT",
            ], output: "/dev/null")
        var peak = before
        while reader.exitCode == nil {
            peak = max(peak, try residentBytes(outrigger.process.pid))
            try await Task.sleep(for: .milliseconds(5))
        }
        #expect(reader.exitCode == 0)
        #expect(peak - before < 8 << 20, "\(peak >> 10) kB beside \(before >> 10) kB")
        await outrigger.process.stop()
        await postgres.stop()
    }
}
