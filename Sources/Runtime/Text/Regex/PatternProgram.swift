/// A regular expression as instructions over UTF-8 bytes, for the machines that run them side by side.
///
/// Thompson's construction: every instruction names its successors, a choice lists the preferred one first. Classes
/// of scalars become ranges of bytes, so that a text is never decoded.
/// (Ken Thompson, "Regular expression search algorithm", 1968; Russ Cox, "Regular expression matching: the virtual
/// machine approach", 2009.)
struct PatternProgram: Sendable {
    enum Instruction: Sendable, Equatable {
        case byte(low: UInt8, high: UInt8, next: Int)
        case bytes(set: Int, next: Int)
        case either(Int, Int)
        case save(slot: Int, next: Int)
        case assert(PatternSyntax.Assertion, next: Int)
        case accept
        case reject
    }

    private(set) var instructions: [Instruction] = []
    private(set) var sets: [ByteSet] = []
    private(set) var start = 0

    /// False where an assertion looks at the byte before it, which a state of the automaton does not remember.
    private(set) var suitsAutomaton = true

    private let limit: Int
    private var steps = 0
    private var shared: [Continuation: Int] = [:]

    private struct Continuation: Hashable {
        let low: UInt8
        let high: UInt8
        let next: Int
    }

    init(_ syntax: PatternSyntax, limit: Int) throws(PatternError) {
        self.limit = limit
        let accept = try add(.accept)
        start = try emit(syntax, next: accept)
    }

    /// Adds what matches `syntax` and goes on at `next`; returns where it begins.
    private mutating func emit(_ syntax: PatternSyntax, next: Int) throws(PatternError) -> Int {
        // Counted besides instructions, because a repetition of nothing adds none.
        steps += 1
        guard steps <= limit * 4 else { throw PatternError(.tooLarge(limit: limit), at: 0) }
        switch syntax {
        case .empty:
            return next
        case .scalars(let set):
            return try emit(set, next: next)
        case .assertion(let assertion):
            if assertion != .textStart, assertion != .textEnd { suitsAutomaton = false }
            return try add(.assert(assertion, next: next))
        case .sequence(let items):
            var start = next
            for item in items.reversed() { start = try emit(item, next: start) }
            return start
        case .choice(let branches):
            var starts: [Int] = []
            for branch in branches { starts.append(try emit(branch, next: next)) }
            return try choose(starts)
        case .repetition(let item, let atLeast, let atMost, let greedy):
            return try emit(item, atLeast: atLeast, atMost: atMost, greedy: greedy, next: next)
        case .capture(let item, let index):
            let end = try add(.save(slot: index * 2 + 1, next: next))
            return try add(.save(slot: index * 2, next: try emit(item, next: end)))
        }
    }

    /// One place from which each of `starts` is tried, the first preferred.
    private mutating func choose(_ starts: [Int]) throws(PatternError) -> Int {
        guard var start = starts.last else { return try add(.reject) }
        for other in starts.dropLast().reversed() { start = try add(.either(other, start)) }
        return start
    }

    private mutating func emit(_ item: PatternSyntax, atLeast: Int, atMost: Int?, greedy: Bool, next: Int)
        throws(PatternError) -> Int
    {
        var start = next
        var copies = atLeast
        if let atMost {
            for _ in atLeast..<max(atLeast, atMost) {
                // x{0,2} is (x(x)?)?: each further one can also stop.
                start = try optional(try emit(item, next: start), greedy: greedy, next: next)
            }
        } else if atLeast == 0, !item.canBeEmpty {
            start = try loop(item, greedy: greedy, next: next).loop
        } else {
            // x{2,} is xx+, the last copy repeating itself. An x that can be empty makes x* into (x+)?, so that the
            // empty choice keeps its place among the others, as it does in Go.
            start = try loop(item, greedy: greedy, next: next).body
            if atLeast == 0 { start = try optional(start, greedy: greedy, next: next) }
            copies -= 1
        }
        for _ in 0..<max(0, copies) { start = try emit(item, next: start) }
        return start
    }

    private mutating func optional(_ body: Int, greedy: Bool, next: Int) throws(PatternError) -> Int {
        try add(greedy ? .either(body, next) : .either(next, body))
    }

    /// The item, and behind it the choice between the item once more and `next`.
    private mutating func loop(_ item: PatternSyntax, greedy: Bool, next: Int) throws(PatternError)
        -> (body: Int, loop: Int)
    {
        let loop = try add(.reject)
        let body = try emit(item, next: loop)
        instructions[loop] = greedy ? .either(body, next) : .either(next, body)
        return (body, loop)
    }

    // MARK: Scalars as bytes

    private mutating func emit(_ set: ScalarSet, next: Int) throws(PatternError) -> Int {
        var ascii = ByteSet()
        var sequences: [[ClosedRange<UInt8>]] = []
        for range in set.ranges {
            if range.lowerBound < 0x80 {
                ascii.insert(UInt8(range.lowerBound)...UInt8(min(range.upperBound, 0x7F)))
            }
            if range.upperBound >= 0x80 {
                Self.split(max(range.lowerBound, 0x80)...range.upperBound, into: &sequences)
            }
        }
        var starts: [Int] = []
        if let only = ascii.onlyRange {
            starts.append(try add(.byte(low: only.lowerBound, high: only.upperBound, next: next)))
        } else if !ascii.isEmpty {
            sets.append(ascii)
            starts.append(try add(.bytes(set: sets.count - 1, next: next)))
        }
        for sequence in sequences {
            var start = next
            for range in sequence.reversed() { start = try shared(range, next: start) }
            starts.append(start)
        }
        return try choose(starts)
    }

    /// The instruction for one byte, reused where sequences end alike.
    private mutating func shared(_ range: ClosedRange<UInt8>, next: Int) throws(PatternError) -> Int {
        let key = Continuation(low: range.lowerBound, high: range.upperBound, next: next)
        if let known = shared[key] { return known }
        let index = try add(.byte(low: range.lowerBound, high: range.upperBound, next: next))
        shared[key] = index
        return index
    }

    /// Splits scalars of two bytes and more into ranges whose every byte varies on its own.
    private static func split(_ range: ClosedRange<UInt32>, into sequences: inout [[ClosedRange<UInt8>]]) {
        // Surrogates have no UTF-8.
        if range.overlaps(0xD800...0xDFFF) {
            if range.lowerBound < 0xD800 { split(range.lowerBound...0xD7FF, into: &sequences) }
            if range.upperBound > 0xDFFF { split(0xE000...range.upperBound, into: &sequences) }
            return
        }
        for last: UInt32 in [0x7FF, 0xFFFF] where range.lowerBound <= last && range.upperBound > last {
            split(range.lowerBound...last, into: &sequences)
            split((last + 1)...range.upperBound, into: &sequences)
            return
        }
        let count = range.lowerBound <= 0x7FF ? 2 : range.lowerBound <= 0xFFFF ? 3 : 4
        for index in 1..<count {
            let mask = UInt32(1) << (6 * UInt32(index)) - 1
            guard range.lowerBound & ~mask != range.upperBound & ~mask else { continue }
            if range.lowerBound & mask != 0 {
                split(range.lowerBound...(range.lowerBound | mask), into: &sequences)
                split(((range.lowerBound | mask) + 1)...range.upperBound, into: &sequences)
                return
            }
            if range.upperBound & mask != mask {
                split(range.lowerBound...((range.upperBound & ~mask) - 1), into: &sequences)
                split((range.upperBound & ~mask)...range.upperBound, into: &sequences)
                return
            }
        }
        let low = bytes(of: range.lowerBound, count: count)
        let high = bytes(of: range.upperBound, count: count)
        sequences.append(zip(low, high).map { $0...$1 })
    }

    private static func bytes(of scalar: UInt32, count: Int) -> [UInt8] {
        let lead: UInt32 = count == 2 ? 0xC0 : count == 3 ? 0xE0 : 0xF0
        return (0..<count).map { index in
            let shift = 6 * UInt32(count - 1 - index)
            return index == 0 ? UInt8(lead | scalar >> shift) : UInt8(0x80 | (scalar >> shift) & 0x3F)
        }
    }

    private mutating func add(_ instruction: Instruction) throws(PatternError) -> Int {
        guard instructions.count < limit else { throw PatternError(.tooLarge(limit: limit), at: 0) }
        instructions.append(instruction)
        return instructions.count - 1
    }
}

/// A set of byte values.
struct ByteSet: Sendable, Equatable {
    private var words: SIMD4<UInt64> = .zero

    mutating func insert(_ range: ClosedRange<UInt8>) {
        for byte in range { words[Int(byte >> 6)] |= 1 << UInt64(byte & 63) }
    }

    func contains(_ byte: UInt8) -> Bool { words[Int(byte >> 6)] >> UInt64(byte & 63) & 1 == 1 }

    var isEmpty: Bool { words == .zero }

    /// The set as one range, if it is one.
    var onlyRange: ClosedRange<UInt8>? {
        let members = (UInt8.min...UInt8.max).filter(contains)
        guard let first = members.first, let last = members.last, Int(last - first) + 1 == members.count else {
            return nil
        }
        return first...last
    }
}
