/// One thing that a line of a StatsD packet says. Texts are ranges of the packet's bytes.
enum StatsDItem: Equatable {
    case sample(StatsDSample)
    /// DogStatsD's `_e{…}:title|text`; only its kind is kept.
    case event(StatsDEventKind)
    /// DogStatsD's `_sc|name|status`.
    case serviceCheck(name: Range<Int>, status: Int, tags: Range<Int>)
    case malformed(StatsDFault, line: Range<Int>)
}

/// One value of one metric.
struct StatsDSample: Equatable {
    var kind: StatsDKind
    var name: Range<Int>
    /// Behind `|#`, without it; empty where there are none.
    var tags: Range<Int>
    /// As it was sent: milliseconds for timers. Zero for sets.
    var value: Double
    /// A set's member.
    var member: Range<Int>
    /// Whether a sign was written before the value: a gauge then moves by it.
    var hasSign: Bool
    /// How many samples this one stands for: 1 over the sample rate.
    var weight: Double
}

/// The types of StatsD and DogStatsD: `c`, `g`, `ms`, `h`, `d`, `s`.
public enum StatsDKind: UInt8, Sendable, CaseIterable {
    case counter, gauge, timer, histogram, distribution, set

    var word: String {
        switch self {
        case .counter: "counter"
        case .gauge: "gauge"
        case .timer: "timer"
        case .histogram: "histogram"
        case .distribution: "distribution"
        case .set: "set"
        }
    }
}

/// `alert_type` of a DogStatsD event.
public enum StatsDEventKind: String, Sendable, CaseIterable {
    case error, warning, info, success
}

/// Why a line, or one value in it, was not used.
public enum StatsDFault: String, Sendable, CaseIterable, Error {
    /// No name, or none that ends with a colon.
    case name
    /// No number where the value stands.
    case value
    /// None of `c`, `g`, `ms`, `h`, `d`, `s`.
    case type
    /// A sample rate that is not above 0 and at most 1.
    case rate
    /// A part behind the type that nobody knows.
    case section
    /// A name or tags longer than the limits.
    case length
    /// Bytes that are not UTF-8.
    case encoding
    /// An `_e` or `_sc` that is not complete.
    case event
    /// A datagram longer than can be received.
    case truncated
}
