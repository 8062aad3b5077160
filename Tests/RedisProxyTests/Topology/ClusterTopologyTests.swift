import RedisTesting
import TestTools
import Testing

@testable import RedisProxy

@Suite struct ClusterTopologyTests {
    private let start = ContinuousClock.now
    private let whole = SlotMap([(0...16383, .init(node(1)))])
    private let split = SlotMap([(0...99, .init(node(1))), (100...16383, .init(node(2), replicas: [node(3)]))])

    private func at(_ seconds: Double) -> ContinuousClock.Instant { start + .milliseconds(Int(seconds * 1000)) }

    @Test func seedsAreAskedOneAfterTheOther() {
        var topology = ClusterTopology(seeds: [node(7), node(8)], at: start)
        #expect(topology.due == start)
        #expect(topology.tick(at: start) == [.ask(node(7))])
        #expect(topology.due == nil)
        #expect(topology.failed(node(7), at: at(1)) == [.ask(node(8))])
        #expect(topology.answered(split, by: node(8), at: at(2)) == [.changed])
        #expect(topology.map == split && topology.version == 1)
        #expect(topology.due == at(30))
        #expect(topology.tick(at: at(29)) == [])
    }

    @Test func whenNobodyAnswersTheMapStaysAndAllAreAskedAgain() {
        var topology = ClusterTopology(seeds: [node(7)], at: start)
        _ = topology.tick(at: start)
        #expect(topology.failed(node(7), at: at(0.5)) == [.nobodyAnswered])
        #expect(topology.due == at(1.5))
        #expect(topology.tick(at: at(1.4)) == [])
        #expect(topology.tick(at: at(1.5)) == [.ask(node(7))])
    }

    @Test func aMoveCountsAtOnceAndHasTheRestAskedFor() {
        var topology = ClusterTopology(seeds: [node(7)], at: start)
        _ = topology.tick(at: start)
        _ = topology.answered(whole, by: node(7), at: at(0.1))
        #expect(topology.moved(5, to: node(2), at: at(10)) == [.changed, .ask(node(2))])
        #expect(topology.map[5] == node(2) && topology.map[6] == node(1))
        // What is known already is no news, and hundreds of moves ask once a second.
        #expect(topology.moved(5, to: node(2), at: at(10)) == [])
        #expect(topology.moved(6, to: node(2), at: at(10.1)) == [.changed])
        #expect(topology.answered(split, by: node(2), at: at(10.2)) == [.changed])
        #expect(topology.due == at(11))
        #expect(topology.moved(7, to: node(2), at: at(10.3)) == [.changed])
        #expect(topology.tick(at: at(11)) == [.ask(node(1))])
        #expect(topology.answered(split, by: node(1), at: at(11.1)) == [.changed])
        #expect(topology.due == at(41))
    }

    @Test func mastersTakeTurnsAndReplicasAndSeedsComeAfterThem() {
        var topology = ClusterTopology(seeds: [node(7), node(1)], at: start)
        _ = topology.tick(at: start)
        _ = topology.answered(split, by: node(7), at: start)
        var asked: [NodeAddress] = []
        var steps = topology.tick(at: at(30))
        while case .ask(let next) = steps.first {
            asked.append(next)
            steps = topology.failed(next, at: at(31))
        }
        #expect(asked == [node(2), node(1), node(3), node(7)])
        #expect(steps == [.nobodyAnswered])
        #expect(topology.map == split)
    }

    @Test func aNodeThatLeftTheClusterIsNotBelieved() {
        var topology = ClusterTopology(seeds: [node(7), node(8)], at: start)
        _ = topology.tick(at: start)
        #expect(topology.answered(SlotMap(), by: node(7), at: start) == [.ask(node(8))])
        // An answer that comes too late is nobody's.
        #expect(topology.answered(split, by: node(7), at: start) == [])
        #expect(topology.answered(split, by: node(8), at: start) == [.changed])
        #expect(topology.answered(whole, by: node(8), at: start) == [])
    }

    @Test(arguments: [121, 122] as [UInt64]) func whateverHappensOneIsAskedOrATimeIsSet(_ seed: UInt64) {
        var random = Seeded(seed)
        var topology = ClusterTopology(seeds: [node(7), node(8)], at: start)
        var now = start
        var asked: NodeAddress?
        var lastRound: ContinuousClock.Instant?
        for _ in 0..<2000 {
            now += .milliseconds(Int.random(in: 0...700, using: &random))
            let former = topology.map
            let version = topology.version
            var steps: [ClusterTopology.Step] = []
            var isNewRound = false
            switch Int.random(in: 0..<5, using: &random) {
            case 0:
                isNewRound = asked == nil
                steps = topology.tick(at: now)
            case 1:
                isNewRound = asked == nil
                steps = topology.moved(random.pick([0, 5, 500]), to: node(random.pick([1, 2])), at: now)
            case 2:
                isNewRound = asked == nil
                steps = topology.doubted(at: now)
            case 3:
                guard let node = asked else { continue }
                asked = nil
                steps = topology.answered(random.pick([whole, split, SlotMap()]), by: node, at: now)
            default:
                guard let node = asked else { continue }
                asked = nil
                steps = topology.failed(node, at: now)
            }
            #expect(steps.contains(.changed) == (topology.map != former), "seed \(seed)")
            #expect((topology.version > version) == (topology.map != former), "seed \(seed)")
            for case .ask(let node) in steps {
                #expect(asked == nil, "seed \(seed)")
                asked = node
                guard isNewRound else { continue }
                if let lastRound { #expect(now >= lastRound + .seconds(1), "seed \(seed)") }
                lastRound = now
            }
            #expect((topology.due == nil) == (asked != nil), "seed \(seed)")
        }
    }
}
