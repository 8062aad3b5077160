import LocalServers
import RedisTesting
import TestTools
import Testing

@testable import RedisProxy

@Suite struct KeySlotTests {
    @Test func theChecksumIsXmodems() {
        let text = Array("123456789".utf8)
        #expect(KeySlot.crc16(text.span, 0..<text.count) == 0x31C3)
        #expect(KeySlot.of("") == 0)
        #expect(KeySlot.of("foo") == 12182)
        #expect(KeySlot.of("bar") == 5061)
    }

    /// The examples of the cluster specification.
    @Test func onlyTheFirstHashTagCountsAndOnlyIfThereIsSomethingInIt() {
        #expect(KeySlot.of("{user1000}.following") == KeySlot.of("{user1000}.followers"))
        #expect(KeySlot.of("{user1000}.following") == KeySlot.of("user1000"))
        #expect(KeySlot.of("foo{}{bar}") != KeySlot.of("bar"))
        #expect(KeySlot.of("foo{}{bar}") == 8363)
        #expect(KeySlot.of("foo{{bar}}zap") == KeySlot.of("{bar"))
        #expect(KeySlot.of("foo{bar}{zap}") == KeySlot.of("bar"))
        #expect(KeySlot.of("foo}bar{") != KeySlot.of("bar"))
        #expect(KeySlot.of("{}") != KeySlot.of(""))
    }

    @Test(arguments: [51] as [UInt64]) func aNodeSaysTheSameOfRandomKeys(_ seed: UInt64) async throws {
        let redis = try await LocalRedis.start(["--cluster-enabled", "yes"])
        let client = try RawClient(port: redis.port)
        var random = Seeded(seed)
        for _ in 0..<5000 {
            var key = random.bytes(upTo: 12)
            for _ in 0..<Int.random(in: 0...4, using: &random) {
                key.insert(random.pick(Array("{}".utf8)), at: Int.random(in: 0...key.count, using: &random))
            }
            let told = Reply(try client.ask([Array("CLUSTER".utf8), Array("KEYSLOT".utf8), key])).integer
            #expect(told == Int(KeySlot.of(key.span)), "\(key) seed \(seed)")
        }
        await redis.stop()
    }
}
