import RedisTesting
import TestTools
import Testing

@testable import RedisProxy

private let asked = NodeAddress("192.168.1.1", 7000)

private func map(_ text: String) throws -> SlotMap { try SlotMap(slots: value(text), asked: asked) }

@Suite struct SlotMapTests {
    /// Two masters, one of them with a replica, and a hole from 10 to 99.
    private let two =
        "*2|*4|:0|:9|*3|$8|10.0.0.1|:6379|$1|a|*3|$8|10.0.0.3|:6379|$1|c|"
        + "*3|:100|:16383|*3|$8|10.0.0.2|:6380|$1|b|"

    @Test func slotsLeadToTheirNodes() throws {
        let map = try map(two)
        #expect(map[0] == node(1))
        #expect(map[9] == node(1))
        #expect(map[10] == nil)
        #expect(map[99] == nil)
        #expect(map[100] == node(2, 6380))
        #expect(map[16383] == node(2, 6380))
        #expect(map.uncovered == 90)
        #expect(map.nodes.map(\.address) == [node(1), node(2, 6380)])
        #expect(map.nodes.map(\.firstSlot) == [0, 100])
        #expect(map.node(of: 5)?.replicas == [node(3)])
        #expect(map.knows(node(3)) && !map.knows(node(4)))
    }

    @Test func anEmptyMapCoversNothing() throws {
        #expect(SlotMap().uncovered == 16384)
        #expect(SlotMap()[0] == nil)
        #expect(try map("*0|") == SlotMap())
    }

    @Test func aNodeThatKnowsNoAddressOfItselfIsTheOneThatWasAsked() throws {
        for host in ["$0||", "$-1|", "_|"] {
            #expect(try map("*1|*3|:0|:16383|*3|\(host):7001|$1|a|")[0] == NodeAddress("192.168.1.1", 7001))
        }
    }

    @Test func anUnknownHostIsLookedForBesideIt() throws {
        let metadata = ["*2|$2|ip|$8|10.0.0.9|", "%1|$2|ip|$8|10.0.0.9|"]
        for beside in metadata {
            #expect(try map("*1|*3|:0|:5|*4|$1|?|:6379|$1|a|\(beside)")[0] == node(9))
        }
        let unknown = try map("*2|*3|:0|:5|*4|$1|?|:6379|$1|a|*0|*3|:6|:7|*3|$8|10.0.0.1|:6379|$1|a|")
        #expect(unknown[0] == nil)
        #expect(unknown[6] == node(1))
        #expect(unknown.uncovered == 16382)
    }

    @Test func mapsOfTheSameContentsAreEqualHoweverTheyAreTold() throws {
        let parts = try map("*2|*3|:5|:9|*2|$8|10.0.0.1|:6379|*3|:0|:4|*2|$8|10.0.0.1|:6379|")
        let whole = try map("*1|*3|:0|:9|*2|$8|10.0.0.1|:6379|")
        #expect(parts == whole)
        var moved = whole
        moved.move(3, to: node(7))
        #expect(moved != whole)
        #expect(moved[3] == node(7) && moved[2] == node(1) && moved[4] == node(1))
        #expect(moved.nodes.map(\.firstSlot) == [0, 3])
        moved.move(3, to: node(1))
        #expect(moved == whole)
    }

    @Test func aMoveMayCoverASlotAndMakeANodeGo() throws {
        var map = try map("*1|*3|:0|:0|*2|$8|10.0.0.1|:6379|")
        map.move(16383, to: node(2))
        #expect(map.uncovered == 16382)
        map.move(0, to: node(2))
        #expect(map.nodes.map(\.address) == [node(2)])
        #expect(map.nodes.map(\.firstSlot) == [0])
    }

    @Test func whatIsOutOfBoundsIsRefused() {
        for bad in [
            ":1|", "$2|ab|", "*1|:1|", "*1|*2|:0|:1|", "*1|*3|:-1|:1|*2|$1|a|:1|", "*1|*3|:0|:16384|*2|$1|a|:1|",
            "*1|*3|:9|:8|*2|$1|a|:1|", "*1|*3|:0|:1|*2|$1|a|:65536|", "*1|*3|:0|:1|*2|$1|a|:-1|",
            "*1|*3|:0|:1|*2|$1|a|$1|x|", "*1|*3|:0|:1|*1|$1|a|", "*1|*3|:0|:1|*2|:1|:1|",
            "*1|*3|:0|:9223372036854775807|*2|$1|a|:1|",
        ] {
            #expect(throws: TopologyFault.self, "\(bad)") { try map(bad) }
        }
        #expect(throws: TopologyFault.refused("ERR This instance has cluster support disabled")) {
            try map("-ERR This instance has cluster support disabled|")
        }
    }

    @Test func shardsTellTheSame() throws {
        func member(_ ip: String, _ role: String, _ health: String = "online") -> String {
            "*12|$4|port|:6379|$2|ip|$8|\(ip)|$8|endpoint|$8|\(ip)|$4|role|$\(role.count)|\(role)|"
                + "$18|replication-offset|:0|$6|health|$\(health.count)|\(health)|"
        }
        let reply = try value(
            "*2|*4|$5|slots|*4|:0|:5|:7|:9|$5|nodes|*3|\(member("10.0.0.8", "master", "fail"))"
                + "\(member("10.0.0.1", "master"))\(member("10.0.0.3", "replica"))"
                + "*4|$5|slots|*0|$5|nodes|*1|\(member("10.0.0.2", "master"))")
        let map = try SlotMap(shards: reply, asked: asked)
        #expect(map[0] == node(1) && map[6] == nil && map[9] == node(1))
        #expect(map.uncovered == 16375)
        #expect(map.node(of: 0)?.replicas == [node(3)])
        #expect(map.nodes.count == 1)
        #expect(throws: TopologyFault.self) { try SlotMap(shards: value("*1|*2|$5|slots|*1|:0|"), asked: asked) }
    }

    @Test(arguments: [61, 62] as [UInt64]) func mutatedRepliesNeverTrap(_ seed: UInt64) {
        var random = Seeded(seed)
        let examples = [
            wire(two), wire("*1|*4|$5|slots|*2|:0|:5|$5|nodes|*1|%3|$4|port|:1|$8|endpoint|$-1|$4|role|$6|master|"),
        ]
        for _ in 0..<1000 {
            var bytes = random.pick(examples)
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = random.protocolByte()
            }
            guard let reply = try? RESPValue(bytes.span) else { continue }
            for map in [try? SlotMap(slots: reply, asked: asked), try? SlotMap(shards: reply, asked: asked)] {
                guard let map else { continue }
                #expect(map.uncovered == (0..<16384).count { map[UInt16($0)] == nil }, "seed \(seed)")
            }
        }
    }
}
