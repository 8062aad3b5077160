import Testing

@testable import Runtime

@Suite struct TrimRhythmTests {
    @Test func memoryIsGivenBackThatStaysFree() {
        var rhythm = TrimRhythm()
        rhythm.looked(freeBytes: 100 << 20)
        #expect(!rhythm.isDue)
        rhythm.looked(freeBytes: 1 << 20)
        rhythm.looked(freeBytes: 100 << 20)
        #expect(!rhythm.isDue, "it was used in between")
        rhythm.looked(freeBytes: 100 << 20)
        #expect(rhythm.isDue)
        rhythm.trimmed(returnedBytes: 90 << 20)
        #expect(!rhythm.isDue && rhythm.pause == .seconds(30))
    }

    @Test func whereNothingComesOfItItIsDoneSeldom() {
        var rhythm = TrimRhythm()
        let pauses = (0..<9).map { _ in
            rhythm.trimmed(returnedBytes: 1 << 20)
            return rhythm.pause
        }
        #expect(pauses == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600].map { .seconds($0) })
        rhythm.trimmed(returnedBytes: 8 << 20)
        #expect(rhythm.pause == .seconds(30))
    }

    @Test func theAllocatorTellsWhatIsFree() {
        var pieces: [[UInt8]] = (0..<2000).map { _ in [UInt8](repeating: 1, count: 20_000) }
        let before = Memory.freeBytes
        pieces = pieces.enumerated().filter { $0.offset % 2 == 0 }.map(\.element)
        #expect(Memory.freeBytes > before + (5 << 20), "\(pieces.count) are left")
    }
}
