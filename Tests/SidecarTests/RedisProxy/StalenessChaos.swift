import Glibc
import RedisTesting
import Runtime

/// What befalls a proxy and its Redis while clients use both.
struct StalenessChaos: Sendable {
    enum Disturbance: String, CaseIterable, Sendable {
        case killSubscriber, killEverybody, restart, flushInside, flushOutside, swapInside, swapOutside, stop,
            scriptedFlush

        /// Where writes are pending, they outlive what is done to Redis past the proxy.
        static func all(_ variant: ProxyVariant) -> [Disturbance] {
            guard variant.isBehind else { return allCases }
            return [.killSubscriber, .killEverybody, .flushInside, .swapInside, .stop, .scriptedFlush]
        }
    }

    private let proxy: ProxyUnderTest
    private let keys: [VersionedKey]
    private let grace: Duration
    private let swapGrace: Duration

    init(_ proxy: ProxyUnderTest, _ keys: [VersionedKey], grace: Duration, swapGrace: Duration) {
        self.proxy = proxy
        self.keys = keys
        self.grace = grace
        self.swapGrace = max(grace, swapGrace)
    }

    func disturb(by disturbance: Disturbance) async throws {
        switch disturbance {
        case .killSubscriber: try await ask(proxy.redis.port, ["CLIENT", "KILL", "TYPE", "pubsub"])
        case .killEverybody: try await ask(proxy.redis.port, ["CLIENT", "KILL", "TYPE", "normal"])
        case .restart: try await wiping(grace) { try await proxy.restartRedis() }
        case .flushInside: try await wiping(.zero) { try await ask(proxy.port, ["FLUSHALL"]) }
        case .flushOutside: try await wiping(grace) { try await ask(proxy.redis.port, ["FLUSHDB", "ASYNC"]) }
        case .scriptedFlush:
            try await wiping(.zero) { try await ask(proxy.port, ["EVAL", "return redis.call('FLUSHDB')", "0"]) }
        case .swapInside:
            try await emptyTheOther()
            try await wiping(.zero) { try await ask(proxy.port, ["SWAPDB", "0", "1"]) }
        case .swapOutside:
            try await emptyTheOther()
            try await wiping(swapGrace) { try await ask(proxy.redis.port, ["SWAPDB", "0", "1"]) }
        case .stop:
            let process = proxy.redis.server.process
            process.signal(SIGSTOP)
            try await Task.sleep(for: .milliseconds(Int.random(in: 100...1000)))
            process.signal(SIGCONT)
        }
    }

    /// Long enough before a swap that what Redis says about this cannot be taken for news of the swap.
    private func emptyTheOther() async throws {
        try await ask(proxy.redis.port, ["SELECT", "1"], ["FLUSHDB"])
        try await Task.sleep(for: .milliseconds(100))
    }

    private func wiping(_ grace: Duration, _ body: () async throws -> Void) async throws {
        let begun = keys.map { ($0.history, $0.history.begin(removes: true)) }
        try await body()
        for (history, number) in begun { history.acknowledge(number, removes: true, grace: grace) }
    }

    private func ask(_ port: UInt16, _ commands: [String]...) async throws {
        try await OwnThread().run {
            let client = try RawClient(port: port)
            for words in commands { _ = try client.ask(words.map { Array($0.utf8) }) }
        }
    }
}
