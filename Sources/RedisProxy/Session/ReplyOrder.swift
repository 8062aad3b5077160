import Runtime

/// Replies to one client, which leave in the order of its commands, whenever and from wherever they come.
struct ReplyOrder {
    /// The number of the next command.
    private(set) var next = 0
    /// The oldest command whose reply has not left.
    private var oldest = 0
    /// Replies that came before those of older commands, by number.
    private var early: [Int: [UInt8]] = [:]
    /// Bytes of `early`.
    private(set) var earlyBytes = 0

    var inFlight: Int { next - oldest }
    /// Of those, commands whose replies have not come.
    var unanswered: Int { inFlight - early.count }

    /// A command without a reply yet.
    mutating func begin() -> Int {
        next += 1
        return next - 1
    }

    /// Appends the reply to a command to `output`, and those that waited for it.
    mutating func end(_ number: Int, _ reply: Span<UInt8>, to output: inout [UInt8]) {
        guard number == oldest else {
            var copy: [UInt8] = []
            copy.append(bytes: reply)
            earlyBytes += copy.count
            early[number] = copy
            return
        }
        output.append(bytes: reply)
        oldest += 1
        while !early.isEmpty, let waiting = early.removeValue(forKey: oldest) {
            output.append(contentsOf: waiting)
            earlyBytes -= waiting.count
            oldest += 1
        }
    }
}
