import Glibc

/// The time of day, which people and Prometheus speak; it may jump. Measure with `ContinuousClock` instead.
public enum WallClock {
    /// Seconds since 1970.
    public static var now: Double {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    /// Milliseconds since 1970, the unit of Prometheus' samples.
    public static var nowMilliseconds: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}

/// Time since some moment before this process began, on the clock that never goes back (`CLOCK_MONOTONIC`).
public enum MonotonicClock {
    public static var nowNs: Int {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return time.tv_sec * 1_000_000_000 + time.tv_nsec
    }

    public static var nowMs: Int { nowNs / 1_000_000 }
}

/// CPU time of this process since it started, user and system together.
public func processCPUTime() -> Duration {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
}
