/// One pass over a JSON document; `at` is the next byte to be read.
struct JSONReader {
    private let limits: JSON.Limits
    private var at = 0
    private var depth = 0
    private var values = 0

    init(limits: JSON.Limits) { self.limits = limits }

    mutating func document(_ text: Span<UInt8>) throws(JSONError) -> JSON {
        guard text.count <= limits.bytes else { throw .tooLong(bytes: text.count, limit: limits.bytes) }
        let value = try value(text)
        skipSpace(text)
        guard at == text.count else { throw .unexpected(byte: text[at], offset: at) }
        return value
    }

    private mutating func value(_ text: Span<UInt8>) throws(JSONError) -> JSON {
        values += 1
        guard values <= limits.values else { throw .tooManyValues(limit: limits.values) }
        skipSpace(text)
        switch try peek(text) {
        case UInt8(ascii: "{"): return try object(text)
        case UInt8(ascii: "["): return try array(text)
        case UInt8(ascii: "\""): return .string(try string(text))
        case UInt8(ascii: "t"): return try word("true", .bool(true), text)
        case UInt8(ascii: "f"): return try word("false", .bool(false), text)
        case UInt8(ascii: "n"): return try word("null", .null, text)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number(text)
        case let byte: throw .unexpected(byte: byte, offset: at)
        }
    }

    private mutating func object(_ text: Span<UInt8>) throws(JSONError) -> JSON {
        try enter()
        var members: [JSON.Member] = []
        if !take(UInt8(ascii: "}"), text) {
            repeat {
                skipSpace(text)
                let key = try string(text)
                try expect(UInt8(ascii: ":"), text)
                members.append(JSON.Member(key, try value(text)))
            } while take(UInt8(ascii: ","), text)
            try expect(UInt8(ascii: "}"), text)
        }
        depth -= 1
        return .object(members)
    }

    private mutating func array(_ text: Span<UInt8>) throws(JSONError) -> JSON {
        try enter()
        var elements: [JSON] = []
        if !take(UInt8(ascii: "]"), text) {
            repeat { elements.append(try value(text)) } while take(UInt8(ascii: ","), text)
            try expect(UInt8(ascii: "]"), text)
        }
        depth -= 1
        return .array(elements)
    }

    /// Steps over the opening bracket.
    private mutating func enter() throws(JSONError) {
        depth += 1
        guard depth <= limits.depth else { throw .tooDeep(limit: limits.depth) }
        at += 1
    }

    private mutating func word(_ word: StaticString, _ value: JSON, _ text: Span<UInt8>) throws(JSONError) -> JSON {
        for byte in word.description.utf8 { try expectNext(byte, text) }
        return value
    }

    private mutating func number(_ text: Span<UInt8>) throws(JSONError) -> JSON {
        let start = at
        var isWhole = true
        if text[at] == UInt8(ascii: "-") { at += 1 }
        let first = at
        try digits(text)
        if text[first] == UInt8(ascii: "0"), at > first + 1 { throw .invalidNumber(offset: start) }
        if at < text.count, text[at] == UInt8(ascii: ".") {
            isWhole = false
            at += 1
            try digits(text)
        }
        if at < text.count, text[at] | 0x20 == UInt8(ascii: "e") {
            isWhole = false
            at += 1
            if at < text.count, text[at] == UInt8(ascii: "+") || text[at] == UInt8(ascii: "-") { at += 1 }
            try digits(text)
        }
        var bytes: [UInt8] = []
        for index in start..<at { bytes.append(text[index]) }
        let literal = String(decoding: bytes, as: UTF8.self)
        if isWhole, let value = Int64(literal), literal != "-0" { return .integer(value) }
        // Beyond the range of a double is an error, as in Go, not an infinity nobody wrote.
        guard let value = Double(literal), value.isFinite else { throw .invalidNumber(offset: start) }
        return .number(value)
    }

    private mutating func digits(_ text: Span<UInt8>) throws(JSONError) {
        let start = at
        while at < text.count, text[at] >= UInt8(ascii: "0"), text[at] <= UInt8(ascii: "9") { at += 1 }
        guard at > start else {
            if at == text.count { throw .unexpectedEnd }
            throw .invalidNumber(offset: start)
        }
    }

    private mutating func string(_ text: Span<UInt8>) throws(JSONError) -> String {
        try expectNext(UInt8(ascii: "\""), text)
        var bytes: [UInt8] = []
        while true {
            let byte = try peek(text)
            switch byte {
            case UInt8(ascii: "\""):
                at += 1
                guard let string = String(validating: bytes, as: UTF8.self) else { throw .invalidUTF8(offset: at) }
                return string
            case UInt8(ascii: "\\"):
                at += 1
                try escape(text, into: &bytes)
            case 0..<0x20:
                throw .unexpected(byte: byte, offset: at)
            default:
                bytes.append(byte)
                at += 1
            }
        }
    }

    private mutating func escape(_ text: Span<UInt8>, into bytes: inout [UInt8]) throws(JSONError) {
        let letter = try peek(text)
        at += 1
        switch letter {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): bytes.append(letter)
        case UInt8(ascii: "b"): bytes.append(0x08)
        case UInt8(ascii: "f"): bytes.append(0x0c)
        case UInt8(ascii: "n"): bytes.append(0x0a)
        case UInt8(ascii: "r"): bytes.append(0x0d)
        case UInt8(ascii: "t"): bytes.append(0x09)
        case UInt8(ascii: "u"): bytes.append(contentsOf: Array(String(Character(try scalar(text))).utf8))
        default: throw .invalidEscape(offset: at - 2)
        }
    }

    /// The character of `\uXXXX`, or of two that are a surrogate pair. Half a pair alone is no character.
    private mutating func scalar(_ text: Span<UInt8>) throws(JSONError) -> Unicode.Scalar {
        let start = at - 2
        var code = try hexadecimal(text)
        if code & 0xfc00 == 0xd800 {
            try expectNext(UInt8(ascii: "\\"), text)
            try expectNext(UInt8(ascii: "u"), text)
            let low = try hexadecimal(text)
            guard low & 0xfc00 == 0xdc00 else { throw .invalidEscape(offset: start) }
            code = 0x10000 + (code & 0x3ff) << 10 + low & 0x3ff
        }
        guard let scalar = Unicode.Scalar(code) else { throw .invalidEscape(offset: start) }
        return scalar
    }

    private mutating func hexadecimal(_ text: Span<UInt8>) throws(JSONError) -> UInt32 {
        var code: UInt32 = 0
        for _ in 0..<4 {
            let byte = try peek(text)
            guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue, byte < 0x80 else {
                throw .invalidEscape(offset: at)
            }
            code = code << 4 + UInt32(digit)
            at += 1
        }
        return code
    }

    private func peek(_ text: Span<UInt8>) throws(JSONError) -> UInt8 {
        guard at < text.count else { throw .unexpectedEnd }
        return text[at]
    }

    private mutating func skipSpace(_ text: Span<UInt8>) {
        while at < text.count {
            switch text[at] {
            case 0x20, 0x09, 0x0a, 0x0d: at += 1
            default: return
            }
        }
    }

    /// Takes `byte` after white space, or leaves the place and says no.
    private mutating func take(_ byte: UInt8, _ text: Span<UInt8>) -> Bool {
        skipSpace(text)
        guard at < text.count, text[at] == byte else { return false }
        at += 1
        return true
    }

    private mutating func expect(_ byte: UInt8, _ text: Span<UInt8>) throws(JSONError) {
        skipSpace(text)
        try expectNext(byte, text)
    }

    private mutating func expectNext(_ byte: UInt8, _ text: Span<UInt8>) throws(JSONError) {
        let found = try peek(text)
        guard found == byte else { throw .unexpected(byte: found, offset: at) }
        at += 1
    }
}
