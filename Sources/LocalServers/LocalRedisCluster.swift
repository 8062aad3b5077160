import Runtime

/// A throw-away Redis Cluster on loopback. It has all its slots, and every node knows every other.
public final class LocalRedisCluster: Sendable {
    /// Masters first, until one fails.
    public let nodes: [LocalRedis]

    private init(nodes: [LocalRedis]) { self.nodes = nodes }

    /// - Parameters:
    ///   - masters: at least 3, says `redis-cli`.
    ///   - replicas: of each master.
    ///   - tls: in which the nodes speak to clients and to each other, and in no other way; nil for plain.
    public static func start(
        masters: Int = 3, replicas: Int = 0, _ arguments: [String] = [], tls: LocalTLS? = nil,
        patience: Duration = .seconds(60)
    ) async throws -> LocalRedisCluster {
        var nodes: [LocalRedis] = []
        for _ in 0..<masters * (1 + replicas) {
            nodes.append(
                try await LocalRedis.start(
                    ["--cluster-enabled", "yes", "--cluster-node-timeout", "5000"]
                        + (tls == nil ? [] : ["--tls-cluster", "yes"]) + arguments, tls: tls))
        }
        try await LocalServer.run(
            "redis-cli",
            ["--cluster", "create"] + nodes.map { "127.0.0.1:\($0.port)" }
                + ["--cluster-replicas", "\(replicas)", "--cluster-yes"] + (tls?.clientOptions ?? []),
            folder: nodes[0].server.folder)
        let cluster = LocalRedisCluster(nodes: nodes)
        let deadline = Deadline.after(patience)
        while try await !cluster.isWhole() {
            guard !deadline.hasPassed else {
                throw LocalServerError.notReady(
                    program: "redis cluster", after: patience, log: try await nodes[0].command("CLUSTER", "NODES"))
            }
            try await Task.sleep(for: .milliseconds(100))
        }
        return cluster
    }

    /// Whether every node says that all is well and of all the others.
    private func isWhole() async throws -> Bool {
        for node in nodes {
            guard try await node.command("CLUSTER", "INFO").contains("cluster_state:ok") else { return false }
            // Replicas are among them once they have copied their master.
            let slots = try await node.command("CLUSTER", "SLOTS").split(separator: "\n")
            guard nodes.allSatisfy({ slots.contains("\($0.port)") }) else { return false }
        }
        return true
    }

    public func stop() async { for node in nodes { await node.stop() } }
}
