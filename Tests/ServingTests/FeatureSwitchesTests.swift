import Serving
import Testing

@Suite struct FeatureSwitchesTests {
    private enum Example: Int, FeatureName {
        case first, second
        var label: String { "\(self)" }
    }

    private func keysServed(_ switches: FeatureSwitches<Example>) -> Set<Int> {
        Set((0..<1000).filter { switches.isOn(.first, for: Array("key:\($0)".utf8).span) })
    }

    @Test func aLargerShareOnlyAddsKeys() {
        let switches = FeatureSwitches<Example>()
        var served: Set<Int> = []
        for percent in [0, 1, 25, 60, 100] {
            switches.set(.first, percent: percent)
            let more = keysServed(switches)
            #expect(more.isSuperset(of: served))
            #expect(abs(more.count - percent * 10) < 60)
            served = more
        }
    }

    @Test func whoKnowsNoFeatureSetsThemByName() {
        let switches: any FeatureBoard = FeatureSwitches<Example>()
        #expect(switches.set(label: "second", percent: 25))
        #expect(!switches.set(label: "third", percent: 25))
        #expect(switches.shares.map(\.label) == ["first", "second"])
        #expect(switches.shares.map(\.percent) == [100, 25])
    }

    @Test func aShareOutsideOfTheScaleIsHeldWithin() {
        let switches = FeatureSwitches<Example>()
        switches.set(.first, percent: 250)
        switches.set(.second, percent: -1)
        #expect(switches[.first] == 100 && switches[.second] == 0)
    }
}
