import Glibc
import Runtime

/// A throw-away Redis without persistence.
public final class LocalRedis: Sendable {
    public let server: LocalServer
    private let program: String
    private let arguments: [String]
    private let tls: LocalTLS?

    public var port: UInt16 { server.port }
    public var url: String { (tls == nil ? "redis" : "rediss") + "://127.0.0.1:\(port)" }

    private init(server: LocalServer, program: String, arguments: [String], tls: LocalTLS?) {
        self.server = server
        self.program = program
        self.arguments = arguments
        self.tls = tls
    }

    /// - Parameters:
    ///   - arguments: options of `redis-server`, such as `["--maxmemory", "64mb"]`.
    ///   - tls: with which it listens, and in no other way; nil for plain.
    ///   - program: another version's `redis-server`.
    public static func start(
        _ arguments: [String] = [], tls: LocalTLS? = nil, program: String = "redis-server"
    ) async throws -> LocalRedis {
        let folder = try TemporaryFolder("outrigger-redis")
        // A node of a cluster talks to the others 10,000 ports above.
        let port = FreePort.next(andAt: arguments.contains("--cluster-enabled") ? 10_000 : 0)
        return try await launch(arguments, tls: tls, program: program, folder: folder, port: port)
    }

    private static func launch(
        _ arguments: [String], tls: LocalTLS?, program: String, folder: TemporaryFolder, port: UInt16
    ) async throws -> LocalRedis {
        let ours = ["--port", "\(port)", "--bind", "127.0.0.1", "--save", "", "--dir", folder.path]
        let secured = (tls?.redisSettings(port: port) ?? []).flatMap { ["--" + $0.name, $0.value] }
        let server = try await LocalServer.start(program, ours + secured + arguments, folder: folder, port: port) {
            FreePort.isOpen(port)
        }
        return LocalRedis(server: server, program: program, arguments: arguments, tls: tls)
    }

    /// Starts an empty one again on the same port after it was stopped or killed.
    public func restarted() async throws -> LocalRedis {
        try await LocalRedis.launch(arguments, tls: tls, program: program, folder: server.folder, port: port)
    }

    public func stop() async { await server.process.stop() }

    /// One command through `redis-cli`, whose words are given one by one.
    @discardableResult
    public func command(_ words: String...) async throws -> String {
        try await LocalServer.run(
            "redis-cli", ["-p", "\(port)"] + (tls?.clientOptions ?? []) + words, folder: server.folder)
    }
}
