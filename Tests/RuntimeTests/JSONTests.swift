import Runtime
import TestTools
import Testing

@Suite struct JSONTests {
    private func parse(_ text: String, _ limits: JSON.Limits = JSON.Limits()) throws(JSONError) -> JSON {
        try JSON.parse(Array(text.utf8), limits: limits)
    }

    @Test func everyKindOfValueIsRead() throws {
        let document = try parse(
            #" {"a" : [1, -2.5, 1e3, true, false, null], "b": {"c": "x\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00é"}, "d":[],"e":{}} "#
        )
        #expect(document["a"] == .array([.integer(1), .number(-2.5), .number(1000), .bool(true), .bool(false), .null]))
        #expect(document["b"]?["c"]?.string == "x\"\\/\u{8}\u{c}\n\r\té😀é")
        #expect(document["d"] == .array([]))
        #expect(document["e"] == .object([]))
        #expect(document["nope"] == nil)
    }

    @Test func theLaterOfTwoMembersWithOneKeyCounts() throws {
        #expect(try parse(#"{"a":1,"a":2}"#)["a"]?.integer == 2)
    }

    @Test func wholeNumbersKeepAll64Bits() throws {
        #expect(
            try parse("[9223372036854775807,-9223372036854775808]")
                == .array([.integer(.max), .integer(.min)]))
        #expect(try parse("9223372036854775808").double == 9.223372036854775808e18)
        #expect(try parse("-0") == .number(-0.0))
    }

    @Test(arguments: [
        "", " ", "{", "[1,]", "[,1]", "[1 2]", #"{"a"}"#, #"{"a":}"#, #"{a:1}"#, #"{"a":1,}"#, "tru", "nulll", "01",
        "-",
        "+1", ".5", "1.", "1e", "1e+", "--1", "0x1", "NaN", "Infinity", "1e999", #""\x""#, #""\u12""#, #""\ud800""#,
        #""\ud800\u0041""#, #""\udc00""#, "\"\u{1}\"", "\"a", "'a'", "[1]]", "[1]x", "// c\n1", "\u{feff}1",
    ]) func whatRFC8259DoesNotAllowIsRefused(_ text: String) {
        #expect(throws: JSONError.self) { try parse(text) }
    }

    @Test func invalidUTF8IsRefused() {
        #expect(throws: JSONError.invalidUTF8(offset: 3)) { try JSON.parse([0x22, 0xff, 0x22]) }
    }

    @Test func theLimitsHold() throws {
        let deep = String(repeating: "[", count: 65) + String(repeating: "]", count: 65)
        #expect(throws: JSONError.tooDeep(limit: 64)) { try parse(deep) }
        #expect(throws: JSONError.tooDeep(limit: 64)) { try parse(String(repeating: "[", count: 1_000_000)) }
        #expect(throws: JSONError.tooLong(bytes: 5, limit: 4)) { try parse("[1,2]", JSON.Limits(bytes: 4)) }
        #expect(throws: JSONError.tooManyValues(limit: 3)) { try parse("[1,2,3]", JSON.Limits(values: 3)) }
    }

    @Test func aDocumentIsWrittenAsGoWritesIt() throws {
        var writer = JSONWriter()
        writer.object {
            $0.key("a&b")
            $0.string("<\u{1}\u{1f}\u{2028}\u{7f}é\"\\\n>")
            $0.key("list")
            $0.array {
                $0.number(1e21)
                $0.integer(-3)
                $0.bool(true)
                $0.null()
                $0.object { _ in }
            }
            $0.key("empty")
            $0.array { _ in }
        }
        #expect(
            writer.text
                == #"{"a\u0026b":"\u003c\u0001\u001f\u2028\#u{7f}é\"\\\n\u003e","list":[1e+21,-3,true,null,{}],"empty":[]}"#
        )
        var plain = JSONWriter(escapesHTML: false)
        plain.string("<&>")
        #expect(plain.text == "\"<&>\"")
    }

    @Test func whatWasWrittenIsReadTheSame() throws {
        var random = Seeded(7)
        for _ in 0..<2_000 {
            let value = random.value(depth: 0)
            var writer = JSONWriter()
            writer.value(value)
            #expect(try JSON.parse(writer.bytes) == value)
        }
    }

    @Test func brokenDocumentsNeverTrapTheReader() throws {
        var random = Seeded(11)
        for _ in 0..<5_000 {
            var writer = JSONWriter()
            writer.value(random.value(depth: 0))
            var bytes = writer.bytes
            for _ in 0...Int(random.next() % 3) {
                let index = Int(random.next() % UInt64(bytes.count))
                switch random.next() % 3 {
                case 0: bytes[index] = UInt8(truncatingIfNeeded: random.next())
                case 1: bytes.removeSubrange(index...)
                default: bytes.insert(UInt8(truncatingIfNeeded: random.next()), at: index)
                }
                if bytes.isEmpty { bytes.append(0x20) }
            }
            guard let value = try? JSON.parse(bytes) else { continue }
            var again = JSONWriter()
            again.value(value)
            #expect(try JSON.parse(again.bytes) == value)
        }
    }
}

/// Random documents from a seed, so that a failure can be repeated.
extension Seeded {
    fileprivate mutating func value(depth: Int) -> JSON {
        switch next() % (depth > 4 ? 5 : 7) {
        case 0: return .null
        case 1: return .bool(next() % 2 == 0)
        case 2: return .integer(Int64(bitPattern: next()))
        case 3:
            let number = Double(bitPattern: next())
            return .number(number.isFinite && number.rounded() != number ? number : 0.5)
        case 4: return .string(text())
        case 5: return .array((0..<next() % 4).map { _ in value(depth: depth + 1) })
        default: return .object((0..<next() % 4).map { _ in JSON.Member(text(), value(depth: depth + 1)) })
        }
    }

    private mutating func text() -> String {
        let alphabet: [Character] = ["a", "\"", "\\", "\n", "\u{0}", "é", "😀", "\u{2028}", "&", "/", "\u{7f}"]
        return String((0..<next() % 6).map { _ in alphabet[Int(next() % UInt64(alphabet.count))] })
    }
}
