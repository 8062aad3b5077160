/// The moment by which an answer must be there, on the clock that never jumps.
public struct Deadline: Sendable, Comparable {
    public let instant: ContinuousClock.Instant

    public init(_ instant: ContinuousClock.Instant) { self.instant = instant }

    public static func after(_ duration: Duration) -> Deadline { Deadline(.now + duration) }

    /// Never negative.
    public var remaining: Duration { max(.zero, instant - .now) }

    public var hasPassed: Bool { ContinuousClock.now >= instant }

    /// What `poll(2)` wants: whole milliseconds, rounded up, so that a wait never spins through the last one.
    public var pollMilliseconds: Int32 {
        Int32(clamping: remaining.nanoseconds.addingClamped(999_999) / 1_000_000)
    }

    public static func < (left: Deadline, right: Deadline) -> Bool { left.instant < right.instant }
}

extension Duration {
    public var seconds: Double {
        Double(components.seconds) + Double(components.attoseconds) / 1e18
    }

    /// At most what an `Int` holds, which is 292 million years.
    public var milliseconds: Int {
        Int(components.seconds).multipliedClamped(by: 1000)
            .addingClamped(Int(components.attoseconds / 1_000_000_000_000_000))
    }

    /// At most what an `Int` holds, which is 292 years.
    public var nanoseconds: Int {
        Int(components.seconds).multipliedClamped(by: 1_000_000_000)
            .addingClamped(Int(components.attoseconds / 1_000_000_000))
    }
}
