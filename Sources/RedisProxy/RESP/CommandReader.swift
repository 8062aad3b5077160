import Runtime

/// Finds the end of one command and its arguments in the bytes a client has sent so far.
///
/// The span always begins where the command begins, and grows from call to call; the reader remembers how far it came,
/// so a command of many megabytes is looked at once, however many pieces it comes in. After `command` or `empty` the
/// caller hands over what follows. Arguments of a multibulk command are ranges of that span; those of an inline command
/// are ranges of `rewritten`, because quoting may have changed them. Nothing is allocated once `arguments` has grown to
/// the size of the client's usual command.
///
/// Limits and error texts are those of Redis 7.0 (`networking.c`), with one difference: Redis skips two bytes after each
/// argument without looking; here they have to be CR and LF, so that no server behind us can frame the bytes otherwise.
public struct CommandReader: Sendable {
    public struct Limits: Sendable, Equatable {
        /// An inline command, and the line of a length. Redis' constant.
        public var lineBytes = 64 << 10
        /// Redis allowed a million up to 6.2, and two thousand million since.
        public var arguments = 1 << 20
        /// `proto-max-bulk-len`.
        public var argumentBytes = 512 << 20
        /// All of one command, as it came; `client-query-buffer-limit`.
        public var commandBytes = 1 << 30

        public init() {}
    }

    public enum Step: Equatable, Sendable {
        /// The command is not whole. It has at least `needed` bytes; a client can claim what it likes, so reserve no more
        /// than you would give it anyway.
        case incomplete(needed: Int)
        /// A command of this many bytes; its arguments are ranges of the span.
        case command(length: Int)
        /// A command of this many bytes; its arguments are ranges of `rewritten`.
        case inline(length: Int)
        /// This many bytes that ask for nothing: an empty line, or an array of no arguments.
        case empty(length: Int)
        /// What follows cannot be read: answer and close.
        case failed(CommandFault)
    }

    /// Of the command that was found last. Never empty after `command` and `inline`.
    public private(set) var arguments: [Range<Int>] = []
    /// The inline command that was found last, as Redis clients send commands otherwise.
    public private(set) var rewritten: [UInt8] = []
    /// Until then, as in Redis, at most 10 arguments of 16 KB.
    public var isAuthenticated: Bool

    private let limits: Limits
    /// Where to go on: at a length's line or an argument.
    private var place = 0
    /// Up to here there is no line end after `place`.
    private var searched = 0
    /// Arguments still to come; zero before the first line was read.
    private var missing = 0
    /// Of the argument at `place`, once its line was read.
    private var argumentBytes: Int?

    public init(limits: Limits = Limits(), isAuthenticated: Bool = true) {
        self.limits = limits
        self.isAuthenticated = isAuthenticated
    }

    /// Whether nothing of the next command has been looked at.
    public var isBetweenCommands: Bool { place == 0 && missing == 0 && searched == 0 }

    /// Looks at the bytes from the command's first to the last that has come.
    public mutating func next(in bytes: Span<UInt8>) -> Step {
        if missing == 0 {
            guard bytes.count > 0 else { return .incomplete(needed: 1) }
            guard bytes[0] == UInt8(ascii: "*") else { return nextInline(in: bytes) }
            switch readLength(in: bytes, tooLong: .countLineTooLong, bad: .badCount) {
            case .incomplete: return .incomplete(needed: bytes.count + 1)
            case .failed(let fault): return .failed(fault)
            case .length(let count, let after):
                guard count <= limits.arguments else { return .failed(.badCount) }
                guard count <= 10 || isAuthenticated else { return .failed(.unauthenticatedCount) }
                guard count > 0 else {
                    reset()
                    return .empty(length: after)
                }
                forgetArguments()
                missing = count
                advance(to: after)
            }
        }
        return nextArguments(in: bytes)
    }

    private mutating func nextArguments(in bytes: Span<UInt8>) -> Step {
        while missing > 0 {
            let length: Int
            if let argumentBytes {
                length = argumentBytes
            } else {
                guard place < bytes.count else { return incomplete(needed: place + 4 * missing) }
                switch readLength(in: bytes, tooLong: .argumentLineTooLong, bad: .badLength) {
                case .incomplete: return incomplete(needed: bytes.count + 1)
                case .failed(let fault): return .failed(fault)
                case .length(let bulk, let after):
                    guard bulk >= 0, bulk <= limits.argumentBytes else { return .failed(.badLength) }
                    guard bulk <= 16384 || isAuthenticated else { return .failed(.unauthenticatedLength) }
                    advance(to: after)
                    length = bulk
                }
            }
            let end = place + length
            guard end + 2 <= limits.commandBytes else { return .failed(.commandTooLong(limit: limits.commandBytes)) }
            guard end + 2 <= bytes.count else {
                argumentBytes = length
                return .incomplete(needed: end + 2)
            }
            guard bytes[end] == 13, bytes[end + 1] == 10 else { return .failed(.noLineEnd) }
            arguments.append(place..<end)
            argumentBytes = nil
            missing -= 1
            advance(to: end + 2)
        }
        let length = place
        reset()
        return .command(length: length)
    }

    private func incomplete(needed: Int) -> Step {
        needed <= limits.commandBytes
            ? .incomplete(needed: needed) : .failed(.commandTooLong(limit: limits.commandBytes))
    }

    private enum Length {
        case incomplete
        case length(Int, after: Int)
        case failed(CommandFault)
    }

    /// Reads `*12\r\n` or `$12\r\n` at `place`.
    private mutating func readLength(in bytes: Span<UInt8>, tooLong: CommandFault, bad: CommandFault) -> Length {
        // Nearly every line is whole and short.
        if missing == 0 || bytes[place] == UInt8(ascii: "$") {
            var digit = place + 1
            var value = 0
            while digit < bytes.count, bytes[digit] &- 48 < 10, digit < place + 10 {
                value = value &* 10 &+ Int(bytes[digit] &- 48)
                digit += 1
            }
            if digit + 1 < bytes.count, bytes[digit] == 13, bytes[digit + 1] == 10, digit > place + 1,
                bytes[place + 1] != 48 || digit == place + 2
            {
                return .length(value, after: digit + 2)
            }
        }
        return readUnusualLength(in: bytes, tooLong: tooLong, bad: bad)
    }

    private mutating func readUnusualLength(
        in bytes: Span<UInt8>, tooLong: CommandFault, bad: CommandFault
    ) -> Length {
        let end = bytes.firstPlace(of: 13, in: max(place, searched)..<bytes.count)
        guard end < bytes.count else {
            searched = end
            return bytes.count - place > limits.lineBytes ? .failed(tooLong) : .incomplete
        }
        searched = end
        guard end + 1 < bytes.count else { return .incomplete }
        guard missing == 0 || bytes[place] == UInt8(ascii: "$") else { return .failed(.noDollar(bytes[place])) }
        guard bytes[end + 1] == 10, let value = bytes.strictInteger(in: place + 1..<end) else { return .failed(bad) }
        return .length(value, after: end + 2)
    }

    private mutating func advance(to place: Int) {
        self.place = place
        searched = place
    }

    private mutating func reset() {
        advance(to: 0)
        missing = 0
        argumentBytes = nil
    }

    /// One huge command does not keep its memory for the rest of the connection.
    private mutating func forgetArguments() {
        arguments.removeAll(keepingCapacity: arguments.capacity <= 1024)
    }

    // MARK: Inline commands

    private mutating func nextInline(in bytes: Span<UInt8>) -> Step {
        let newline = bytes.firstPlace(of: 10, in: searched..<bytes.count)
        // Redis looks for the line's end with `strchr`, and never gets past a zero byte.
        let zero = bytes.firstPlace(of: 0, in: searched..<newline)
        guard newline < bytes.count, zero == newline else {
            searched = zero
            return bytes.count > limits.lineBytes ? .failed(.inlineTooLong) : .incomplete(needed: bytes.count + 1)
        }
        guard newline <= limits.lineBytes else { return .failed(.inlineTooLong) }
        let end = newline > 0 && bytes[newline - 1] == 13 ? newline - 1 : newline
        reset()
        guard let words = InlineWords.split(bytes.extracting(0..<end)) else { return .failed(.unbalancedQuotes) }
        guard !words.isEmpty else { return .empty(length: newline + 1) }
        forgetArguments()
        rewritten.removeAll(keepingCapacity: true)
        rewritten.append(arrayOf: words.count)
        for word in words {
            rewritten.append(bulk: word.span)
            arguments.append(rewritten.count - 2 - word.count..<rewritten.count - 2)
        }
        return .inline(length: newline + 1)
    }
}

extension Span where Element == UInt8 {
    /// A decimal number as Redis' `string2ll` takes it: digits, perhaps a minus, no plus, no spaces, no leading zeros.
    func strictInteger(in range: Range<Int>) -> Int? {
        guard !range.isEmpty, range.count <= 20 else { return nil }
        var place = range.lowerBound
        let isNegative = self[place] == UInt8(ascii: "-")
        if isNegative { place += 1 }
        guard place < range.upperBound else { return nil }
        if self[place] == UInt8(ascii: "0") { return range.count == 1 ? 0 : nil }
        var value = 0
        while place < range.upperBound {
            let digit = self[place] &- 48
            guard digit < 10 else { return nil }
            let (product, tooLarge) = value.multipliedReportingOverflow(by: 10)
            let (sum, carries) =
                isNegative
                ? product.subtractingReportingOverflow(Int(digit)) : product.addingReportingOverflow(Int(digit))
            guard !tooLarge, !carries else { return nil }
            value = sum
            place += 1
        }
        return value
    }

    /// The whole span as Redis' `string2ll` takes it.
    func strictInteger() -> Int? { strictInteger(in: 0..<count) }
}

extension Array where Element == UInt8 {
    /// All the bytes as Redis' `string2ll` takes them.
    func strictInteger() -> Int? { span.strictInteger() }

    /// Whether the bytes are this lower-case word, in letters of either case.
    func isWord(_ word: String) -> Bool { span.isWord(word) }
}
