/// Appends JSON to bytes, spelled as Go's `encoding/json` does, so that answers equal Prometheus' and Alertmanager's.
///
/// Commas are placed by the writer; the nesting is the nesting of the closures. It writes what it is told: that every
/// key has one value is the caller's care.
public struct JSONWriter: Sendable {
    public private(set) var bytes: [UInt8] = []
    /// Whether `<`, `>` and `&` become `\u003c`, `\u003e` and `\u0026`. Go's default; jsoniter's (Prometheus) is not to.
    private let escapesHTML: Bool
    private var needsComma = false

    public init(escapesHTML: Bool = true) { self.escapesHTML = escapesHTML }

    public var text: String { String(decoding: bytes, as: UTF8.self) }

    public mutating func object<E: Error>(_ members: (inout JSONWriter) throws(E) -> Void) throws(E) {
        try nest("{", "}", members)
    }

    public mutating func array<E: Error>(_ elements: (inout JSONWriter) throws(E) -> Void) throws(E) {
        try nest("[", "]", elements)
    }

    /// The key of the member whose value is written next.
    public mutating func key(_ key: String) {
        string(key)
        bytes.append(UInt8(ascii: ":"))
        needsComma = false
    }

    public mutating func string(_ value: String) {
        separate()
        bytes.append(UInt8(ascii: "\""))
        var value = value
        value.withUTF8 { escape($0.span) }
        bytes.append(UInt8(ascii: "\""))
    }

    public mutating func integer(_ value: some BinaryInteger) { raw(String(value)) }

    public mutating func bool(_ value: Bool) { raw(value ? "true" : "false") }

    public mutating func null() { raw("null") }

    /// A float64 with the fewest digits that read back as the same; not a number and the infinities become `null`.
    public mutating func number(_ value: Double) {
        separate()
        GoFormat.appendJSON(value, to: &bytes)
    }

    /// Text that is already one JSON value.
    public mutating func raw(_ json: String) {
        separate()
        bytes.append(contentsOf: json.utf8)
    }

    public mutating func raw(_ json: [UInt8]) {
        separate()
        bytes.append(contentsOf: json)
    }

    public mutating func value(_ value: JSON) {
        switch value {
        case .null: null()
        case .bool(let value): bool(value)
        case .integer(let value): integer(value)
        case .number(let value): number(value)
        case .string(let value): string(value)
        case .array(let elements): array { for element in elements { $0.value(element) } }
        case .object(let members):
            object {
                for member in members {
                    $0.key(member.key)
                    $0.value(member.value)
                }
            }
        }
    }

    /// Ends a line, as Go's `Encoder` does after each value.
    public mutating func newline() {
        bytes.append(0x0a)
        needsComma = false
    }

    private mutating func nest<E: Error>(
        _ open: Unicode.Scalar, _ close: Unicode.Scalar, _ body: (inout JSONWriter) throws(E) -> Void
    ) throws(E) {
        separate()
        bytes.append(UInt8(ascii: open))
        needsComma = false
        try body(&self)
        bytes.append(UInt8(ascii: close))
        needsComma = true
    }

    private mutating func separate() {
        if needsComma { bytes.append(UInt8(ascii: ",")) }
        needsComma = true
    }

    private mutating func escape(_ text: Span<UInt8>) {
        for index in text.indices {
            let byte = text[index]
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes.append(contentsOf: [UInt8(ascii: "\\"), byte])
            case 0x08: bytes.append(contentsOf: #"\b"#.utf8)
            case 0x0c: bytes.append(contentsOf: #"\f"#.utf8)
            case 0x0a: bytes.append(contentsOf: #"\n"#.utf8)
            case 0x0d: bytes.append(contentsOf: #"\r"#.utf8)
            case 0x09: bytes.append(contentsOf: #"\t"#.utf8)
            case 0..<0x20: escape(code: byte)
            case UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "&"):
                if escapesHTML { escape(code: byte) } else { bytes.append(byte) }
            case 0xa8, 0xa9:
                // U+2028 and U+2029 (e2 80 a8, e2 80 a9) end a line in old JavaScript.
                guard index >= 2, text[index - 1] == 0x80, text[index - 2] == 0xe2 else {
                    bytes.append(byte)
                    continue
                }
                bytes.removeLast(2)
                bytes.append(contentsOf: (byte == 0xa8 ? #"\u2028"# : #"\u2029"#).utf8)
            default: bytes.append(byte)
            }
        }
    }

    private mutating func escape(code byte: UInt8) {
        bytes.append(contentsOf: (byte < 0x10 ? #"\u000"# : #"\u00"#).utf8)
        bytes.append(contentsOf: String(byte, radix: 16).utf8)
    }
}
