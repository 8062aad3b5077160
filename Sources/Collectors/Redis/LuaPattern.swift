/// A pattern of Lua's `string.find`, matched here so that no script must run, and block, in the server.
///
/// Lua's patterns are not regular expressions: a match tries, from left to right, single characters, classes and sets with
/// `*`, `+`, `-` or `?`, without alternatives or groups. Backtracking is bounded by `stepLimit`, because `.-.-.-.-x` takes
/// cubic time and more. The language: <https://www.lua.org/manual/5.1/manual.html#5.4.1>.
struct LuaPattern: Sendable {
    enum Malformed: Error, Equatable, CustomStringConvertible {
        case endsWithPercent, openSet, openCapture, closedTwice, badBalance, badFrontier, badBackReference,
            tooManyCaptures

        var description: String {
            switch self {
            case .endsWithPercent: "lua pattern: ends with %"
            case .openSet: "lua pattern: [ without ]"
            case .openCapture: "lua pattern: ( without )"
            case .closedTwice: "lua pattern: ) without ("
            case .badBalance: "lua pattern: %b wants two characters"
            case .badFrontier: "lua pattern: %f wants a set"
            case .badBackReference: "lua pattern: %1 to %9 wants a finished capture"
            case .tooManyCaptures: "lua pattern: more than 32 captures"
            }
        }
    }

    private indirect enum Item {
        case single(Matcher, Repetition)
        case open(isPosition: Bool)
        case close
        case balance(UInt8, UInt8)
        case frontier(Matcher)
        case backReference(Int)
        case end
    }

    private enum Repetition { case once, atLeastNone, atLeastOne, asFewAsPossible, optional }

    /// The bytes that one character of a pattern stands for, one bit each.
    private struct Matcher {
        private var bits: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

        func contains(_ byte: UInt8) -> Bool {
            let bit = UInt64(1) << UInt64(byte & 63)
            return switch byte >> 6 {
            case 0: bits.0 & bit != 0
            case 1: bits.1 & bit != 0
            case 2: bits.2 & bit != 0
            default: bits.3 & bit != 0
            }
        }

        mutating func insert(_ byte: UInt8) {
            let bit = UInt64(1) << UInt64(byte & 63)
            switch byte >> 6 {
            case 0: bits.0 |= bit
            case 1: bits.1 |= bit
            case 2: bits.2 |= bit
            default: bits.3 |= bit
            }
        }

        mutating func insert(where holds: (UInt8) -> Bool) {
            for byte in UInt8.min...UInt8.max where holds(byte) { insert(byte) }
        }

        var inverted: Matcher {
            var other = self
            other.bits = (~bits.0, ~bits.1, ~bits.2, ~bits.3)
            return other
        }
    }

    private let isAnchored: Bool
    private let items: [Item]
    private static let captureLimit = 32
    /// What one key may cost; a pattern that needs more does not match.
    private static let stepLimit = 100_000

    init(_ text: String) throws(Malformed) {
        var source = Array(text.utf8)[...]
        isAnchored = source.first == UInt8(ascii: "^")
        if isAnchored { source.removeFirst() }
        var items: [Item] = []
        var open: [Int] = []
        var finished: Set<Int> = []
        var captures = 0
        while let byte = source.popFirst() {
            switch byte {
            case UInt8(ascii: "("):
                guard captures < Self.captureLimit else { throw .tooManyCaptures }
                captures += 1
                let isPosition = source.first == UInt8(ascii: ")")
                if isPosition {
                    source.removeFirst()
                    finished.insert(captures)
                } else {
                    open.append(captures)
                }
                items.append(.open(isPosition: isPosition))
            case UInt8(ascii: ")"):
                guard let capture = open.popLast() else { throw .closedTwice }
                finished.insert(capture)
                items.append(.close)
            case UInt8(ascii: "$") where source.isEmpty:
                items.append(.end)
            case UInt8(ascii: "%") where source.first == UInt8(ascii: "b"):
                guard source.count >= 3 else { throw .badBalance }
                source.removeFirst()
                items.append(.balance(source.removeFirst(), source.removeFirst()))
            case UInt8(ascii: "%") where source.first == UInt8(ascii: "f"):
                source.removeFirst()
                guard source.popFirst() == UInt8(ascii: "[") else { throw .badFrontier }
                items.append(.frontier(try Self.set(&source)))
            case UInt8(ascii: "%") where source.first.map(Self.isDigit) ?? false:
                let number = Int(source.removeFirst() - UInt8(ascii: "0"))
                guard finished.contains(number) else { throw .badBackReference }
                items.append(.backReference(number))
            default:
                let matcher = try Self.single(byte, &source)
                items.append(.single(matcher, Self.repetition(&source)))
            }
        }
        guard open.isEmpty else { throw .openCapture }
        self.items = items
    }

    /// What the captures of the first match hold, one after the other; nil where nothing matches. A pattern without captures
    /// gives an empty text.
    func captures(in text: ArraySlice<UInt8>) -> [UInt8]? {
        var match = Match(text: Array(text), steps: Self.stepLimit)
        var start = 0
        repeat {
            match.captures = []
            if run(0, start, &match) {
                return match.captures.flatMap { capture in
                    switch capture {
                    case .position(let index): Array("\(index + 1)".utf8)
                    case .open: [UInt8]()
                    case .text(let range): Array(match.text[range])
                    }
                }
            }
            start += 1
        } while start <= match.text.count && !isAnchored && match.steps > 0
        return nil
    }

    private enum Capture {
        case position(Int)
        case open(Int)
        case text(Range<Int>)
    }

    private struct Match {
        let text: [UInt8]
        var steps: Int
        var captures: [Capture] = []
    }

    /// Whether the items from `item` on match the text from `start` on.
    private func run(_ item: Int, _ start: Int, _ match: inout Match) -> Bool {
        var start = start
        for index in item..<items.count {
            match.steps -= 1
            guard match.steps > 0 else { return false }
            switch items[index] {
            case .single(let matcher, .once):
                guard start < match.text.count, matcher.contains(match.text[start]) else { return false }
                start += 1
            case .single(let matcher, let repetition):
                return run(matcher, repetition, index + 1, start, &match)
            case .open(let isPosition):
                match.captures.append(isPosition ? .position(start) : .open(start))
            case .close:
                guard let last = match.captures.lastIndex(where: { if case .open = $0 { true } else { false } }),
                    case .open(let begin) = match.captures[last]
                else { return false }
                match.captures[last] = .text(begin..<start)
            case .balance(let opening, let closing):
                guard let end = Self.balanced(match.text, start, opening, closing) else { return false }
                start = end
            case .frontier(let matcher):
                let before = start > 0 ? match.text[start - 1] : 0
                let here = start < match.text.count ? match.text[start] : 0
                guard !matcher.contains(before), matcher.contains(here) else { return false }
            case .backReference(let number):
                guard number <= match.captures.count, case .text(let range) = match.captures[number - 1],
                    match.text[start...].starts(with: match.text[range])
                else { return false }
                start += range.count
            case .end:
                guard start == match.text.count else { return false }
            }
        }
        return true
    }

    private func run(
        _ matcher: Matcher, _ repetition: Repetition, _ rest: Int, _ start: Int, _ match: inout Match
    ) -> Bool {
        var longest = start
        let most = repetition == .optional ? start + 1 : match.text.count
        while longest < min(most, match.text.count), matcher.contains(match.text[longest]) { longest += 1 }
        let shortest = repetition == .atLeastOne ? start + 1 : start
        guard shortest <= longest else { return false }
        let captures = match.captures
        let isLazy = repetition == .asFewAsPossible
        for step in 0...longest - shortest {
            match.captures = captures
            if run(rest, isLazy ? shortest + step : longest - step, &match) { return true }
            guard match.steps > 0 else { return false }
        }
        return false
    }

    private static func balanced(_ text: [UInt8], _ start: Int, _ opening: UInt8, _ closing: UInt8) -> Int? {
        guard start < text.count, text[start] == opening else { return nil }
        var depth = 1
        for index in start + 1..<max(text.count, start + 1) {
            if text[index] == closing {
                depth -= 1
                if depth == 0 { return index + 1 }
            } else if text[index] == opening {
                depth += 1
            }
        }
        return nil
    }
}

// MARK: - Reading a pattern

extension LuaPattern {
    private static func single(_ byte: UInt8, _ source: inout ArraySlice<UInt8>) throws(Malformed) -> Matcher {
        var matcher = Matcher()
        switch byte {
        case UInt8(ascii: "."): return matcher.inverted
        case UInt8(ascii: "["): return try set(&source)
        case UInt8(ascii: "%"):
            guard let name = source.popFirst() else { throw .endsWithPercent }
            return named(name)
        default:
            matcher.insert(byte)
            return matcher
        }
    }

    private static func repetition(_ source: inout ArraySlice<UInt8>) -> Repetition {
        let kinds: [UInt8: Repetition] = [
            UInt8(ascii: "*"): .atLeastNone, UInt8(ascii: "+"): .atLeastOne, UInt8(ascii: "-"): .asFewAsPossible,
            UInt8(ascii: "?"): .optional,
        ]
        guard let byte = source.first, let kind = kinds[byte] else { return .once }
        source.removeFirst()
        return kind
    }

    /// What stands behind `[`, up to and with `]`. A `]` that comes first is one of the characters.
    private static func set(_ source: inout ArraySlice<UInt8>) throws(Malformed) -> Matcher {
        let isInverted = source.first == UInt8(ascii: "^")
        if isInverted { source.removeFirst() }
        var matcher = Matcher()
        var isFirst = true
        while true {
            guard let byte = source.popFirst() else { throw .openSet }
            if byte == UInt8(ascii: "]"), !isFirst { return isInverted ? matcher.inverted : matcher }
            isFirst = false
            if byte == UInt8(ascii: "%") {
                guard let name = source.popFirst() else { throw .openSet }
                let members = named(name)
                matcher.insert(where: members.contains)
            } else if source.first == UInt8(ascii: "-"), let last = source.dropFirst().first, last != UInt8(ascii: "]")
            {
                source.removeFirst(2)
                matcher.insert { $0 >= byte && $0 <= last }
            } else {
                matcher.insert(byte)
            }
        }
    }

    /// `%a` and its like; an upper-case letter stands for all others, and anything that is no letter for itself.
    private static func named(_ name: UInt8) -> Matcher {
        var matcher = Matcher()
        switch name | 0x20 {
        case UInt8(ascii: "a") where isLetter(name): matcher.insert(where: isLetter)
        case UInt8(ascii: "c") where isLetter(name): matcher.insert { $0 < 0x20 || $0 == 0x7F }
        case UInt8(ascii: "d") where isLetter(name): matcher.insert(where: isDigit)
        case UInt8(ascii: "l") where isLetter(name): matcher.insert { isLetter($0) && $0 & 0x20 != 0 }
        case UInt8(ascii: "p") where isLetter(name):
            matcher.insert { $0 > 0x20 && $0 < 0x7F && !isLetter($0) && !isDigit($0) }
        case UInt8(ascii: "s") where isLetter(name): matcher.insert { $0 == 0x20 || ($0 >= 0x09 && $0 <= 0x0D) }
        case UInt8(ascii: "u") where isLetter(name): matcher.insert { isLetter($0) && $0 & 0x20 == 0 }
        case UInt8(ascii: "w") where isLetter(name): matcher.insert { isLetter($0) || isDigit($0) }
        case UInt8(ascii: "x") where isLetter(name):
            matcher.insert { isDigit($0) || ($0 | 0x20 >= UInt8(ascii: "a") && $0 | 0x20 <= UInt8(ascii: "f")) }
        case UInt8(ascii: "z") where isLetter(name): matcher.insert(0)
        default:
            matcher.insert(name)
            return matcher
        }
        return name & 0x20 == 0 ? matcher.inverted : matcher
    }

    private static func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }

    private static func isLetter(_ byte: UInt8) -> Bool {
        byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "z")
    }
}
