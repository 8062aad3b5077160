import Foundation

/// Random numbers that are the same for the same seed (SplitMix64, Steele et al., 2014).
package struct Seeded: RandomNumberGenerator {
    private var state: UInt64

    package init(_ seed: UInt64) { state = seed }

    /// For a fuzzer: `TEST_SEED`, where that is set, leads to other inputs.
    package init(fuzzing seed: UInt64) {
        let other = ProcessInfo.processInfo.environment["TEST_SEED"].flatMap { UInt64($0) } ?? 0
        self.init(seed ^ other &* 0x9E37_79B9_7F4A_7C15)
    }

    /// How many inputs a fuzzer is to try: what `TEST_FUZZ` says, or else the default.
    package static func rounds(default count: Int) -> Int {
        ProcessInfo.processInfo.environment["TEST_FUZZ"].flatMap { Int($0) } ?? count
    }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }

    package mutating func bytes(upTo most: Int) -> [UInt8] {
        (0..<Int.random(in: 0...most, using: &self)).map { _ in UInt8.random(in: 0...255, using: &self) }
    }

    package mutating func below(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &self) }

    package mutating func chance(_ share: Double) -> Bool { Double.random(in: 0..<1, using: &self) < share }

    package mutating func pick<Element>(_ choices: [Element]) -> Element {
        choices[Int.random(in: 0..<choices.count, using: &self)]
    }
}
