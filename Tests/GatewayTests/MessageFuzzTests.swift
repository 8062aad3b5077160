import TestTools
import Testing

@testable import Gateway

/// Examples with bytes changed, taken out, doubled and put together: nothing ends the process, and how the bytes come makes
/// no difference.
@Suite struct MessageFuzzTests {
    @Test func whateverComesIsReadTheSameHoweverItComes() {
        var random = Seeded(fuzzing: 15)
        let examples = (Corpus.refused + Corpus.accepted).map { Array($0.text.utf8) }
        for _ in 0..<Seeded.rounds(default: 2000) {
            var bytes = random.pick(examples)
            if random.chance(0.3) { bytes += random.pick(examples) }
            for _ in 0..<random.below(4) where !bytes.isEmpty {
                let place = random.below(bytes.count)
                switch random.below(4) {
                case 0: bytes[place] = UInt8(random.below(256))
                case 1: bytes.remove(at: place)
                case 2: bytes.insert(random.pick([0x0D, 0x0A, 0x20, 0x3A, 0x30, 0x3B]), at: place)
                default: bytes.insert(contentsOf: bytes[place...].prefix(random.below(20)), at: place)
                }
            }
            let whole = MessageReaderTests.read([bytes])
            let cut = random.below(bytes.count + 1)
            #expect(MessageReaderTests.read([Array(bytes[..<cut]), Array(bytes[cut...])]) == whole, "\(bytes)")
        }
    }

    @Test func whateverLiesInTheCacheIsReadOrRefused() {
        var random = Seeded(fuzzing: 16)
        let record = CacheRecord.answer(
            StoredAnswer(
                status: 200, atMs: 1, ageSeconds: 2, lifetimeSeconds: 3, staleWhileRevalidate: 4, staleIfError: 5,
                mustRevalidate: true, alwaysRevalidate: false, noTransform: true, etag: Array("\"a\"".utf8),
                lastModified: nil, fields: Array("A: b\r\nC: d\r\n".utf8), body: Array("body".utf8)))
        #expect(CacheRecord(record.bytes) == record)
        for _ in 0..<Seeded.rounds(default: 2000) {
            var bytes = record.bytes
            for _ in 0..<1 + random.below(4) { bytes[random.below(bytes.count)] = UInt8(random.below(256)) }
            _ = CacheRecord(Array(bytes.prefix(random.below(bytes.count + 1))))
        }
    }
}
