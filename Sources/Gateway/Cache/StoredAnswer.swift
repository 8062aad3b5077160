import Runtime

/// An answer as it is kept: its fields as lines, its body, and what is known of its age.
struct StoredAnswer: Equatable {
    var status: Int
    /// When it came, in milliseconds since 1970.
    var atMs: Int
    /// How old it was then.
    var ageSeconds: Int
    var lifetimeSeconds: Int
    var staleWhileRevalidate: Int
    var staleIfError: Int
    /// Beyond its lifetime it may not be used without asking.
    var mustRevalidate: Bool
    /// It may never be used without asking.
    var alwaysRevalidate: Bool
    /// Whether it may be made smaller on its way.
    var noTransform: Bool
    var etag: [UInt8]
    /// Seconds since 1970.
    var lastModified: Int?
    /// `Name: value` lines, with `Date`, without `Age` and `Content-Length`.
    var fields: [UInt8]
    var body: [UInt8]
    /// Of the body: nil for as it came.
    var coding: [UInt8] = []

    /// Whole seconds.
    func age(nowMs: Int) -> Int { ageSeconds + max(0, nowMs - atMs) / 1000 }
    /// May be negative.
    func remaining(nowMs: Int) -> Int { lifetimeSeconds - age(nowMs: nowMs) }
    var canBeValidated: Bool { !etag.isEmpty || lastModified != nil }

    /// The value of a field, which is named in lower case.
    func value(_ name: StaticString) -> ArraySlice<UInt8>? {
        for line in FieldLines.split(fields) where fields.span.extracting(line.name).isSameWord(as: name) {
            return fields[line.value]
        }
        return nil
    }
}

/// Lines `Name: value` of our own making.
enum FieldLines {
    static func split(_ lines: [UInt8]) -> [(name: Range<Int>, value: Range<Int>, whole: Range<Int>)] {
        var result: [(name: Range<Int>, value: Range<Int>, whole: Range<Int>)] = []
        let span = lines.span
        var start = 0
        while start < lines.count {
            let end = span.firstPlace(of: 0x0A, in: start..<lines.count)
            let colon = span.firstPlace(of: 0x3A, in: start..<end)
            if colon + 2 <= end - 1 {
                result.append((start..<colon, colon + 2..<end - 1, start..<min(end + 1, lines.count)))
            }
            start = end + 1
        }
        return result
    }
}

/// What lies in the cache under a key, as bytes.
enum CacheRecord: Equatable {
    case answer(StoredAnswer)
    /// Answers differ by these fields of requests, which are named in lower case.
    case varies([[UInt8]])
    /// The last answer was none that could be kept: ask, and do not wait for others who ask.
    case pass

    var bytes: [UInt8] {
        var output: [UInt8] = []
        switch self {
        case .pass: output.append(2)
        case .varies(let names):
            output.append(1)
            for name in names { output.append(block: name) }
        case .answer(let answer):
            output.reserveCapacity(answer.body.count + answer.fields.count + 80)
            output.append(0)
            for number in [
                answer.status, answer.atMs, answer.ageSeconds, answer.lifetimeSeconds, answer.staleWhileRevalidate,
                answer.staleIfError, answer.lastModified ?? .min,
                (answer.mustRevalidate ? 1 : 0) | (answer.alwaysRevalidate ? 2 : 0) | (answer.noTransform ? 4 : 0),
            ] { output.append(number: number) }
            output.append(block: answer.etag)
            output.append(block: answer.coding)
            output.append(block: answer.fields)
            output.append(contentsOf: answer.body)
        }
        return output
    }

    /// - Returns: nil for what is no such record, which cannot be.
    init?(_ bytes: [UInt8]) {
        var place = 1
        func number() -> Int? {
            guard place + 8 <= bytes.count else { return nil }
            defer { place += 8 }
            return Int(truncatingIfNeeded: Int64(bitPattern: bytes.span.word(at: place)))
        }
        func block() -> [UInt8]? {
            guard let count = number(), count >= 0, count <= bytes.count - place else { return nil }
            defer { place += count }
            return Array(bytes[place..<place + count])
        }
        switch bytes.first {
        case 0:
            guard let status = number(), let atMs = number(), let age = number(), let lifetime = number(),
                let whileRevalidate = number(), let ifError = number(), let modified = number(), let flags = number(),
                let etag = block(), let coding = block(), let fields = block()
            else { return nil }
            self = .answer(
                StoredAnswer(
                    status: status, atMs: atMs, ageSeconds: age, lifetimeSeconds: lifetime,
                    staleWhileRevalidate: whileRevalidate, staleIfError: ifError, mustRevalidate: flags & 1 != 0,
                    alwaysRevalidate: flags & 2 != 0, noTransform: flags & 4 != 0, etag: etag,
                    lastModified: modified == .min ? nil : modified, fields: fields, body: Array(bytes[place...]),
                    coding: coding))
        case 1:
            var names: [[UInt8]] = []
            while place < bytes.count, let name = block() { names.append(name) }
            self = .varies(names)
        case 2: self = .pass
        default: return nil
        }
    }
}

extension Array where Element == UInt8 {
    fileprivate mutating func append(number: Int) {
        let bits = UInt64(bitPattern: Int64(number))
        for shift in stride(from: 0, to: 64, by: 8) { append(UInt8(truncatingIfNeeded: bits >> UInt64(shift))) }
    }

    fileprivate mutating func append(block: [UInt8]) {
        append(number: block.count)
        append(contentsOf: block)
    }
}
