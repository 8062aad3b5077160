/// Takes a packet apart, line by line and value by value.
///
/// A line is `name:value[:value…]|type[|@rate][|#tag:value,…][|c:…|e:…|T…|card:…]`, where DogStatsD packs values of one
/// type and StatsD itself repeats `value|type[|@rate]` after a colon. A fault costs its value, or its line where the rest
/// cannot be told apart; everything else in the packet is read. The reader keeps only places, so a packet costs no memory.
///
/// Formats: <https://github.com/statsd/statsd/blob/master/docs/metric_types.md>,
/// <https://docs.datadoghq.com/developers/dogstatsd/datagram_shell/>.
struct StatsDReader {
    static let nameLimitBytes = 512
    static let tagsLimitBytes = 4096

    /// The next byte that nobody has looked at.
    private var at = 0
    /// The line that is being read, without line feed, carriage return and spaces at its end.
    private var line = 0..<0
    private var name = 0..<0
    /// What the values still to come share; nil between groups.
    private var group: Group?
    /// Where the line's next group begins; its end when there is none.
    private var nextGroup = 0

    private struct Group {
        var kind: StatsDKind
        var tags: Range<Int>
        var weight: Double
        /// Values separated by colons that were not handed out yet.
        var values: Range<Int>
    }

    /// - Parameter bytes: the same packet at every call.
    /// - Returns: nil at the end of the packet.
    mutating func next(in bytes: Span<UInt8>) -> StatsDItem? {
        while true {
            if let group { return nextValue(group, bytes) }
            if nextGroup < line.upperBound {
                if let fault = beginGroup(at: nextGroup, bytes) { return fault }
                continue
            }
            guard nextLine(bytes) else { return nil }
            guard !line.isEmpty else { continue }
            if let item = beginLine(bytes) { return item }
        }
    }

    // MARK: Lines

    private mutating func nextLine(_ bytes: Span<UInt8>) -> Bool {
        guard at < bytes.count else { return false }
        let start = at
        var end = bytes.firstPlace(of: UInt8(ascii: "\n"), in: start..<bytes.count)
        at = end + 1
        while end > start, bytes[end - 1] == UInt8(ascii: "\r") || bytes[end - 1] == UInt8(ascii: " ") { end -= 1 }
        line = start..<end
        nextGroup = end
        return true
    }

    /// Reads the name and the first group, or all of a line that is no sample.
    private mutating func beginLine(_ bytes: Span<UInt8>) -> StatsDItem? {
        if bytes[line.lowerBound] == UInt8(ascii: "_") {
            if starts("_e{", bytes) { return event(bytes) }
            if starts("_sc|", bytes) { return serviceCheck(bytes) }
        }
        var colon = line.lowerBound
        while colon < line.upperBound, bytes[colon] != UInt8(ascii: ":") {
            guard bytes[colon] != UInt8(ascii: "|") else { return .malformed(.name, line: line) }
            colon += 1
        }
        guard colon > line.lowerBound, colon < line.upperBound else { return .malformed(.name, line: line) }
        guard colon - line.lowerBound <= Self.nameLimitBytes else { return .malformed(.length, line: line) }
        name = line.lowerBound..<colon
        return beginGroup(at: colon + 1, bytes)
    }

    // MARK: Values

    /// Reads what stands behind the values first, because it applies to all of them.
    private mutating func beginGroup(at start: Int, _ bytes: Span<UInt8>) -> StatsDItem? {
        nextGroup = line.upperBound
        let bar = find(UInt8(ascii: "|"), from: start, bytes)
        guard bar < line.upperBound else { return .malformed(.type, line: line) }
        var place = bar + 1
        guard let kind = kind(at: &place, bytes) else { return .malformed(.type, line: line) }
        var group = Group(kind: kind, tags: 0..<0, weight: 1, values: start..<bar)
        do { try readSections(from: place, into: &group, bytes) } catch { return .malformed(error, line: line) }
        self.group = group
        return nil
    }

    private func kind(at place: inout Int, _ bytes: Span<UInt8>) -> StatsDKind? {
        guard place < line.upperBound else { return nil }
        let first = bytes[place]
        place += 1
        if first == UInt8(ascii: "m") {
            guard place < line.upperBound, bytes[place] == UInt8(ascii: "s") else { return nil }
            place += 1
        }
        guard place == line.upperBound || bytes[place] == UInt8(ascii: "|") || bytes[place] == UInt8(ascii: ":") else {
            return nil
        }
        switch first {
        case UInt8(ascii: "c"): return .counter
        case UInt8(ascii: "g"): return .gauge
        case UInt8(ascii: "m"): return .timer
        case UInt8(ascii: "h"): return .histogram
        case UInt8(ascii: "d"): return .distribution
        case UInt8(ascii: "s"): return .set
        default: return nil
        }
    }

    private mutating func readSections(
        from start: Int, into group: inout Group, _ bytes: Span<UInt8>
    ) throws(StatsDFault) {
        var place = start
        while place < line.upperBound {
            guard bytes[place] == UInt8(ascii: "|") else {
                // A colon: another value of the same name, with a type of its own.
                nextGroup = place + 1
                return
            }
            place += 1
            guard place < line.upperBound else { throw .section }
            let mark = bytes[place]
            var end = find(UInt8(ascii: "|"), from: place, bytes)
            switch mark {
            case UInt8(ascii: "@"):
                end = min(end, find(UInt8(ascii: ":"), from: place, bytes))
                guard let rate = DecimalReader.read(bytes, place + 1..<end), rate > 0, rate <= 1, (1 / rate).isFinite
                else { throw .rate }
                group.weight = 1 / rate
            case UInt8(ascii: "#"):
                guard end - place <= Self.tagsLimitBytes else { throw .length }
                group.tags = place + 1..<end
            // Container, external data, timestamp and cardinality, which say nothing about the value.
            case UInt8(ascii: "c"), UInt8(ascii: "e"), UInt8(ascii: "T"): break
            default: throw .section
            }
            place = end
        }
    }

    /// The next value of the group; ends the group behind its last.
    private mutating func nextValue(_ group: Group, _ bytes: Span<UInt8>) -> StatsDItem {
        let start = group.values.lowerBound
        var end = start
        // A member of a set may hold colons.
        if group.kind == .set { end = group.values.upperBound }
        while end < group.values.upperBound, bytes[end] != UInt8(ascii: ":") { end += 1 }
        if end < group.values.upperBound {
            self.group?.values = end + 1..<group.values.upperBound
        } else {
            self.group = nil
        }
        return sample(group, start..<end, bytes)
    }

    private func sample(_ group: Group, _ text: Range<Int>, _ bytes: Span<UInt8>) -> StatsDItem {
        var sample = StatsDSample(
            kind: group.kind, name: name, tags: group.tags, value: 0, member: 0..<0, hasSign: false,
            weight: group.weight)
        guard group.kind != .set else {
            guard !text.isEmpty else { return .malformed(.value, line: line) }
            sample.member = text
            return .sample(sample)
        }
        guard let value = DecimalReader.read(bytes, text) else { return .malformed(.value, line: line) }
        sample.value = value
        sample.hasSign = bytes[text.lowerBound] == UInt8(ascii: "+") || bytes[text.lowerBound] == UInt8(ascii: "-")
        return .sample(sample)
    }

    // MARK: DogStatsD's own lines

    /// `_e{5,4}:title|text|d:…|t:error|…`: lengths in bytes, so that both texts may hold anything.
    private func event(_ bytes: Span<UInt8>) -> StatsDItem {
        var place = line.lowerBound + 3
        guard let title = length(&place, before: UInt8(ascii: ","), bytes),
            let text = length(&place, before: UInt8(ascii: "}"), bytes),
            place < line.upperBound, bytes[place] == UInt8(ascii: ":")
        else { return .malformed(.event, line: line) }
        let bar = place + 1 + title
        let end = bar + 1 + text
        guard title > 0, end <= line.upperBound, bytes[bar] == UInt8(ascii: "|") else {
            return .malformed(.event, line: line)
        }
        guard let kind = section("t:", from: end, bytes) else { return .event(.info) }
        let word = StatsDEventKind.allCases.first { equals($0.rawValue, kind, bytes) }
        return .event(word ?? .info)
    }

    /// `_sc|name|status|d:…|h:…|#tags|m:message`.
    private func serviceCheck(_ bytes: Span<UInt8>) -> StatsDItem {
        let start = line.lowerBound + 4
        let bar = find(UInt8(ascii: "|"), from: start, bytes)
        guard bar > start, bar - start <= Self.nameLimitBytes, bar + 1 < line.upperBound else {
            return .malformed(.event, line: line)
        }
        let digit = bytes[bar + 1]
        let end = bar + 2
        guard digit >= UInt8(ascii: "0"), digit <= UInt8(ascii: "3"),
            end == line.upperBound || bytes[end] == UInt8(ascii: "|")
        else { return .malformed(.event, line: line) }
        let tags = section("#", from: end, bytes) ?? 0..<0
        guard tags.count <= Self.tagsLimitBytes else { return .malformed(.length, line: line) }
        return .serviceCheck(name: start..<bar, status: Int(digit - UInt8(ascii: "0")), tags: tags)
    }

    /// Digits up to `stop`, which is stepped over; lengths beyond a datagram's are refused.
    private func length(_ place: inout Int, before stop: UInt8, _ bytes: Span<UInt8>) -> Int? {
        var value = 0
        let start = place
        while place < line.upperBound, bytes[place] >= UInt8(ascii: "0"), bytes[place] <= UInt8(ascii: "9") {
            value = value * 10 + Int(bytes[place] - UInt8(ascii: "0"))
            guard value <= 65_536 else { return nil }
            place += 1
        }
        guard place > start, place < line.upperBound, bytes[place] == stop else { return nil }
        place += 1
        return value
    }

    /// What follows `mark` in the first section that begins with it.
    private func section(_ mark: StaticString, from start: Int, _ bytes: Span<UInt8>) -> Range<Int>? {
        var bar = start
        while bar < line.upperBound {
            let end = find(UInt8(ascii: "|"), from: bar + 1, bytes)
            if starts(mark, at: bar + 1, bytes) { return bar + 1 + mark.utf8CodeUnitCount..<end }
            bar = end
        }
        return nil
    }

    // MARK: Bytes

    /// The first `byte` of the line from `start`; the line's end when there is none.
    private func find(_ byte: UInt8, from start: Int, _ bytes: Span<UInt8>) -> Int {
        var place = start
        while place < line.upperBound, bytes[place] != byte { place += 1 }
        return min(place, line.upperBound)
    }

    private func starts(_ text: StaticString, _ bytes: Span<UInt8>) -> Bool {
        starts(text, at: line.lowerBound, bytes)
    }

    private func starts(_ text: StaticString, at start: Int, _ bytes: Span<UInt8>) -> Bool {
        let count = text.utf8CodeUnitCount
        guard start + count <= line.upperBound else { return false }
        return equals(text.description, start..<start + count, bytes)
    }

    private func equals(_ text: String, _ range: Range<Int>, _ bytes: Span<UInt8>) -> Bool {
        guard range.count == text.utf8.count else { return false }
        var place = range.lowerBound
        for byte in text.utf8 {
            guard bytes[place] == byte else { return false }
            place += 1
        }
        return true
    }
}
