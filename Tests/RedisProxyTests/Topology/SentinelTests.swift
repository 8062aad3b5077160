import RedisTesting
import TestTools
import Testing

@testable import RedisProxy

@Suite struct SentinelTests {
    private let start = ContinuousClock.now
    private let one = node(1, 26379)
    private let two = node(2, 26379)
    private let three = node(3, 26379)
    private let master = node(11)
    private let replica = node(12)

    private func at(_ seconds: Double) -> ContinuousClock.Instant { start + .milliseconds(Int(seconds * 1000)) }

    /// Three Sentinels, all listened to, and a master in use since second 0.
    private func settled() -> Sentinel {
        var sentinel = Sentinel(sentinels: [one, two, three], at: start)
        _ = sentinel.tick(at: start)
        for address in [one, two, three] { _ = sentinel.answered(master, others: [], by: address, at: start) }
        _ = sentinel.checked(master, .master, at: start)
        return sentinel
    }

    @Test func twoOfThreeDecideAndTheMasterIsAskedForItsRole() {
        var sentinel = Sentinel(sentinels: [one, two, three], at: start)
        #expect(sentinel.tick(at: start) == [.ask(one), .ask(two), .ask(three)])
        #expect(sentinel.due == nil)
        #expect(sentinel.answered(replica, others: [], by: one, at: start) == [.subscribe(to: one)])
        #expect(sentinel.answered(master, others: [], by: two, at: start) == [.subscribe(to: two)])
        #expect(
            sentinel.answered(master, others: [], by: three, at: start) == [.subscribe(to: three), .check(master)])
        #expect(sentinel.master == nil)
        #expect(sentinel.checked(master, .master, at: at(1)) == [.use(master)])
        #expect(sentinel.master == master)
        #expect(sentinel.due == at(11))
    }

    @Test func aMajorityNeedNotWaitForTheLast() {
        var sentinel = Sentinel(sentinels: [one, two, three], at: start)
        _ = sentinel.tick(at: start)
        _ = sentinel.answered(master, others: [], by: one, at: start)
        #expect(sentinel.answered(master, others: [], by: two, at: start).last == .check(master))
        #expect(sentinel.checked(master, .master, at: start) == [.use(master)])
        #expect(sentinel.answered(replica, others: [], by: three, at: at(1)) == [.subscribe(to: three)])
        #expect(sentinel.master == master)
    }

    @Test func aMinorityIsEnoughWhenNobodyElseAnswers() {
        var sentinel = Sentinel(sentinels: [one, two, three], at: start)
        _ = sentinel.tick(at: start)
        #expect(sentinel.failed(one, at: start) == [])
        #expect(sentinel.answered(master, others: [], by: two, at: start) == [.subscribe(to: two)])
        #expect(sentinel.failed(three, at: at(1)) == [.check(master)])
    }

    @Test func oneThatIsNoMasterIsNotUsedAndAllAreAskedAgain() {
        var sentinel = Sentinel(sentinels: [one], at: start)
        _ = sentinel.tick(at: start)
        #expect(sentinel.answered(master, others: [], by: one, at: start).last == .check(master))
        #expect(sentinel.checked(master, .other, at: at(1)) == [])
        #expect(sentinel.master == nil)
        #expect(sentinel.due == at(2))
        #expect(sentinel.tick(at: at(2)) == [.ask(one)])
        // It knows none by that name.
        #expect(sentinel.answered(nil, others: [], by: one, at: at(2)) == [])
        #expect(sentinel.due == at(3))
    }

    @Test func aMessageThatTheMasterIsAnotherIsCheckedAndFollowed() {
        var sentinel = settled()
        #expect(sentinel.switched(to: replica, at: at(3)) == [.check(replica)])
        // The others say the same.
        #expect(sentinel.switched(to: replica, at: at(3)) == [])
        #expect(sentinel.checked(replica, .master, at: at(3)) == [.drop(master), .use(replica)])
        #expect(sentinel.switched(to: replica, at: at(4)) == [])
        #expect(sentinel.master == replica)
        #expect(sentinel.due == at(13))
    }

    @Test func aMessageThatIsNotTrueYetChangesNothing() {
        var sentinel = settled()
        _ = sentinel.switched(to: replica, at: at(3))
        #expect(sentinel.checked(replica, .other, at: at(3)) == [])
        #expect(sentinel.master == master)
        #expect(sentinel.tick(at: at(4)) == [.ask(one), .ask(two), .ask(three)])
    }

    @Test func aMasterThatHasBecomeAReplicaIsDropped() {
        var sentinel = settled()
        #expect(sentinel.masterDoubted(at: at(5)) == [.ask(one), .ask(two), .ask(three)])
        _ = sentinel.answered(master, others: [], by: one, at: at(5))
        #expect(sentinel.answered(master, others: [], by: two, at: at(5)) == [.check(master)])
        #expect(sentinel.checked(master, .other, at: at(5)) == [.drop(master)])
        #expect(sentinel.master == nil)
        #expect(sentinel.due == at(6))
    }

    @Test func aMasterThatCannotBeReachedStaysUntilThereIsAnother() {
        var sentinel = settled()
        _ = sentinel.masterDoubted(at: at(5))
        _ = sentinel.answered(master, others: [], by: one, at: at(5))
        _ = sentinel.answered(master, others: [], by: two, at: at(5))
        #expect(sentinel.checked(master, .unreachable, at: at(6)) == [])
        #expect(sentinel.master == master)
        #expect(sentinel.due == at(7))
    }

    @Test func doubtsAskOnceASecond() {
        var sentinel = settled()
        #expect(sentinel.masterDoubted(at: at(0.1)) == [])
        #expect(sentinel.due == at(1))
        #expect(sentinel.tick(at: at(1)).count == 3)
        #expect(sentinel.masterDoubted(at: at(1.1)) == [])
    }

    @Test func withoutSentinelsTheMasterStays() {
        var sentinel = settled()
        _ = sentinel.tick(at: at(10))
        #expect(sentinel.failed(one, at: at(11)) == [.unsubscribe(from: one)])
        #expect(sentinel.failed(two, at: at(11)) == [.unsubscribe(from: two)])
        #expect(sentinel.failed(three, at: at(11)) == [.unsubscribe(from: three)])
        #expect(sentinel.master == master)
        #expect(sentinel.due == at(12))
        // Back again it is listened to again.
        _ = sentinel.tick(at: at(12))
        #expect(sentinel.answered(master, others: [], by: one, at: at(12)) == [.subscribe(to: one)])
    }

    @Test func ofTwoMastersWithAsManyVotesTheNewOneIsCheckedFirst() {
        var sentinel = settled()
        _ = sentinel.tick(at: at(10))
        _ = sentinel.answered(master, others: [], by: one, at: at(10))
        _ = sentinel.answered(replica, others: [], by: two, at: at(10))
        #expect(sentinel.failed(three, at: at(11)).last == .check(replica))
        #expect(sentinel.checked(replica, .unreachable, at: at(12)) == [.check(master)])
        #expect(sentinel.checked(master, .master, at: at(12)) == [])
    }

    @Test func sentinelsThatOthersTellOfAreAskedNextTime() {
        var sentinel = Sentinel(sentinels: [one], at: start)
        _ = sentinel.tick(at: start)
        _ = sentinel.answered(master, others: [two, three, two], by: one, at: start)
        _ = sentinel.checked(master, .master, at: start)
        #expect(sentinel.tick(at: at(10)) == [.ask(one), .ask(two), .ask(three)])
        let crowd = (1...200).map { node($0, 26379) }
        _ = sentinel.answered(master, others: crowd, by: one, at: at(10))
        _ = sentinel.answered(master, others: crowd, by: two, at: at(10))
        _ = sentinel.checked(master, .master, at: at(10))
        #expect(sentinel.tick(at: at(20)).count == 16)
    }

    @Test func aLostSubscriptionMakesARoundBegin() {
        var sentinel = settled()
        #expect(sentinel.unsubscribed(from: two, at: at(5)).count == 3)
        #expect(sentinel.answered(master, others: [], by: two, at: at(5)) == [.subscribe(to: two)])
    }

    // MARK: Replies

    @Test func repliesAreRead() throws {
        #expect(try SentinelReplies.master(value("*2|$9|10.0.0.11|$4|6379|")) == master)
        #expect(try SentinelReplies.master(value("*-1|")) == nil)
        #expect(try SentinelReplies.master(value("_|")) == nil)
        #expect(throws: TopologyFault.refused("NOAUTH who")) { try SentinelReplies.master(value("-NOAUTH who|")) }
        for bad in ["*1|$1|a|", "*2|$1|a|$1|x|", "*2|$0||$1|1|", "*2|$1|a|$1|0|", "+OK|"] {
            #expect(throws: TopologyFault.self, "\(bad)") { try SentinelReplies.master(value(bad)) }
        }
        let others = try value(
            "*3|*4|$2|ip|$8|10.0.0.2|$4|port|$5|26379|%2|$2|ip|$8|10.0.0.3|$4|port|$5|26379|*2|$2|ip|$1|a|")
        #expect(try SentinelReplies.sentinels(others) == [two, three])
        #expect(try SentinelReplies.isMaster(value("*3|$6|master|:0|*0|")))
        #expect(try !SentinelReplies.isMaster(value("*5|$5|slave|$1|a|:1|$9|connected|:1|")))
        #expect(throws: TopologyFault.self) { try SentinelReplies.isMaster(value("*0|")) }
    }

    @Test func messagesAreRead() {
        #expect(
            SentinelReplies.switched("main 10.0.0.11 6379 10.0.0.12 6379", master: "main") == replica)
        for other in [
            "other 10.0.0.11 6379 10.0.0.12 6379", "main 10.0.0.11 6379 10.0.0.12", "main a 1 b 0", "main a 1 b x", "",
        ] {
            #expect(SentinelReplies.switched(other, master: "main") == nil)
        }
    }

    @Test(arguments: [93] as [UInt64]) func mutatedRepliesNeverTrap(_ seed: UInt64) {
        var random = Seeded(seed)
        let examples = [
            "*2|$9|10.0.0.11|$4|6379|", "*1|*4|$2|ip|$8|10.0.0.2|$4|port|$5|26379|", "*3|$6|master|:0|*0|",
        ].map(wire)
        for _ in 0..<20_000 {
            var bytes = random.pick(examples)
            for _ in 0..<3 { bytes[Int.random(in: 0..<bytes.count, using: &random)] = random.protocolByte() }
            guard let reply = try? RESPValue(bytes.span) else { continue }
            if let master = try? SentinelReplies.master(reply) { #expect(master.port > 0 && !master.host.isEmpty) }
            for other in (try? SentinelReplies.sentinels(reply)) ?? [] { #expect(other.port > 0) }
            _ = try? SentinelReplies.isMaster(reply)
            _ = SentinelReplies.switched(String(decoding: bytes, as: UTF8.self), master: "main")
        }
    }

    @Test(arguments: [91, 92] as [UInt64]) func whateverHappensTheMasterWasCheckedAndSomethingIsDue(_ seed: UInt64) {
        var random = Seeded(seed)
        var sentinel = Sentinel(sentinels: [one, two, three], at: start)
        let servers = [master, replica, node(13)]
        var now = start
        var asked: Set<NodeAddress> = []
        var checking: NodeAddress?
        var inUse: NodeAddress?
        for _ in 0..<20_000 {
            now += .milliseconds(Int.random(in: 0...500, using: &random))
            let from = random.pick([one, two, three])
            var steps: [Sentinel.Step] = []
            var confirmed: NodeAddress?
            switch Int.random(in: 0..<7, using: &random) {
            case 0: steps = sentinel.tick(at: now)
            case 1:
                asked.remove(from)
                let named = random.chance(0.1) ? nil : random.pick(servers)
                steps = sentinel.answered(named, others: [random.pick([one, two])], by: from, at: now)
            case 2:
                asked.remove(from)
                steps = sentinel.failed(from, at: now)
            case 3: steps = sentinel.switched(to: random.pick(servers), at: now)
            case 4: steps = sentinel.masterDoubted(at: now)
            case 5: steps = sentinel.unsubscribed(from: from, at: now)
            default:
                guard let address = checking else { continue }
                let role = random.pick([Sentinel.Role.master, .other, .unreachable])
                checking = nil
                if role == .master { confirmed = address }
                steps = sentinel.checked(address, role, at: now)
            }
            for step in steps {
                switch step {
                case .ask(let address): asked.insert(address)
                case .check(let address): checking = address
                case .use(let address):
                    #expect(address == confirmed, "seed \(seed)")
                    inUse = address
                case .drop(let address):
                    #expect(address == inUse, "seed \(seed)")
                    inUse = nil
                case .subscribe, .unsubscribe: break
                }
            }
            #expect(sentinel.master == inUse, "seed \(seed)")
            // Never stuck: either somebody is asked, or a time is set.
            #expect(sentinel.due != nil || checking != nil || !asked.isEmpty, "seed \(seed)")
        }
    }
}
