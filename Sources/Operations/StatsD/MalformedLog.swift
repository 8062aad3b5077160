import Runtime

/// Which malformed lines are worth a line in the log: one in ten seconds, with how many there were since.
struct MalformedLog {
    struct Entry: Equatable {
        let fault: StatsDFault
        /// The beginning of the line, visible ASCII only.
        let excerpt: String
        /// Malformed lines since the last entry that were not logged.
        let suppressed: Int
    }

    static let interval: Duration = .seconds(10)
    private static let excerptLimit = 80

    private var next: ContinuousClock.Instant?
    private var suppressed = 0

    mutating func note(
        _ fault: StatsDFault, _ bytes: Span<UInt8>, _ line: Range<Int>, at now: ContinuousClock.Instant
    ) -> Entry? {
        if let next, now < next {
            suppressed += 1
            return nil
        }
        defer { suppressed = 0 }
        next = now + Self.interval
        var excerpt = ""
        for index in line.prefix(Self.excerptLimit) {
            let byte = bytes[index]
            excerpt.unicodeScalars.append(byte >= 0x20 && byte < 0x7F ? Unicode.Scalar(byte) : "?")
        }
        return Entry(fault: fault, excerpt: excerpt, suppressed: suppressed)
    }
}
