import Runtime
import Testing

@Suite struct SpanSearchTests {
    private func place(of byte: Unicode.Scalar, in range: Range<Int>, _ text: String) -> Int {
        let bytes = Array(text.utf8)
        return bytes.span.firstPlace(of: UInt8(ascii: byte), in: range)
    }

    private func holds(_ range: Range<Int>, at place: Int) -> Bool {
        let bytes = Array("xabcx".utf8)
        return bytes.span.holds(range, equalTo: Array("..abc".utf8), at: place)
    }

    private func hash(_ bytes: [UInt8], _ range: Range<Int>, seed: UInt64 = 42) -> UInt64 {
        bytes.span.hash(range, into: seed)
    }

    @Test func theFirstPlaceIsFoundInsideTheRangeOnly() {
        #expect(place(of: ",", in: 0..<5, "a,b,c") == 1)
        #expect(place(of: ",", in: 2..<5, "a,b,c") == 3)
        #expect(place(of: ",", in: 4..<5, "a,b,c") == 5)
        #expect(place(of: "c", in: 0..<4, "a,b,c") == 4)
        #expect(place(of: "a", in: 3..<3, "a,b,c") == 3)
        #expect(place(of: "a", in: 0..<0, "") == 0)
    }

    @Test func rangesAreComparedWithinBounds() {
        #expect(holds(1..<4, at: 2))
        #expect(!holds(1..<4, at: 1))
        #expect(!holds(1..<4, at: 3))
        #expect(!holds(1..<4, at: -1))
        #expect(holds(2..<2, at: 5))
    }

    @Test func equalBytesHashEquallyWhereverTheyLieAndOthersDoNot() {
        var seen: Set<UInt64> = []
        for length in 0...40 {
            let text = (0..<length).map { UInt8(truncatingIfNeeded: $0 * 7 + 1) }
            let moved = [0, 0, 0] + text + [9]
            let expected = hash(text, 0..<length)
            #expect(hash(moved, 3..<3 + length) == expected)
            #expect(hash(text, 0..<length, seed: 43) != expected)
            seen.insert(expected)
            for place in 0..<length {
                var other = text
                other[place] ^= 1
                seen.insert(hash(other, 0..<length))
            }
        }
        // 41 texts and one change at each of their bytes: all different.
        #expect(seen.count == 41 + (0...40).reduce(0, +))
    }
}
