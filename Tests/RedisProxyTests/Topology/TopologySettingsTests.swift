import RedisProxy
import Runtime
import Testing

@Suite struct TopologySettingsTests {
    private func read(_ yaml: String, _ environment: [String: String] = [:]) throws -> TopologySettings {
        let root = try YAML.parse(yaml) ?? YAML(.scalar("", isPlain: true), line: 1)
        let settings = Settings(file: ("o.yml", root), environment: environment)
        let topology = try TopologySettings(settings)
        try settings.finish()
        return topology
    }

    @Test func sentinelsAreRead() throws {
        let topology = try read(
            """
            redis_proxy:
              sentinel: {master: main, addresses: ["10.0.0.1:26379", "[::1]:26380"], user: watcher}
            """, ["OUTRIGGER_REDIS_PROXY_SENTINEL_PASSWORD": "secret"])
        guard case .sentinel(let settings) = topology else { return #expect(Bool(false), "\(topology)") }
        #expect(settings.master == "main")
        #expect(settings.addresses == [NodeAddress("10.0.0.1", 26379), NodeAddress("::1", 26380)])
    }

    @Test func nodesOfAClusterAreRead() throws {
        let topology = try read("", ["OUTRIGGER_REDIS_PROXY_CLUSTER_ADDRESSES": "redis-1:6379, redis-2:6379"])
        guard case .cluster(let settings) = topology else { return #expect(Bool(false), "\(topology)") }
        #expect(settings.addresses == [NodeAddress("redis-1", 6379), NodeAddress("redis-2", 6379)])
    }

    @Test func withNeitherThereIsOneServer() throws {
        guard case .single = try read("") else { return #expect(Bool(false)) }
    }

    @Test(arguments: [
        ("sentinel: {master: main}", "o.yml: redis_proxy.sentinel.addresses: is missing"),
        ("sentinel: {addresses: ['a:1']}", "o.yml: redis_proxy.sentinel.master: is missing"),
        (
            "sentinel: {password: x}",
            "o.yml: redis_proxy.sentinel.master: is missing, but there is a login"
        ),
        (
            "sentinel: {master: m, addresses: ['a:1'], user: u}",
            "o.yml: redis_proxy.sentinel.password: is missing, but there is a user"
        ),
        (
            "cluster: {addresses: [nowhere]}",
            "o.yml: redis_proxy.cluster.addresses: \"nowhere\" is not a host and port such as 10.0.0.1:6379"
        ),
        (
            "{cluster: {addresses: ['a:1']}, sentinel: {master: m, addresses: ['a:1']}}",
            "o.yml: redis_proxy.cluster.addresses: Redis is behind Sentinels or a cluster, not both"
        ),
    ])
    func whatDoesNotFitStopsTheStart(_ yaml: String, _ complaint: String) {
        do {
            _ = try read("redis_proxy: " + (yaml.hasPrefix("{") ? yaml : "{\(yaml)}"))
            Issue.record("\(yaml) was taken")
        } catch {
            #expect("\(error)" == complaint)
        }
    }
}
