import Glibc
import LocalServers
import Runtime

/// A way to the same Redis, and the processes that work for it.
final class RedisPeer {
    let name: String
    let port: UInt16
    /// What stands in front of Redis; nil for nothing.
    let proxy: LocalServer?
    let redis: pid_t
    /// Of Outrigger's pages; 0 for the others.
    private let web: UInt16
    private let folder: TemporaryFolder

    private init(
        name: String, port: UInt16, proxy: LocalServer?, web: UInt16 = 0, redis: LocalRedis, folder: TemporaryFolder
    ) {
        self.name = name
        self.port = port
        self.proxy = proxy
        self.web = web
        self.redis = redis.server.process.pid
        self.folder = folder
    }

    var pid: pid_t { proxy?.process.pid ?? redis }

    /// CPU time in nanoseconds of the proxy and of Redis.
    var cpuNanoseconds: (proxy: Int, redis: Int) {
        (proxy.map { ProcessUsage.cpuNanoseconds($0.process.pid) } ?? 0, ProcessUsage.cpuNanoseconds(redis))
    }

    func stop() async { await proxy?.process.stop() }

    /// - Parameter at: where Redis is reached, when not at its own port.
    static func direct(_ redis: LocalRedis, at port: UInt16? = nil) -> RedisPeer {
        RedisPeer(name: "direct", port: port ?? redis.port, proxy: nil, redis: redis, folder: redis.server.folder)
    }

    /// What is no way to Redis, but answers as if it were, without looking.
    static func canned(_ redis: LocalRedis) async throws -> RedisPeer {
        let folder = try TemporaryFolder("outrigger-bench")
        let server = try await CannedServer.start(valueBytes: RedisDeck.valueBytes, folder: folder)
        return RedisPeer(name: "canned", port: server.port, proxy: server, redis: redis, folder: folder)
    }

    /// - Parameter settings: more arguments of `outrigger serve`.
    static func outrigger(_ redis: LocalRedis, at redisPort: UInt16? = nil, settings: [String] = []) async throws
        -> RedisPeer
    {
        let folder = try TemporaryFolder("outrigger-bench")
        let (port, web) = (FreePort.next(), FreePort.next())
        let server = try await LocalServer.start(
            Benchmarks.outrigger,
            [
                "serve", "--web.listen-address=127.0.0.1:\(web)", "--redis-proxy.listen-address=127.0.0.1:\(port)",
            ] + settings,
            folder: folder, port: port, environment: ["REDIS_URL": "redis://127.0.0.1:\(redisPort ?? redis.port)"]
        ) { FreePort.isOpen(web) && FreePort.isOpen(port) }
        return RedisPeer(name: "outrigger", port: port, proxy: server, web: web, redis: redis, folder: folder)
    }

    /// Debian's twemproxy with nothing but what it must be told.
    static func nutcracker(_ redis: LocalRedis, at redisPort: UInt16? = nil) async throws -> RedisPeer {
        let folder = try TemporaryFolder("outrigger-bench")
        let (port, statistics) = (FreePort.next(), FreePort.next())
        let configuration = """
            bench:
              listen: 127.0.0.1:\(port)
              redis: true
              hash: fnv1a_64
              distribution: ketama
              servers:
               - 127.0.0.1:\(redisPort ?? redis.port):1

            """
        try Files.write(configuration, to: folder.path + "/nutcracker.yml")
        let server = try await LocalServer.start(
            "nutcracker", ["-c", folder.path + "/nutcracker.yml", "-a", "127.0.0.1", "-s", "\(statistics)"],
            folder: folder, port: port
        ) { FreePort.isOpen(port) }
        return RedisPeer(name: "twemproxy", port: port, proxy: server, redis: redis, folder: folder)
    }

    /// Switches one of Outrigger's optimisations on or off; the others have none.
    func set(_ feature: String, _ isOn: Bool) async throws {
        guard web != 0 else { return }
        try await LocalServer.run(
            "curl",
            ["-sSf", "-X", "PUT", "http://127.0.0.1:\(web)/-/features/\(feature)=\(isOn ? "on" : "off")"],
            folder: folder)
    }
}
