import LocalServers
import RedisTesting
import Runtime
import TestTools
import Testing

@testable import RedisProxy

/// A cluster of three masters and their replicas, which all of this shares because starting it takes seconds.
@Suite struct RealClusterTests {
    private let probe = TopologyProbe()

    @Test func aClusterIsReadFollowedAndSpokenToAsOne() async throws {
        let cluster = try await LocalRedisCluster.start(masters: 3, replicas: 1)
        let maps = Happenings<SlotMap>()
        let watch = ClusterWatch(
            ClusterSettings(addresses: [NodeAddress("127.0.0.1", FreePort.next()), cluster.nodes[0].address]),
            login: TopologyLogin(), client: probe.client, after: TopologyProbe.timer(on: probe.loop)
        ) { maps.add($0) }
        probe.loop.post { watch.start() }
        try await maps.wait("a map") { !$0.isEmpty }
        let map = try #require(maps.all.last)

        #expect(map.uncovered == 0)
        #expect(Set(map.nodes.map(\.address)) == Set(cluster.nodes[..<3].map(\.address)))
        #expect(Set(map.nodes.flatMap(\.replicas)) == Set(cluster.nodes[3...].map(\.address)))
        try await everyFormOfTheMapIsTheSame(map)
        try await keysAreWhereTheMapSays(map)
        try await crossSlotIsWhatRedisSays(map)
        try await allNodesAnswerAsOne(map)
        try await slotsOnTheirWayRedirect(map, watch, maps)
        try await aFailoverIsFollowed(cluster, watch, maps)
        probe.loop.post { watch.stop() }
        await cluster.stop()
    }

    private func everyFormOfTheMapIsTheSame(_ map: SlotMap) async throws {
        for node in map.nodes {
            for hello in ["2", "3"] {
                let replies = try await probe.asks(
                    [["HELLO", hello], ["CLUSTER", "SLOTS"], ["CLUSTER", "SHARDS"]], of: node.address)
                #expect(try SlotMap(slots: replies[1], asked: node.address) == map)
                #expect(try SlotMap(shards: replies[2], asked: node.address) == map)
            }
        }
    }

    /// Writes 500 keys, each of which is taken where the map says and refused elsewhere.
    private func keysAreWhereTheMapSays(_ map: SlotMap) async throws {
        let clients = try self.clients(map)
        for number in 0..<500 {
            let key = "key:\(number)"
            let slot = KeySlot.of(key)
            let owner = try #require(map[slot])
            #expect(try clients[owner]?.ask("SET", key, "\(number)") == "+OK\r\n")
            let other = try #require(map.nodes.first { $0.address != owner }).address
            let refusal = Array(try #require(clients[other]).ask("GET", key).utf8)
            #expect(Redirect(refusal.span, from: other) == .moved(slot: slot, to: owner))
        }
    }

    /// Random commands over several keys: a node says `CROSSSLOT` exactly where the target does.
    private func crossSlotIsWhatRedisSays(_ map: SlotMap) async throws {
        let clients = try self.clients(map)
        var random = Seeded(101)
        var crossed = 0
        for _ in 0..<600 {
            func key() -> String { random.pick(["{a}", "{b}", ""]) + random.pick(["x", "y", "a", "b"]) }
            let words = random.pick([
                ["MGET", key(), key()], ["MSET", key(), "1", key(), "2"], ["DEL", key(), key(), key()],
                ["EVAL", "return 1", "2", key(), key(), key()], ["ZUNIONSTORE", key(), "2", key(), key()],
                ["XREAD", "STREAMS", key(), key(), "0", "0"], ["SORT", key(), "STORE", key()],
                ["EVAL", "return 1", "0"],
                ["COPY", key(), key()], ["LMPOP", "2", key(), key(), "LEFT"], ["BITOP", "AND", key(), key(), key()],
            ])
            let goesTo = target(words)
            let address =
                switch goesTo {
                case .slot(let slot), .crossSlot(let slot): map[slot]
                default: map.nodes[0].address
                }
            let node = try #require(address)
            let reply = try #require(clients[node]).ask(words.map { Array($0.utf8) })
            let isCrossed = String(decoding: reply, as: UTF8.self) == "-\(ClusterTarget.crossSlot)\r\n"
            if isCrossed { crossed += 1 }
            if case .crossSlot = goesTo { #expect(isCrossed, "\(words)") } else { #expect(!isCrossed, "\(words)") }
            #expect(Redirect(reply.span, from: node) == nil, "\(words)")
        }
        #expect(crossed > 100)
    }

    private func allNodesAnswerAsOne(_ map: SlotMap) async throws {
        let clients = try self.clients(map)
        func ask(_ merge: FanOut.Merge, _ words: String...) throws -> Reply {
            var fan = FanOut(merge, of: map.nodes.count)
            for node in map.nodes {
                let reply = try #require(clients[node.address]).ask(words.map { Array($0.utf8) })
                fan.add(reply.span)
            }
            var output: [UInt8] = []
            fan.append(to: &output)
            return Reply(output)
        }
        let keys = Set((0..<500).map { "key:\($0)" })
        let listed = try ask(.concatenated, "KEYS", "key:*").elements.map(\.text)
        #expect(listed.count == 500 && Set(listed) == keys)
        let others = try ask(.concatenated, "KEYS", "*").elements.count - 500
        #expect(try ask(.sum, "DBSIZE").integer == 500 + others)
        #expect(try scanned(map, clients) == keys)
        #expect(try ask(.oneOf, "RANDOMKEY").text != "")
        let digest = try ask(.allSucceeded, "SCRIPT", "LOAD", "return 1").text
        #expect(try ask(.allTrue, "SCRIPT", "EXISTS", digest, "0").elements.map(\.integer) == [1, 0])
        #expect(try ask(.oneSucceeded, "SCRIPT", "KILL") == .error("NOTBUSY No scripts in execution right now."))
        #expect(try ask(.allSucceeded, "FLUSHALL") == .text(Array("OK".utf8)))
        #expect(try ask(.sum, "DBSIZE").integer == 0)
    }

    /// All keys, as a client finds them that follows the cursor.
    private func scanned(_ map: SlotMap, _ clients: [NodeAddress: RawClient]) throws -> Set<String> {
        var found: Set<String> = []
        var cursor = "0"
        var rounds = 0
        repeat {
            let words = ["SCAN", cursor, "MATCH", "key:*", "COUNT", "30"]
            let bytes = words.flatMap { Array($0.utf8) }
            var start = 0
            let ranges = words.map { word in
                defer { start += word.utf8.count }
                return start..<start + word.utf8.count
            }
            guard let scan = ClusterScan(cursor: bytes.span.extracting(ranges[1]), in: map),
                let address = scan.node(in: map), let client = clients[address]
            else {
                Issue.record("nobody to ask for \(cursor)")
                return found
            }
            var command: [UInt8] = []
            scan.append(ranges, of: bytes.span, to: &command)
            client.send(command)
            let reply = try client.nextReply()
            var output: [UInt8] = []
            scan.append(reply.span, in: map, to: &output)
            let told = Reply(output).elements
            cursor = told[0].text
            for key in told[1].elements { found.insert(key.text) }
            rounds += 1
        } while cursor != "0" && rounds < 1000
        #expect(rounds > map.nodes.count)
        return found
    }

    /// Moves the slot of `foo`: `ASK` and `TRYAGAIN` on the way, `MOVED` when it is there, and the watch learns of it.
    private func slotsOnTheirWayRedirect(_ map: SlotMap, _ watch: ClusterWatch, _ maps: Happenings<SlotMap>)
        async throws
    {
        let clients = try self.clients(map)
        let slot = KeySlot.of("foo")
        let from = try #require(map[slot])
        let to = try #require(map.nodes.first { $0.address != from }).address
        let (source, destination) = (try #require(clients[from]), try #require(clients[to]))
        func redirect(_ client: RawClient, _ address: NodeAddress, _ words: String...) throws -> Redirect? {
            let reply = try client.ask(words.map { Array($0.utf8) })
            return Redirect(reply.span, from: address)
        }
        let ids = (
            Reply(Array(try source.ask("CLUSTER", "MYID").utf8)).text,
            Reply(Array(try destination.ask("CLUSTER", "MYID").utf8)).text
        )
        #expect(try source.ask("SET", "{foo}stays", "1") == "+OK\r\n")
        #expect(try destination.ask("CLUSTER", "SETSLOT", "\(slot)", "IMPORTING", ids.0) == "+OK\r\n")
        #expect(try source.ask("CLUSTER", "SETSLOT", "\(slot)", "MIGRATING", ids.1) == "+OK\r\n")
        #expect(try redirect(source, from, "GET", "{foo}stays") == nil)
        #expect(try redirect(source, from, "GET", "foo") == .ask(slot: slot, to: to))
        #expect(try redirect(source, from, "MGET", "foo", "{foo}stays") == .tryAgain)
        #expect(try destination.ask("ASKING") == "+OK\r\n")
        #expect(try destination.ask("SET", "foo", "1") == "+OK\r\n")
        #expect(try redirect(destination, to, "GET", "foo") == .moved(slot: slot, to: from))
        #expect(try source.ask("DEL", "{foo}stays") == ":1\r\n")
        for node in map.nodes {
            #expect(try clients[node.address]?.ask("CLUSTER", "SETSLOT", "\(slot)", "NODE", ids.1) == "+OK\r\n")
        }
        let moved = try redirect(source, from, "GET", "foo")
        #expect(moved == .moved(slot: slot, to: to))

        probe.loop.post { watch.moved(slot, to: to) }
        try await maps.wait("the moved slot") { $0.last?[slot] == to }
        // Replicas come with the whole map only, so this is what the cluster told, not what the redirect did.
        try await maps.wait("the map after it") { all in
            guard let last = all.last, last[slot] == to else { return false }
            return last.uncovered == 0 && last.nodes.allSatisfy { $0.replicas.count == 1 }
        }
    }

    private func aFailoverIsFollowed(
        _ cluster: LocalRedisCluster, _ watch: ClusterWatch, _ maps: Happenings<SlotMap>
    ) async throws {
        let map = try #require(maps.all.last)
        let shard = try #require(map.nodes.first)
        let replica = try #require(cluster.nodes.first { $0.address == shard.replicas[0] })
        #expect(try await replica.command("CLUSTER", "FAILOVER") == "OK\n")
        let probe = probe
        try await maps.wait("the failover") { all in
            // As sessions would, which keep meeting redirects.
            probe.loop.post { watch.doubted() }
            return all.last?[shard.firstSlot] == replica.address
        }
    }

    private func clients(_ map: SlotMap) throws -> [NodeAddress: RawClient] {
        var clients: [NodeAddress: RawClient] = [:]
        for node in map.nodes { clients[node.address] = try RawClient(port: node.address.port) }
        return clients
    }
}
