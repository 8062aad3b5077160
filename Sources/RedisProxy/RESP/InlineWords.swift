/// Words of an inline command, split and unquoted by the rules of Redis' `sdssplitargs`: blanks separate; double quotes
/// know `\n \r \t \b \a \xHH` and take any other escaped byte as it is; single quotes know only `\'`; a closing quote
/// ends the word.
enum InlineWords {
    /// - Returns: nil for quotes that do not close, or close in the middle of a word.
    static func split(_ line: Span<UInt8>) -> [[UInt8]]? {
        var words: [[UInt8]] = []
        var place = 0
        while true {
            while place < line.count, isSpace(line[place]) { place += 1 }
            guard place < line.count else { return words }
            guard let word = nextWord(line, &place) else { return nil }
            words.append(word)
        }
    }

    private static func nextWord(_ line: Span<UInt8>, _ place: inout Int) -> [UInt8]? {
        var word: [UInt8] = []
        while place < line.count {
            let byte = line[place]
            place += 1
            switch byte {
            case UInt8(ascii: " "), 9, 10, 13: return word
            case UInt8(ascii: "\""), UInt8(ascii: "'"):
                let isRead =
                    byte == UInt8(ascii: "'")
                    ? readSingleQuoted(line, &place, into: &word) : readDoubleQuoted(line, &place, into: &word)
                guard isRead, place == line.count || isSpace(line[place]) else { return nil }
                return word
            default: word.append(byte)
            }
        }
        return word
    }

    private static func readSingleQuoted(_ line: Span<UInt8>, _ place: inout Int, into word: inout [UInt8]) -> Bool {
        let quote = UInt8(ascii: "'")
        while place < line.count {
            let byte = line[place]
            place += 1
            if byte == quote { return true }
            if byte == UInt8(ascii: "\\"), place < line.count, line[place] == quote {
                word.append(quote)
                place += 1
            } else {
                word.append(byte)
            }
        }
        return false
    }

    private static func readDoubleQuoted(_ line: Span<UInt8>, _ place: inout Int, into word: inout [UInt8]) -> Bool {
        while place < line.count {
            let byte = line[place]
            place += 1
            if byte == UInt8(ascii: "\"") { return true }
            guard byte == UInt8(ascii: "\\"), place < line.count else {
                word.append(byte)
                continue
            }
            let escaped = line[place]
            if escaped == UInt8(ascii: "x"), place + 2 < line.count, let high = hexDigit(line[place + 1]),
                let low = hexDigit(line[place + 2])
            {
                word.append(high << 4 | low)
                place += 3
                continue
            }
            place += 1
            switch escaped {
            case UInt8(ascii: "n"): word.append(10)
            case UInt8(ascii: "r"): word.append(13)
            case UInt8(ascii: "t"): word.append(9)
            case UInt8(ascii: "b"): word.append(8)
            case UInt8(ascii: "a"): word.append(7)
            default: word.append(escaped)
            }
        }
        return false
    }

    private static func hexDigit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - 48
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - 87
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - 55
        default: nil
        }
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 32 || (9...13).contains(byte) }
}
