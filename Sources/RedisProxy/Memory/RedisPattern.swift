/// The patterns of `KEYS`, `SCAN` and `CONFIG GET`: `*`, `?`, `[a-c]`, `[^a]`, and a backslash in front of what is meant
/// as it stands.
///
/// A star is tried again only for the last one met, so a match costs at most the product of both lengths, where Redis'
/// own takes exponential time for many stars.
struct RedisPattern {
    private enum Part {
        case byte(UInt8)
        case any
        case anyNumber
        case oneOf([ClosedRange<UInt8>], isNegated: Bool)
    }

    private let parts: [Part]
    private let ignoresCase: Bool

    init(_ text: [UInt8], ignoresCase: Bool = false) {
        var parts: [Part] = []
        var place = 0
        while place < text.count {
            switch text[place] {
            case UInt8(ascii: "*"):
                if case .anyNumber = parts.last {} else { parts.append(.anyNumber) }
            case UInt8(ascii: "?"): parts.append(.any)
            case UInt8(ascii: "["): parts.append(Self.readSet(text, &place))
            case UInt8(ascii: "\\") where place + 1 < text.count:
                place += 1
                parts.append(.byte(text[place]))
            default: parts.append(.byte(text[place]))
            }
            place += 1
        }
        self.parts = parts
        self.ignoresCase = ignoresCase
    }

    func matches(_ key: [UInt8]) -> Bool {
        var (part, place) = (0, 0)
        var retry: (part: Int, place: Int)?
        while place < key.count {
            if part < parts.count, case .anyNumber = parts[part] {
                part += 1
                retry = (part, place)
            } else if part < parts.count, takes(parts[part], key[place]) {
                part += 1
                place += 1
            } else if let last = retry {
                retry = (last.part, last.place + 1)
                (part, place) = (last.part, last.place + 1)
            } else {
                return false
            }
        }
        return parts[part...].allSatisfy { if case .anyNumber = $0 { true } else { false } }
    }

    private func takes(_ part: Part, _ byte: UInt8) -> Bool {
        switch part {
        case .byte(let wanted): wanted == byte || ignoresCase && Self.lower(wanted) == Self.lower(byte)
        case .any: true
        case .anyNumber: false
        case .oneOf(let ranges, let isNegated): ranges.contains { $0.contains(byte) } != isNegated
        }
    }

    private static func lower(_ byte: UInt8) -> UInt8 { byte &- UInt8(ascii: "A") < 26 ? byte | 0x20 : byte }

    /// Reads from `[` to `]`, or to the end where there is none; `place` is left on the last byte read.
    private static func readSet(_ text: [UInt8], _ place: inout Int) -> Part {
        var ranges: [ClosedRange<UInt8>] = []
        place += 1
        let isNegated = place < text.count && text[place] == UInt8(ascii: "^")
        if isNegated { place += 1 }
        while place < text.count, text[place] != UInt8(ascii: "]") {
            if text[place] == UInt8(ascii: "\\"), place + 1 < text.count {
                place += 1
                ranges.append(text[place]...text[place])
            } else if place + 2 < text.count, text[place + 1] == UInt8(ascii: "-") {
                let (low, high) = (min(text[place], text[place + 2]), max(text[place], text[place + 2]))
                ranges.append(low...high)
                place += 2
            } else {
                ranges.append(text[place]...text[place])
            }
            place += 1
        }
        return .oneOf(ranges, isNegated: isNegated)
    }
}
