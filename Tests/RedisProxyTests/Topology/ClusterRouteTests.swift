import LocalServers
import RedisTesting
import Testing

@testable import RedisProxy

@Suite struct ClusterRouteTests {
    @Test(arguments: CommandTable.shared.commands) func everyCommandHasARoute(_ command: Command) {
        let name = CommandTable.shared.fullName(of: command)
        switch ClusterRoute(command) {
        case .keys: #expect(command.keys != .none, "\(name)")
        case .shardChannels: #expect(command.family == .pubSub, "\(name)")
        case .slotNumber, .scan, .everyMaster, .everyNode: #expect(command.keys == .none, "\(name)")
        case .connection: #expect(command.lane == .session || command.lane == .transaction, "\(name)")
        case .anyNode, .oneNode:
            #expect(!command.has(.write) || ["replicaof", "slaveof", "swapdb"].contains(name), "\(name)")
        case .refused: break
        }
    }

    @Test func everyNameWithARouteIsACommand() {
        let names = ClusterRoute.byName.flatMap(\.1)
        #expect(Set(names).isSubset(of: CommandTable.shared.commands.map(CommandTable.shared.fullName)))
    }

    /// What `COMMAND` of Redis advises to clients of a cluster, and where we go another way.
    @Test func routesFollowTheAdviceOfRedis() async throws {
        let redis = try await LocalRedis.start()
        var told = Reply(try RawClient(port: redis.port).ask([Array("COMMAND".utf8)])).elements
        var advised = 0
        while let line = told.popLast() {
            told += line.elements[9].elements
            let tips = line.elements[7].elements.map(\.text)
            guard let advice = tips.first(where: { $0.hasPrefix("request_policy:") })?.dropFirst(15) else { continue }
            advised += 1
            let words = line.elements[0].text.split(separator: "|").map { String($0) }
            let command = try #require(find(words))
            let name = CommandTable.shared.fullName(of: command)
            let merge = tips.first { $0.hasPrefix("response_policy:") }?.dropFirst(16)
            let expected: ClusterRoute? =
                switch (String(advice), merge.map { String($0) }) {
                case ("multi_shard", _): .keys
                case ("special", _): .scan
                case (_, "special"): nil
                case (_, _) where name == "ping": nil
                case ("all_shards", nil) where name == "randomkey": .everyMaster(.oneOf)
                case ("all_shards", let rule): Self.merge(rule).map { .everyMaster($0) }
                case ("all_nodes", let rule): Self.merge(rule).map { .everyNode($0) }
                default: nil
                }
            let route = ClusterRoute(command)
            if let expected {
                #expect(route == expected, "\(name)")
            } else {
                #expect(route == .oneNode || route == .anyNode, "\(name)")
            }
        }
        #expect(advised > 30)
        await redis.stop()
    }

    private func find(_ words: [String]) -> Command? {
        var found: Command?
        for word in words { found = CommandTable.shared.find(Array(word.utf8).span, in: found?.id) }
        return found
    }

    private static func merge(_ rule: String?) -> FanOut.Merge? {
        switch rule {
        case "all_succeeded": .allSucceeded
        case "one_succeeded": .oneSucceeded
        case "agg_sum": .sum
        case "agg_min": .least
        case "agg_logical_and": .allTrue
        case nil: .concatenated
        default: nil
        }
    }

    @Test func keysDecide() {
        #expect(target("GET foo") == .slot(12182))
        #expect(target("mget {foo}1 {foo}2 foo") == .slot(12182))
        #expect(target("MSET foo 1 bar 2") == .crossSlot(first: 12182))
        #expect(target("MSET foo bar {foo} bar") == .slot(12182))
        #expect(target("EVAL script 2 foo {foo} bar") == .slot(12182))
        #expect(target("EVAL script 0 foo bar") == .anyNode)
        #expect(target("EVAL script 2 foo bar") == .crossSlot(first: 12182))
        #expect(target("ZUNIONSTORE foo 2 {foo} bar") == .crossSlot(first: 12182))
        #expect(target("XREAD COUNT 1 STREAMS foo {foo}2 0 0") == .slot(12182))
        #expect(target("OBJECT ENCODING foo") == .slot(12182))
        #expect(target("WATCH foo {foo}") == .slot(12182))
    }

    @Test func whatRedisRefusesMayBeRefusedAnywhere() {
        #expect(target("GET") == .anyNode)
        #expect(target("GET foo bar") == .anyNode)
        #expect(target("EVAL script many foo") == .anyNode)
        #expect(target("CONFIG NONSENSE") == .anyNode)
    }

    @Test func theRestGoesByItsName() {
        #expect(target("PING") == .anyNode)
        #expect(target("TIME") == .anyNode)
        #expect(target("PUBLISH foo bar") == .anyNode)
        #expect(target("SPUBLISH foo bar") == .slot(12182))
        #expect(target("SSUBSCRIBE foo bar") == .crossSlot(first: 12182))
        #expect(target("SUNSUBSCRIBE") == .connection)
        #expect(target("CLUSTER COUNTKEYSINSLOT 17") == .slot(17))
        #expect(target("CLUSTER COUNTKEYSINSLOT 16384") == .anyNode)
        #expect(target("MULTI") == .connection)
        #expect(target("SELECT 1") == .connection)
        #expect(target("INFO") == .oneNode)
        #expect(target("CONFIG GET maxmemory") == .oneNode)
        #expect(target("CONFIG SET maxmemory 0") == .everyNode(.allSucceeded))
        #expect(target("DBSIZE") == .everyMaster(.sum))
        #expect(target("FLUSHALL ASYNC") == .everyMaster(.allSucceeded))
        #expect(target("SCRIPT LOAD x") == .everyNode(.allSucceeded))
        #expect(target("SCAN 0 COUNT 10") == .scan)
        #expect(target("SHUTDOWN") == .refused)
        #expect(target("CLUSTER RESET") == .refused)
        // A module's command, whose first word is most likely a key.
        #expect(target("JSON.GET foo") == .slot(12182))
        #expect(target("JSON.NOTHING") == .anyNode)
    }

    @Test func aRefusalSaysWhatToDo() throws {
        let reset = try #require(find(["cluster", "reset"]))
        #expect(
            ClusterRoute.refusal(of: reset)
                == "ERR CLUSTER RESET concerns a single node of the cluster: connect to that node without the proxy")
    }
}
