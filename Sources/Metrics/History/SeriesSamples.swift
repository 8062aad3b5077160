/// The samples of one series, compressed, oldest first.
///
/// They lie in chunks. A chunk in which nothing changed at all, neither value nor step, is a run: a time, a value and a
/// count, however long it lasts. Any other is packed as `SamplePrediction` says, and closed after 120 samples or 256
/// bytes, whichever is later. The words of all packed chunks lie one after the other in one array, so that a chunk costs
/// no allocation of its own.
struct SeriesSamples {
    enum Outcome {
        case stored
        /// The newest sample again.
        case repeated
        /// Another value for the newest sample's time; dropped.
        case duplicate
        /// Older than the newest sample; dropped.
        case outOfOrder
    }

    /// A part of the samples that is no longer written.
    struct Chunk: Equatable {
        var first: Int64
        var last: Int64
        /// The first value's bits.
        let bits: UInt64
        var count: Int32
        /// How many words it takes: 0 for a run.
        let wordCount: Int32

        var step: Int64 { count > 1 ? (last - first) / Int64(count - 1) : 0 }
    }

    private struct OpenChunk {
        var first: Int64 = 0
        var bits: UInt64 = 0
        /// 0 when there is no open chunk.
        var count: Int32 = 0
        var isRun = true
        /// Where its words begin.
        var start: Int32 = 0
        var last = SamplePrediction(time: 0, bits: 0)
        var writer = SamplePrediction.Writer()

        var exists: Bool { count > 0 }
    }

    private(set) var chunks: [Chunk] = []
    private(set) var words: [UInt64] = []
    private var open = OpenChunk()
    private(set) var count = 0

    private static let chunkSamples: Int32 = 120
    private static let chunkWords = 32
    private static let chunkSamplesLimit: Int32 = 1024

    init() {}

    /// Chunks that were read from a file. They must be in order and the words must belong to them.
    init(chunks: [Chunk], words: [UInt64]) {
        self.chunks = chunks
        self.words = words
        count = chunks.reduce(0) { $0 + Int($1.count) }
    }

    /// Bytes on the heap. The struct itself is the series' affair.
    var heapBytes: Int {
        (chunks.capacity > 0 ? 32 + chunks.capacity * 40 : 0) + (words.capacity > 0 ? 32 + words.capacity * 8 : 0)
    }

    var firstTime: Int64? { chunks.first?.first ?? (open.exists ? open.first : nil) }
    var lastTime: Int64? { open.exists ? open.last.time : chunks.last?.last }

    /// The chunks as they would be if the open one were closed now.
    var allChunks: [Chunk] { open.exists ? chunks + [closedOpen] : chunks }
}

// MARK: Appending

extension SeriesSamples {
    mutating func append(_ time: Int64, _ bits: UInt64) -> Outcome {
        if open.exists {
            guard time > open.last.time else {
                if time < open.last.time { return .outOfOrder }
                return bits == open.last.bits ? .repeated : .duplicate
            }
        } else if let last = chunks.last, time <= last.last {
            // Right after a restart the newest value is packed away; a repeat of it is not worth looking for.
            return time == last.last ? .duplicate : .outOfOrder
        }
        count += 1
        if prolongRun(time, bits) { return .stored }
        if isDone { close() }
        if open.exists {
            pack(time, bits)
        } else {
            open = OpenChunk(
                first: time, bits: bits, count: 1, start: Int32(words.count),
                last: SamplePrediction(time: time, bits: bits))
        }
        return .stored
    }

    /// Makes the open run one sample longer, if it stays one.
    private mutating func prolongRun(_ time: Int64, _ bits: UInt64) -> Bool {
        guard open.isRun, open.exists, bits == open.bits, open.count < Int32.max,
            open.count == 1 || time &- open.last.time == open.last.step
        else { return false }
        open.last.prolong(to: time)
        open.count += 1
        return true
    }

    private mutating func pack(_ time: Int64, _ bits: UInt64) {
        if open.isRun { packRun() }
        open.last.append(time, bits, &open.writer, to: &words)
        open.count += 1
    }

    /// Turns a run that turned out short into the beginning of a packed chunk.
    private mutating func packRun() {
        let second = open.last.time - open.last.step * Int64(open.count - 2)
        open.isRun = false
        open.last = SamplePrediction(time: open.first, bits: open.bits)
        guard open.count > 1 else { return }
        open.last.append(second, open.bits, &open.writer, to: &words)
        open.last.append(repeats: Int(open.count) - 2, &open.writer, to: &words)
    }

    /// Whether a sample that does not prolong the open chunk's run should begin a chunk of its own.
    private var isDone: Bool {
        guard open.count >= Self.chunkSamples else { return false }
        return open.isRun || open.count >= Self.chunkSamplesLimit
            || words.count - Int(open.start) >= Self.chunkWords
    }

    private mutating func close() {
        chunks.appendSparingly(closedOpen)
        open = OpenChunk()
    }

    /// The open chunk as it would be if it were closed now.
    private var closedOpen: Chunk {
        Chunk(
            first: open.first, last: open.last.time, bits: open.bits, count: open.count,
            wordCount: open.isRun ? 0 : Int32(words.count) - open.start)
    }
}

// MARK: Reading

extension SeriesSamples {
    /// The samples in (`after`, `through`], oldest first, markers of staleness among them.
    func forEach(after: Int64, through: Int64, _ body: (Int64, Double) -> Void) {
        var start = 0
        for chunk in chunks {
            if chunk.first > through { return }
            if chunk.last > after { read(chunk, at: start, after: after, through: through, body) }
            start += Int(chunk.wordCount)
        }
        guard open.exists, open.first <= through, open.last.time > after else { return }
        read(closedOpen, at: start, after: after, through: through, body)
    }

    /// The newest sample in (`after`, `through`].
    func newest(after: Int64, through: Int64) -> (time: Int64, value: Double)? {
        if open.exists, open.last.time <= through {
            guard open.last.time > after else { return nil }
            return (open.last.time, Double(bitPattern: open.last.bits))
        }
        guard let (chunk, start) = lastChunk(beginningBy: through), chunk.last > after else { return nil }
        var newest: (time: Int64, value: Double)?
        read(chunk, at: start, after: after, through: through) { newest = ($0, $1) }
        return newest
    }

    private func lastChunk(beginningBy through: Int64) -> (Chunk, start: Int)? {
        if open.exists, open.first <= through { return (closedOpen, Int(open.start)) }
        var start = open.exists ? Int(open.start) : words.count
        for chunk in chunks.reversed() {
            start -= Int(chunk.wordCount)
            if chunk.first <= through { return (chunk, start) }
        }
        return nil
    }

    private func read(
        _ chunk: Chunk, at start: Int, after: Int64, through: Int64, _ body: (Int64, Double) -> Void
    ) {
        if chunk.wordCount == 0 {
            readRun(chunk, after: after, through: through, body)
        } else {
            readPacked(chunk, at: start, after: after, through: through, body)
        }
    }

    private func readRun(_ run: Chunk, after: Int64, through: Int64, _ body: (Int64, Double) -> Void) {
        let value = Double(bitPattern: run.bits)
        let step = run.step
        var time = run.first
        if time <= after, step > 0 { time += ((after - time) / step + 1) * step }
        let end = min(run.last, through)
        while time <= end, time > after {
            body(time, value)
            guard step > 0 else { return }
            time += step
        }
    }

    private func readPacked(
        _ chunk: Chunk, at start: Int, after: Int64, through: Int64, _ body: (Int64, Double) -> Void
    ) {
        let words = words.span
        var reader = BitReader(start..<start + Int(chunk.wordCount))
        var sample = SamplePrediction(time: chunk.first, bits: chunk.bits)
        var left = Int(chunk.count)
        while true {
            if sample.time > through { return }
            if sample.time > after { body(sample.time, Double(bitPattern: sample.bits)) }
            left -= 1
            guard left > 0 else { return }
            if sample.time <= after { left -= sample.skipRepeats(atMost: left - 1, by: after, &reader, words) }
            sample.advance(&reader, words)
        }
    }
}

// MARK: Moving

extension SeriesSamples {
    /// Gives every sample another time, as many milliseconds later.
    mutating func move(by milliseconds: Int64) {
        for index in chunks.indices {
            chunks[index].first &+= milliseconds
            chunks[index].last &+= milliseconds
        }
        guard open.exists else { return }
        open.first &+= milliseconds
        open.last.move(by: milliseconds)
    }
}

// MARK: Forgetting

extension SeriesSamples {
    /// Forgets the chunks that end before `cutoff`, and of a run what lies before it. The newest sample always stays.
    mutating func forget(before cutoff: Int64) {
        var dropped = 0
        while dropped < chunks.count - (open.exists ? 0 : 1), chunks[dropped].last < cutoff { dropped += 1 }
        remove(chunks: dropped)
        shortenRun(before: cutoff)
    }

    /// Forgets the closed chunks that end at `time` or before, for lack of memory.
    mutating func giveUpChunks(endingBy time: Int64) {
        var dropped = 0
        while dropped < chunks.count - (open.exists ? 0 : 1), chunks[dropped].last <= time { dropped += 1 }
        remove(chunks: dropped, compact: true)
    }

    /// - Parameter compact: gives back all spare memory, and not only when most is spare.
    private mutating func remove(chunks dropped: Int, compact: Bool = false) {
        guard dropped > 0 else { return }
        let wordCount = chunks[..<dropped].reduce(0) { $0 + Int($1.wordCount) }
        count -= chunks[..<dropped].reduce(0) { $0 + Int($1.count) }
        chunks.removeFirst(dropped)
        chunks.giveBackSpareCapacity(all: compact)
        guard wordCount > 0 else { return }
        words.removeFirst(wordCount)
        words.giveBackSpareCapacity(all: compact)
        if open.exists { open.start -= Int32(wordCount) }
    }

    private mutating func shortenRun(before cutoff: Int64) {
        if let first = chunks.first {
            guard first.wordCount == 0, first.count > 1 else { return }
            let gone = first.stepsBefore(cutoff)
            chunks[0].first += first.step * Int64(gone)
            chunks[0].count -= gone
            count -= Int(gone)
        } else if open.isRun, open.count > 1 {
            let gone = closedOpen.stepsBefore(cutoff)
            open.first += open.last.step * Int64(gone)
            open.count -= gone
            count -= Int(gone)
        }
    }
}

extension SeriesSamples.Chunk {
    /// How many samples of a run lie before `cutoff`, its last one not counted.
    fileprivate func stepsBefore(_ cutoff: Int64) -> Int32 {
        guard first < cutoff, step > 0 else { return 0 }
        return min(count - 1, Int32(clamping: (cutoff - first + step - 1) / step))
    }
}

extension Array {
    /// Moves to a smaller piece of memory when more than half is spare, or all that is not needed if asked.
    fileprivate mutating func giveBackSpareCapacity(all: Bool) {
        guard all ? capacity > count : capacity > 8 && capacity > count * 2 else { return }
        self = isEmpty ? [] : map { $0 }
    }
}
