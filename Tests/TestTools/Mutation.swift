/// Damages what a server or a client once said, as a fuzzer does: in a few places, most of them numbers and frames.
///
/// A reader that trusts a count, an index or a unit ends the test's process, which is how such a test fails.
extension Seeded {
    private static let numbers = [
        "0", "-0", "1", "-1", "+5", "255", "256", "32768", "65535", "65536", "2147483648", "4294967296",
        "9007199254740993", "9223372036854775807", "-9223372036854775808", "9223372036854775808",
        "18446744073709551615", "99999999999999999999", "1e18", "1e308", "-1e308", "1e400", "inf", "-inf", "nan",
        "0x7fffffff", "1.5", ".", "", " ", "60s", "292277026596",
    ].map { Array($0.utf8) }

    /// A copy with one to four changes, at most twice as long.
    package mutating func mutated(_ bytes: [UInt8]) -> [UInt8] {
        var copy = bytes
        for _ in 0...below(4) where !copy.isEmpty {
            let place = below(copy.count)
            let end = min(copy.count, place + 1 + below(24))
            switch below(8) {
            case 0: copy[place] = UInt8.random(in: 0...255, using: &self)
            case 1: copy[place] ^= 1 << UInt8(below(8))
            case 2: copy.removeSubrange(place..<end)
            case 3: copy.insert(contentsOf: copy[place..<end], at: below(copy.count))
            case 4: copy.removeSubrange(place...)
            case 5 where copy.count < 2 * bytes.count:
                copy.insert(contentsOf: bytes[(place % bytes.count)...], at: place)
            default: replaceNumber(in: &copy, from: place)
            }
        }
        return copy
    }

    /// Another number in the place of the next one.
    private mutating func replaceNumber(in bytes: inout [UInt8], from place: Int) {
        func isDigit(_ byte: UInt8) -> Bool { UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte }
        guard let start = bytes[place...].firstIndex(where: isDigit) else { return }
        let end = bytes[start...].firstIndex { !isDigit($0) } ?? bytes.count
        bytes.replaceSubrange(start..<end, with: pick(Self.numbers))
    }
}
