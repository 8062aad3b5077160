import RedisTesting
import Runtime
import TestTools
import Testing

@testable import RedisProxy

private func write(_ sequence: UInt64, _ key: String, _ value: String = "v") -> PendingWrite {
    PendingWrite(sequence: sequence, plan: PlannedWrite(key, value), acceptedWallMs: 1_700_000_000_000)
}

private struct Opened: ~Copyable {
    var log: WriteLog
    let replay: WriteLog.Replay

    init(_ folder: TemporaryFolder, segmentBytes: Int = 1 << 20) throws {
        var replay = WriteLog.Replay()
        log = try WriteLog(folder.path + "/log", segmentBytes: segmentBytes, replay: &replay)
        self.replay = replay
    }
}

private func segments(_ folder: TemporaryFolder) throws -> [String] {
    try Files.list(folder.path + "/log").map { folder.path + "/log/" + $0 }
}

private func replayed(_ folder: TemporaryFolder) throws -> WriteLog.Replay { try Opened(folder).replay }

@Suite struct WriteLogTests {
    @Test func entriesAreReadAsTheyWereWritten() throws {
        let plans = [
            PlannedWrite(PendingKey(15, [0, 255, 13, 10]), [], .moment(ms: .max)),
            PlannedWrite(PendingKey(0, []), Array(repeating: 7, count: 70_000), .lifetime(endsMs: 1)),
        ]
        let records: [WriteRecord] = [
            .writes(
                plans.enumerated().map {
                    PendingWrite(sequence: UInt64($0.offset), plan: $0.element, acceptedWallMs: -1)
                }),
            .flushed(SequenceRanges([1...1, 5...UInt64.max])), .withdrawn(SequenceRanges([3...4])), .writes([]),
        ]
        var bytes: [UInt8] = []
        for record in records { WriteFrame.append(record, marker: 77, to: &bytes) }
        let contents = WriteFrame.contents(of: bytes.span, marker: 77)
        #expect(contents == WriteFrame.Contents(records: records, endBytes: bytes.count, damages: 0))
        #expect(WriteFrame.contents(of: bytes.span, marker: 78).records.isEmpty)
    }

    @Test func theNewestWriteOfEachKeyIsReplayedUnlessRedisHasIt() throws {
        let folder = try TemporaryFolder()
        var opened = try Opened(folder)
        try opened.log.append(LogBatch(writes: [[write(1, "a"), write(2, "b")], [write(3, "c")], [write(4, "d")]]))
        try opened.log.append(LogBatch(writes: [[write(5, "b", "new")], [write(6, "d", "refused")]]))
        try opened.log.append(LogBatch(flushed: SequenceRanges([1...1]), withdrawn: SequenceRanges([6...6])))
        let replay = try replayed(folder)
        #expect(replay.writes == [write(3, "c"), write(4, "d"), write(5, "b", "new")])
        #expect(replay.lastSequence == 6 && replay.damages == 0)
    }

    @Test func aTailTornAtAnyByteCostsOnlyWhatWasNotAcknowledged() throws {
        let folder = try TemporaryFolder()
        var opened = try Opened(folder)
        try opened.log.append(LogBatch(writes: [[write(1, "a", "first")]]))
        let acknowledged = opened.log.sizeBytes
        try opened.log.append(LogBatch(writes: [[write(2, "a", "second"), write(3, "b", "second")]]))
        let path = try #require(try segments(folder).first)
        let whole = try Files.read(path)
        for length in acknowledged..<whole.count {
            try Files.write(Array(whole[..<length]), to: path)
            #expect(try replayed(folder).writes == [write(1, "a", "first")], "\(length)")
            #expect(try Files.read(path).count == acknowledged, "cut off")
        }
        for tail in [[UInt8](repeating: 0, count: 4096), Array("\r\n*3\r\n".utf8), Array(whole[..<30])] {
            try Files.write(Array(whole[..<acknowledged]) + tail, to: path)
            #expect(try replayed(folder).writes == [write(1, "a", "first")])
        }
    }

    @Test func anyPrefixOfTheLogIsReadAsWhatWasAcknowledgedByThen() throws {
        let folder = try TemporaryFolder()
        var opened = try Opened(folder)
        var ends: [(bytes: Int, writes: [PendingWrite])] = [(0, [])]
        var all: [PendingWrite] = []
        for sequence in 1...6 as ClosedRange<UInt64> {
            all.append(write(sequence, "k\(sequence)"))
            try opened.log.append(LogBatch(writes: [[all[all.count - 1]]]))
            ends.append((opened.log.sizeBytes, all))
        }
        let path = try #require(try segments(folder).first)
        let whole = try Files.read(path)
        for length in 0...whole.count {
            try Files.write(Array(whole[..<length]), to: path)
            let expected = ends.last { $0.bytes <= length }?.writes
            #expect(try replayed(folder).writes == expected, "\(length)")
        }
    }

    @Test func aFlippedByteCostsItsOwnEntryAndNoOther() throws {
        let folder = try TemporaryFolder()
        var opened = try Opened(folder)
        var starts = [0]
        for sequence in 1...5 as ClosedRange<UInt64> {
            try opened.log.append(LogBatch(writes: [[write(sequence, "k\(sequence)")]]))
            starts.append(opened.log.sizeBytes)
        }
        let path = try #require(try segments(folder).first)
        let whole = try Files.read(path)
        for index in whole.indices {
            var damaged = whole
            damaged[index] ^= 0x41
            try Files.write(damaged, to: path)
            let hit = try #require(starts.lastIndex { $0 <= index })
            let replay = try replayed(folder)
            #expect(replay.writes.map(\.sequence) == (1...5).filter { $0 != hit + 1 }.map { UInt64($0) }, "\(index)")
            #expect(replay.damages == (hit == 4 ? 0 : 1), "the end of the log cannot be told from a torn tail")
        }
    }

    @Test func aValueThatLooksLikeAnEntryIsNotTakenForOne() throws {
        let folder = try TemporaryFolder()
        var forged: [UInt8] = []
        WriteFrame.append(.writes([write(99, "stolen")]), marker: 0, to: &forged)
        var opened = try Opened(folder)
        let plan = PlannedWrite(PendingKey("a"), forged + forged)
        try opened.log.append(LogBatch(writes: [[PendingWrite(sequence: 1, plan: plan, acceptedWallMs: 0)]]))
        let path = try #require(try segments(folder).first)
        let whole = try Files.read(path)
        for length in whole.indices {
            try Files.write(Array(whole[..<length]), to: path)
            #expect(try replayed(folder).writes.isEmpty)
        }
    }

    @Test func segmentsFollowOneAnotherAndGoWhenNobodyNeedsThem() throws {
        let folder = try TemporaryFolder()
        var opened = try Opened(folder, segmentBytes: 2000)
        for sequence in 1...2000 as ClosedRange<UInt64> {
            try opened.log.append(LogBatch(writes: [[write(sequence, "k\(sequence)")]], flushed: marks(sequence)))
            try opened.log.trim(below: sequence > 10 ? sequence - 10 : 1)
            #expect(opened.log.sizeBytes < 6000)
        }
        #expect(try segments(folder).count == opened.log.segmentCount)
        #expect(try replayed(folder).writes.map(\.sequence) == Array(1991...2000))
    }

    /// Redis is ten writes behind.
    private func marks(_ sequence: UInt64) -> SequenceRanges {
        sequence > 10 ? SequenceRanges([sequence - 10...sequence - 10]) : SequenceRanges()
    }

    @Test func whatCountsIsCarriedOverSoThatTheRestCanGo() throws {
        let folder = try TemporaryFolder()
        var opened = try Opened(folder, segmentBytes: 500)
        try opened.log.append(LogBatch(writes: [[write(1, "old")]]))
        for sequence in 2...200 as ClosedRange<UInt64> {
            try opened.log.append(LogBatch(writes: [[write(sequence, "hot", "\(sequence)")]]))
        }
        try opened.log.trim(below: 1)
        #expect(opened.log.segmentCount > 10)
        let carried = [write(1, "old"), write(200, "hot", "200")]
        try opened.log.append(LogBatch(writes: [[write(201, "hot", "201")]], carried: carried))
        try opened.log.trim(below: 1)
        #expect(opened.log.segmentCount == 1)
        #expect(try replayed(folder).writes == [write(1, "old"), write(201, "hot", "201")])
    }

    @Test func anEmptiedLogBeginsAnew() throws {
        let folder = try TemporaryFolder()
        var opened = try Opened(folder)
        try opened.log.append(LogBatch(writes: [[write(1, "a")]]))
        try opened.log.empty()
        #expect(try segments(folder).isEmpty)
        try opened.log.append(LogBatch(writes: [[write(2, "b")]]))
        #expect(try replayed(folder).writes == [write(2, "b")])
    }

    @Test func rangesOfSequencesAreMergedAndFound() {
        var random = Seeded(5)
        for _ in 0..<200 {
            var (ranges, plain) = (SequenceRanges(), Set<UInt64>())
            for _ in 0..<Int.random(in: 1...30, using: &random) {
                let start = UInt64.random(in: 1...60, using: &random)
                let range = start...start + UInt64.random(in: 0...5, using: &random)
                ranges.insert(range)
                plain.formUnion(range)
            }
            for sequence in 0...70 as ClosedRange<UInt64> {
                #expect(ranges.contains(sequence) == plain.contains(sequence))
            }
            for (left, right) in zip(ranges.ranges, ranges.ranges.dropFirst()) {
                #expect(left.upperBound + 1 < right.lowerBound)
            }
        }
    }
}
