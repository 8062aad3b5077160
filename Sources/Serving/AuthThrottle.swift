import Runtime

/// Slows down whoever guesses passwords. An address, or a user at an address, has a few wrong guesses for nothing; each
/// further one begins a pause, which doubles. The same wrong password again is no guess but a service that was set up
/// wrongly, and does not count: it must not lock out its neighbours behind the same address.
public struct AuthThrottle: Sendable {
    public struct Limits: Sendable {
        public var freeGuesses = 8
        public var firstPause = Duration.seconds(1)
        public var longestPause = Duration.seconds(60)
        /// Without a further guess.
        public var forgottenAfter = Duration.seconds(600)
        /// Of more, the one that has been quiet for the longest is forgotten.
        public var addresses = 4096

        public init() {}
    }

    public typealias Instant = ContinuousClock.Instant

    private struct Suspect {
        var guesses = 0
        var lastAt: Instant
        var pausedUntil: Instant?
        /// Passwords that were wrong lately.
        var known: [UInt64] = []
    }

    private static let mostKnown = 4
    private let limits: Limits
    private var suspects: [String: Suspect] = [:]

    public init(_ limits: Limits = Limits()) { self.limits = limits }

    /// Addresses that have guessed wrongly.
    public var count: Int { suspects.count }

    /// How long an address has to wait until a password is judged; nil when it need not.
    public func pause(of address: String, at now: Instant) -> Duration? {
        guard let until = suspects[address]?.pausedUntil, now < until else { return nil }
        return until - now
    }

    /// - Parameter guess: tells passwords apart.
    public mutating func failed(_ guess: UInt64, from address: String, at now: Instant) {
        var suspect = suspects[address].flatMap { isForgotten($0, at: now) ? nil : $0 } ?? Suspect(lastAt: now)
        guard !suspect.known.contains(guess) else { return }
        if suspect.known.count == Self.mostKnown { suspect.known.removeFirst() }
        suspect.known.append(guess)
        suspect.guesses += 1
        suspect.lastAt = now
        let excess = suspect.guesses - limits.freeGuesses
        if excess > 0 {
            let doubled = limits.firstPause * (1 << min(excess - 1, 20))
            suspect.pausedUntil = now + min(doubled, limits.longestPause)
        }
        if suspects[address] == nil, suspects.count >= limits.addresses { makeRoom(at: now) }
        suspects[address] = suspect
    }

    private mutating func makeRoom(at now: Instant) {
        suspects = suspects.filter { !isForgotten($0.value, at: now) }
        guard suspects.count >= limits.addresses,
            let quietest = suspects.min(by: { $0.value.lastAt < $1.value.lastAt })
        else { return }
        suspects[quietest.key] = nil
    }

    private func isForgotten(_ suspect: Suspect, at now: Instant) -> Bool {
        now - suspect.lastAt >= limits.forgottenAfter
    }
}
