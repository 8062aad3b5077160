import LocalServers
import Runtime
import Testing

@testable import RedisProxy

@Suite struct TopologyClientTests {
    private let probe = TopologyProbe()
    private let servers = Happenings<ScriptedRedis>()

    private func scripted(_ answer: @escaping @Sendable ([String]) -> ScriptedRedis.Answer) throws -> NodeAddress {
        let redis = try ScriptedRedis(answer)
        servers.add(redis)
        return NodeAddress("127.0.0.1", redis.port)
    }

    @Test func severalQuestionsGetTheirAnswersAndTheLoginComesFirst() async throws {
        let address = try scripted { words in
            words[0] == "AUTH" ? .status("OK") : words[0] == "ROLE" ? .bulk("x") : .error("ERR what")
        }
        let answers = try await probe.asks(
            [["ROLE"], ["NONSENSE"]], of: address, as: TopologyLogin(user: "u", password: "p"))
        #expect(answers == [.text([120]), .error("ERR what")])
        #expect(servers.all[0].commands == [["AUTH", "u", "p"], ["ROLE"], ["NONSENSE"]])
    }

    @Test func hostsAreLookedUp() async throws {
        let address = try scripted { _ in .status("PONG") }
        #expect(try await probe.ask("PING", of: NodeAddress("localhost", address.port)) == .status("PONG"))
        await #expect(throws: TopologyFault.self) {
            try await probe.ask("PING", of: NodeAddress("no-such-host.invalid", 6379))
        }
    }

    @Test func aRefusedLoginRefusesEverything() async throws {
        let address = try scripted { $0[0] == "AUTH" ? .error("WRONGPASS no") : .status("OK") }
        await #expect(throws: TopologyFault.refused("WRONGPASS no")) {
            try await probe.ask("PING", of: address, as: TopologyLogin(password: "p"))
        }
    }

    @Test func silenceEndsAtTheDeadline() async throws {
        let address = try scripted { _ in .silence }
        await #expect(throws: TopologyFault.timedOut(milliseconds: 50)) {
            try await probe.ask("PING", of: address, within: 50)
        }
    }

    @Test func whoHangsUpOrIsNotThereCannotBeReached() async throws {
        let address = try scripted { _ in .hangUp }
        await #expect(throws: TopologyFault.unreachable) { try await probe.ask("PING", of: address) }
        await #expect(throws: TopologyFault.unreachable) {
            try await probe.ask("PING", of: NodeAddress("127.0.0.1", FreePort.next()))
        }
    }

    @Test func whatIsNoReplyIsAFault() async throws {
        let address = try scripted { _ in .bytes(Array("HTTP/1.1 400\r\n".utf8)) }
        await #expect(throws: TopologyFault.unreadable(.reply(.unknownType(UInt8(ascii: "H"))))) {
            try await probe.ask("PING", of: address)
        }
    }

    @Test func aSubscriptionHearsUntilItIsLost() async throws {
        let redis = try await LocalRedis.start()
        let heard = Happenings<String>()
        let probe = probe
        let kept = Happenings<TopologySubscription>()
        probe.loop.post {
            kept.add(
                probe.client.subscribe(
                    to: "news", of: redis.address, as: TopologyLogin(), heard: { heard.add($0) },
                    lost: { heard.add("lost: \($0)") }))
        }
        try await heard.wait("the subscription") { _ in
            try await redis.command("PUBSUB", "NUMSUB", "news") == "news\n1\n"
        }
        try await redis.command("PUBLISH", "news", "one two")
        try await heard.wait("the message") { $0 == ["one two"] }
        await redis.stop()
        try await heard.wait("the end") { $0 == ["one two", "lost: cannot be reached"] }
    }
}
