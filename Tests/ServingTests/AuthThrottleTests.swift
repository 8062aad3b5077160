import Testing

@testable import Serving

@Suite struct AuthThrottleTests {
    private let start = ContinuousClock.now

    private func after(_ seconds: Double) -> ContinuousClock.Instant { start + .seconds(seconds) }

    private func throttle(freeGuesses: Int = 2, addresses: Int = 4096) -> AuthThrottle {
        var limits = AuthThrottle.Limits()
        limits.freeGuesses = freeGuesses
        limits.addresses = addresses
        return AuthThrottle(limits)
    }

    @Test func eachGuessBeyondTheFreeOnesDoublesThePause() {
        var throttle = throttle()
        var now = start
        let pauses = (0..<10).map { guess in
            throttle.failed(UInt64(guess), from: "a", at: now)
            let pause = throttle.pause(of: "a", at: now) ?? .zero
            now += pause
            return pause
        }
        #expect(pauses == [0, 0, 1, 2, 4, 8, 16, 32, 60, 60].map { .seconds($0) })
        #expect(throttle.pause(of: "a", at: now) == nil && throttle.pause(of: "b", at: start) == nil)
    }

    @Test func theSameWrongPasswordAgainIsNoGuess() {
        var throttle = throttle()
        for second in 0..<1000 { throttle.failed(UInt64(second % 2), from: "a", at: after(Double(second))) }
        #expect(throttle.pause(of: "a", at: after(999)) == nil)
        // A third one is.
        throttle.failed(7, from: "a", at: after(1000))
        #expect(throttle.pause(of: "a", at: after(1000)) == .seconds(1))
    }

    @Test func guessesAreForgottenInTime() {
        var throttle = throttle()
        for guess in 0..<6 { throttle.failed(UInt64(guess), from: "a", at: start) }
        #expect(throttle.pause(of: "a", at: start) == .seconds(8))
        throttle.failed(100, from: "a", at: after(600))
        #expect(throttle.pause(of: "a", at: after(600)) == nil)
    }

    @Test func noMoreAddressesAreKeptThanAllowedAndTheQuietestGoes() {
        var throttle = throttle(freeGuesses: 0, addresses: 3)
        for (second, address) in ["a", "b", "c", "a", "d"].enumerated() {
            throttle.failed(UInt64(second), from: address, at: after(Double(second) / 100))
        }
        #expect(throttle.count == 3)
        #expect(throttle.pause(of: "b", at: after(0.05)) == nil && throttle.pause(of: "a", at: after(0.05)) != nil)
    }
}
