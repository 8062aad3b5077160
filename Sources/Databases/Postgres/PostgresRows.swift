import CPostgres
import Glibc

/// What a statement answered, in libpq's own memory. Columns and rows count from zero; a null is nil.
///
/// Values are read where they lie: only `text` and `bytes` copy.
public final class PostgresRows {
    private let result: OpaquePointer
    public let count: Int
    public let columnCount: Int

    /// Takes the result over.
    init(_ result: OpaquePointer) {
        self.result = result
        count = Int(PQntuples(result))
        columnCount = Int(PQnfields(result))
    }

    deinit { PQclear(result) }

    /// Nil when there is no column of that name.
    public func column(_ name: String) -> Int? {
        for column in 0..<columnCount where columnName(column) == name { return column }
        return nil
    }

    public func columnName(_ column: Int) -> String {
        PQfname(result, Int32(column)).map { String(cString: $0) } ?? ""
    }

    public func isNull(_ row: Int, _ column: Int) -> Bool { PQgetisnull(result, Int32(row), Int32(column)) != 0 }

    /// A number, or 1 and 0 for `t` and `f`. Nil for null and for what is not a number.
    public func number(_ row: Int, _ column: Int) -> Double? {
        guard let cell = cell(row, column) else { return nil }
        return PostgresRows.number(cell)
    }

    /// A time in ISO form, which our sessions ask for, as whole seconds since 1970; without a zone it is UTC. Nil for
    /// columns of other types.
    public func unixTime(_ row: Int, _ column: Int) -> Double? {
        // The numbers of date, timestamp and timestamptz in pg_type.
        guard [1082, 1114, 1184].contains(PQftype(result, Int32(column))), let text = text(row, column) else {
            return nil
        }
        if text.hasSuffix("infinity") { return text.hasPrefix("-") ? -.infinity : .infinity }
        guard let match = text.wholeMatch(of: PostgresRows.isoTime) else { return nil }
        var time = tm()
        time.tm_year = Int32(match.1).map { $0 - 1900 } ?? 0
        time.tm_mon = (Int32(match.2) ?? 0) - 1
        time.tm_mday = Int32(match.3) ?? 0
        if let (_, hours, minutes, seconds) = match.4.flatMap({ $0.wholeMatch(of: PostgresRows.clock)?.output }) {
            time.tm_hour = Int32(hours) ?? 0
            time.tm_min = Int32(minutes) ?? 0
            time.tm_sec = Int32(seconds) ?? 0
        }
        var offset = 0
        for (part, unit) in zip((match.6 ?? "").split(separator: ":"), [3600, 60, 1]) {
            offset += Int(UInt16(part) ?? 0) * unit
        }
        return Double(timegm(&time) - (match.5 == "-" ? -offset : offset))
    }

    /// What is not UTF-8 becomes U+FFFD.
    public func text(_ row: Int, _ column: Int) -> String? {
        cell(row, column).map { String(decoding: $0, as: UTF8.self) }
    }

    public func bytes(_ row: Int, _ column: Int) -> [UInt8]? {
        cell(row, column).map(Array.init)
    }

    /// Appends these cells in a form that differs whenever one of them does.
    public func appendKey(_ row: Int, _ columns: [Int], to key: inout [UInt8]) {
        for column in columns {
            guard let cell = cell(row, column) else {
                PostgresRows.append(length: UInt32.max, to: &key)
                continue
            }
            PostgresRows.append(length: UInt32(cell.count), to: &key)
            key.append(contentsOf: cell)
        }
    }

    /// Whether `key` holds from `start` to `end` what `appendKey` writes for these cells.
    public func matches(_ row: Int, _ columns: [Int], key: [UInt8], from start: Int, to end: Int) -> Bool {
        key.withUnsafeBytes { key in
            var place = start
            for column in columns {
                guard place + 4 <= end else { return false }
                let length = key.loadUnaligned(fromByteOffset: place, as: UInt32.self)
                place += 4
                guard let cell = cell(row, column) else {
                    if length != .max { return false }
                    continue
                }
                guard length == cell.count, place + cell.count <= end else { return false }
                if let known = key.baseAddress, let new = cell.baseAddress, memcmp(known + place, new, cell.count) != 0
                {
                    return false
                }
                place += cell.count
            }
            return place == end
        }
    }

    /// Date, time of day, sign and digits of the zone.
    private nonisolated(unsafe) static let isoTime =
        #/([0-9]+)-([0-9]+)-([0-9]+)(?: ([0-9:]+)(?:\.[0-9]+)?)?(?:([+-])([0-9:]+))?/#
    private nonisolated(unsafe) static let clock = #/([0-9]+):([0-9]+):([0-9]+)/#

    private static func append(length: UInt32, to key: inout [UInt8]) {
        withUnsafeBytes(of: length) { key.append(contentsOf: $0) }
    }

    private func cell(_ row: Int, _ column: Int) -> UnsafeBufferPointer<UInt8>? {
        precondition(row < count && column < columnCount)
        let row = Int32(truncatingIfNeeded: row)
        let column = Int32(truncatingIfNeeded: column)
        guard let value = PQgetvalue(result, row, column) else { return nil }
        let length = Int(PQgetlength(result, row, column))
        // An empty value is either an empty text or a null, and only then is it worth asking which.
        if length == 0, PQgetisnull(result, row, column) != 0 { return nil }
        return UnsafeBufferPointer(start: UnsafeRawPointer(value).assumingMemoryBound(to: UInt8.self), count: length)
    }

    /// Most cells are whole numbers of a few digits, and `strtod` costs ten times as much for those.
    private static func number(_ cell: UnsafeBufferPointer<UInt8>) -> Double? {
        guard let start = cell.baseAddress, !cell.isEmpty else { return nil }
        if cell.count <= 15 {
            var value = 0
            var isWhole = true
            for byte in cell {
                guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else {
                    isWhole = false
                    break
                }
                value = value &* 10 &+ Int(byte &- UInt8(ascii: "0"))
            }
            if isWhole { return Double(value) }
        }
        if cell.count == 1 {
            if start.pointee == UInt8(ascii: "t") { return 1 }
            if start.pointee == UInt8(ascii: "f") { return 0 }
        }
        // libpq ends every value with a zero byte.
        var end: UnsafeMutablePointer<CChar>?
        let text = UnsafeRawPointer(start).assumingMemoryBound(to: CChar.self)
        let value = strtod(text, &end)
        guard let end, UnsafePointer(end) == text + cell.count else { return nil }
        return value
    }
}
