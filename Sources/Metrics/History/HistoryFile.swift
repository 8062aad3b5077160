/// Why the bytes of a saved history cannot be used.
public enum HistoryFileError: Error, Equatable, CustomStringConvertible {
    /// Written by another version of Outrigger, or by something else.
    case foreign
    /// Cut off or changed.
    case damaged(offset: Int)

    public var description: String {
        switch self {
        case .foreign: "not a history that this version writes"
        case .damaged(let offset): "damaged at byte \(offset)"
        }
    }
}

/// A history as bytes, to be kept in a file that guards them with a checksum.
///
/// A title with the version; then for every series a kind, its labels, its chunks and their words; then a 0 and the number
/// of series. Numbers are little-endian, 32 bits for lengths and counts and 64 for the rest; a text is its length and its
/// UTF-8. A gap stays a gap: nothing is said about the time between saving and loading.
enum HistoryFile {
    private static let title = [UInt8]("outrigger history 1\n".utf8)

    private enum Kind: UInt32 {
        case end = 0
        case scraped = 1
        case recorded = 2
    }

    // MARK: Writing

    /// Takes one series at a time out of its lock, so appending goes on meanwhile.
    static func encode(_ series: [HistorySeries]) -> [UInt8] {
        var bytes = title
        for one in series { append(one, to: &bytes) }
        bytes.append(word32: Kind.end.rawValue)
        bytes.append(word32: UInt32(series.count))
        return bytes
    }

    private static func append(_ series: HistorySeries, to bytes: inout [UInt8]) {
        let samples = series.state.withLock { $0.samples }
        let isRecorded = !series.isScraped && !series.isLeft && series.name != "up"
        bytes.append(word32: (isRecorded ? Kind.recorded : .scraped).rawValue)
        let labels = series.pairs
        bytes.append(word32: UInt32(labels.count))
        for label in labels {
            bytes.append(text: label.name)
            bytes.append(text: label.value)
        }
        let chunks = samples.allChunks
        bytes.append(word32: UInt32(chunks.count))
        for chunk in chunks {
            bytes.append(word64: UInt64(bitPattern: chunk.first))
            bytes.append(word64: UInt64(bitPattern: chunk.last))
            bytes.append(word64: chunk.bits)
            bytes.append(word32: UInt32(chunk.count))
            bytes.append(word32: UInt32(chunk.wordCount))
        }
        for word in samples.words { bytes.append(word64: word) }
    }

    // MARK: Reading

    /// - Parameter now: what was measured after it belongs to a clock that was set back, and is left out.
    static func decode(_ bytes: [UInt8], now: Int64) throws(HistoryFileError) -> [HistorySeries] {
        guard bytes.starts(with: title) else { throw .foreign }
        var reader = ByteReader(bytes, from: title.count)
        var series: [HistorySeries] = []
        while true {
            guard let kind = Kind(rawValue: try reader.word32()) else { throw reader.damaged }
            if kind == .end { break }
            let labels = try readLabels(&reader)
            let samples = try readSamples(&reader, now: now)
            guard samples.count > 0 else { continue }
            series.append(HistorySeries(labels, kind == .recorded ? .recorded : .left, samples))
        }
        _ = try reader.word32()
        guard reader.isAtEnd else { throw reader.damaged }
        return series
    }

    private static func readLabels(_ reader: inout ByteReader) throws(HistoryFileError) -> Labels {
        var pairs: [Label] = []
        for _ in 0..<(try reader.count(ofAtLeast: 8)) {
            pairs.append(Label(try reader.text(), try reader.text()))
        }
        return Labels(pairs)
    }

    private static func readSamples(_ reader: inout ByteReader, now: Int64) throws(HistoryFileError) -> SeriesSamples {
        var chunks: [SeriesSamples.Chunk] = []
        var wordCount = 0
        for _ in 0..<(try reader.count(ofAtLeast: 32)) {
            let chunk = SeriesSamples.Chunk(
                first: Int64(bitPattern: try reader.word64()), last: Int64(bitPattern: try reader.word64()),
                bits: try reader.word64(), count: Int32(bitPattern: try reader.word32()),
                wordCount: Int32(bitPattern: try reader.word32()))
            guard chunk.isSound, chunk.first > chunks.last?.last ?? .min else { throw reader.damaged }
            chunks.append(chunk)
            wordCount += Int(chunk.wordCount)
        }
        var words = try reader.words(wordCount)
        while let last = chunks.last, last.last > now {
            words.removeLast(Int(last.wordCount))
            chunks.removeLast()
        }
        return SeriesSamples(chunks: chunks, words: words)
    }
}

extension SeriesSamples.Chunk {
    /// Whether its numbers can belong together at all.
    fileprivate var isSound: Bool {
        guard count > 0, wordCount >= 0, first > -(1 << 53), last < 1 << 53, first <= last else { return false }
        if count == 1 { return first == last }
        let steps = Int64(count - 1)
        // Every sample but the first takes a bit, and in a run all steps are alike.
        return wordCount > 0 ? steps <= Int64(wordCount) * 64 : last > first && (last - first) % steps == 0
    }
}

/// Reads numbers and texts and never beyond the end.
private struct ByteReader {
    private let bytes: [UInt8]
    private var next: Int

    init(_ bytes: [UInt8], from start: Int) {
        self.bytes = bytes
        next = start
    }

    var isAtEnd: Bool { next == bytes.count }
    var damaged: HistoryFileError { .damaged(offset: next) }

    mutating func word32() throws(HistoryFileError) -> UInt32 { UInt32(truncatingIfNeeded: try number(4)) }
    mutating func word64() throws(HistoryFileError) -> UInt64 { try number(8) }

    /// How many things follow, which take at least `size` bytes each.
    mutating func count(ofAtLeast size: Int) throws(HistoryFileError) -> Int {
        let count = Int(try word32())
        guard count <= (bytes.count - next) / size else { throw damaged }
        return count
    }

    mutating func text() throws(HistoryFileError) -> String {
        let length = try count(ofAtLeast: 1)
        defer { next += length }
        return String(decoding: bytes[next..<next + length], as: UTF8.self)
    }

    mutating func words(_ count: Int) throws(HistoryFileError) -> [UInt64] {
        guard count <= (bytes.count - next) / 8 else { throw damaged }
        var words: [UInt64] = []
        words.reserveCapacity(count)
        for _ in 0..<count { words.append(try word64()) }
        return words
    }

    private mutating func number(_ size: Int) throws(HistoryFileError) -> UInt64 {
        guard size <= bytes.count - next else { throw damaged }
        var value: UInt64 = 0
        for place in 0..<size { value |= UInt64(bytes[next + place]) << UInt64(8 * place) }
        next += size
        return value
    }
}

extension Array where Element == UInt8 {
    fileprivate mutating func append(word32 value: UInt32) {
        for place in 0..<4 as Range<UInt32> { append(UInt8(truncatingIfNeeded: value >> (8 * place))) }
    }

    fileprivate mutating func append(word64 value: UInt64) {
        for place in 0..<8 as Range<UInt64> { append(UInt8(truncatingIfNeeded: value >> (8 * place))) }
    }

    fileprivate mutating func append(text: String) {
        append(word32: UInt32(text.utf8.count))
        append(contentsOf: text.utf8)
    }
}

extension History {
    /// All series and samples, as `restore` reads them. Appending goes on meanwhile.
    public func encode() -> [UInt8] {
        HistoryFile.encode(state.withLock { $0.names.values.flatMap(\.series) })
    }

    /// Adds what `encode` wrote. Series that the next snapshot does not bring are then marked as ended; those that rules
    /// recorded are left to the rules.
    ///
    /// Nothing is too old yet: how long rules want it kept is known only when they are loaded. The next samples sort that
    /// out.
    ///
    /// - Parameter now: samples after it are left out.
    /// - Returns: how many series there were.
    @discardableResult
    public func restore(_ bytes: [UInt8], now: Int64) throws(HistoryFileError) -> Int {
        let series = try HistoryFile.decode(bytes, now: now)
        change(at: now) { $0.restore(series) }
        return series.count
    }
}
