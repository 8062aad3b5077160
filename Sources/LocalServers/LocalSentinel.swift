import Runtime

/// A throw-away Sentinel that watches one master on loopback.
public final class LocalSentinel: Sendable {
    public let server: LocalServer
    private let tls: LocalTLS?
    public var port: UInt16 { server.port }

    private init(_ server: LocalServer, _ tls: LocalTLS?) { (self.server, self.tls) = (server, tls) }

    /// - Parameters:
    ///   - name: by which it knows the master.
    ///   - quorum: how many Sentinels have to miss the master.
    ///   - downAfter: milliseconds of silence after which it does.
    ///   - tls: in which it listens and speaks to the master; nil for plain.
    ///   - lines: more of its configuration.
    public static func start(
        _ name: String, master port: UInt16, quorum: Int, downAfter: Int = 1000, tls: LocalTLS? = nil,
        _ lines: [String] = []
    ) async throws -> LocalSentinel {
        let folder = try TemporaryFolder("outrigger-sentinel")
        let own = FreePort.next()
        let configuration = [
            "port \(own)", "bind 127.0.0.1", "dir \(folder.path)",
            "sentinel monitor \(name) 127.0.0.1 \(port) \(quorum)",
            "sentinel down-after-milliseconds \(name) \(downAfter)", "sentinel failover-timeout \(name) 10000",
        ]
        let secured = (tls?.redisSettings(port: own) ?? []).map { "\($0.name) \($0.value)" }
        let path = folder.path + "/sentinel.conf"
        try Files.write((configuration + secured + lines).joined(separator: "\n") + "\n", to: path)
        return LocalSentinel(
            try await LocalServer.start("redis-server", [path, "--sentinel"], folder: folder, port: own) {
                FreePort.isOpen(own)
            }, tls)
    }

    public func stop() async { await server.process.stop() }

    /// One command through `redis-cli`, whose words are given one by one.
    @discardableResult
    public func command(_ words: String...) async throws -> String {
        try await LocalServer.run(
            "redis-cli", ["-p", "\(port)"] + (tls?.clientOptions ?? []) + words, folder: server.folder)
    }
}
