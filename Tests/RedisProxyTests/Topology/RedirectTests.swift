import RedisTesting
import TestTools
import Testing

@testable import RedisProxy

private func redirect(_ text: String) -> Redirect? { Redirect(wire(text).span, from: node(1, 7000)) }

private func command(_ name: String) -> Command? { CommandTable.shared.find(Array(name.utf8).span, in: nil) }

@Suite struct RedirectTests {
    @Test func redirectsAreRead() {
        #expect(redirect("-MOVED 3999 10.0.0.2:6381|") == .moved(slot: 3999, to: node(2, 6381)))
        #expect(redirect("-ASK 0 redis-2.local:6381|") == .ask(slot: 0, to: NodeAddress("redis-2.local", 6381)))
        #expect(redirect("-MOVED 16383 :6381|") == .moved(slot: 16383, to: node(1, 6381)))
        #expect(redirect("-MOVED 1 fe80::1:6381|") == .moved(slot: 1, to: NodeAddress("fe80::1", 6381)))
        #expect(redirect("-TRYAGAIN Multiple keys request during rehashing of slot|") == .tryAgain)
        #expect(redirect("-CLUSTERDOWN Hash slot not served|") == .clusterDown)
        #expect(redirect("-LOADING Redis is loading the dataset in memory|") == .loading)
        #expect(redirect("-READONLY You can't write against a read only replica.|") == .readOnly)
        #expect(redirect("-MASTERDOWN Link with MASTER is down|") == .masterDown)
    }

    @Test func everythingElseIsTheClients() {
        for other in [
            "+MOVED 1 a:1|", "-ERR MOVED 1 a:1|", "-MOVED|", "-MOVED 1|", "-MOVED 16384 a:1|", "-MOVED -1 a:1|",
            "-MOVED x a:1|", "-MOVED 1 a|", "-MOVED 1 a:0|", "-MOVED 1 a:65536|", "-MOVED 1 ?:6379|", "-MOVEDX 1 a:1|",
            "-", "", "$5|MOVED|", "-ASKING|", "-MISCONF no|", "-CROSSSLOT Keys in request don't hash to the same slot|",
        ] {
            #expect(redirect(other) == nil, "\(other)")
        }
    }

    @Test(arguments: [81] as [UInt64]) func mutatedRedirectsNeverTrap(_ seed: UInt64) {
        var random = Seeded(seed)
        for _ in 0..<20_000 {
            var bytes = wire(random.pick(["-MOVED 3999 10.0.0.2:6381|", "-ASK 1 :6379|", "-TRYAGAIN a|"]))
            for _ in 0..<3 { bytes[Int.random(in: 0..<bytes.count, using: &random)] = random.protocolByte() }
            bytes.removeLast(Int.random(in: 0..<bytes.count, using: &random))
            if case .moved(let slot, let address) = Redirect(bytes.span, from: node(1)) {
                #expect(slot < 16384 && address.port > 0 && !address.host.isEmpty)
            }
        }
    }

    // MARK: RedirectPolicy

    private let map = SlotMap([(0...16383, .init(node(1), replicas: [node(3)]))])

    @Test func aCommandFollowsFiveTimesAndThenTheClientIsTold() {
        var policy = RedirectPolicy(command("set"))
        #expect(
            policy.next(after: .moved(slot: 1, to: node(2)), knowing: map) == .resend(to: node(2), asking: false))
        #expect(policy.next(after: .ask(slot: 1, to: node(4)), knowing: map) == .resend(to: node(4), asking: true))
        #expect(policy.next(after: .tryAgain, knowing: map) == .retry(afterMilliseconds: 100))
        #expect(policy.next(after: .clusterDown, knowing: map) == .retry(afterMilliseconds: 200))
        #expect(policy.next(after: .loading, knowing: map) == .retry(afterMilliseconds: 400))
        #expect(policy.next(after: .moved(slot: 1, to: node(2)), knowing: map) == .deliver)
    }

    @Test func aScriptsErrorLeadsNobodyOutOfTheCluster() {
        for name in ["eval", "fcall", "json.set"] {
            var policy = RedirectPolicy(command(name))
            #expect(
                policy.next(after: .moved(slot: 1, to: node(66)), knowing: map) == .retry(afterMilliseconds: 25))
            #expect(policy.next(after: .ask(slot: 1, to: node(66)), knowing: map) == .retry(afterMilliseconds: 50))
            #expect(
                policy.next(after: .moved(slot: 1, to: node(3)), knowing: map) == .resend(to: node(3), asking: false))
        }
    }

    @Test func whatMayHaveBeenCarriedOutGoesOnceOnly() {
        #expect(RedirectPolicy.mayRepeat(command("set"), hasLeft: false))
        #expect(RedirectPolicy.mayRepeat(nil, hasLeft: false))
        #expect(RedirectPolicy.mayRepeat(command("get"), hasLeft: true))
        #expect(RedirectPolicy.mayRepeat(command("sort_ro"), hasLeft: true))
        for name in ["set", "incr", "eval", "eval_ro", "xread", "multi", "publish", "flushall", "json.set", "sort"] {
            #expect(!RedirectPolicy.mayRepeat(command(name), hasLeft: true), "\(name)")
        }
    }
}
