import Foundation
import Runtime
import Testing

@Suite struct StateFileTests {
    @Test func whatWasWrittenIsRead() throws {
        let folder = try TemporaryFolder()
        let file = StateFile(folder.path + "/state")
        #expect(try file.read() == nil)
        try file.write([])
        #expect(try file.read() == [])
        try file.write([10, 0, 255])
        #expect(try file.read() == [10, 0, 255])
        #expect(try Files.list(folder.path) == ["state"])
    }

    @Test func aFileCutOrChangedAtAnyByteIsIgnored() throws {
        let folder = try TemporaryFolder()
        let file = StateFile(folder.path + "/state")
        try file.write(Array("some state".utf8))
        let whole = try Files.read(file.path)
        for index in whole.indices {
            try Files.write(Array(whole[..<index]), to: file.path)
            #expect(try file.read() == nil)
            var changed = whole
            changed[index] ^= 1
            try Files.write(changed, to: file.path)
            #expect(try file.read() == nil)
        }
    }

    @Test func aWriteThatFailsLeavesTheOldState() throws {
        let folder = try TemporaryFolder()
        let file = StateFile(folder.path + "/state")
        try file.write([1])
        // A folder stands where the new file would be written.
        try FileManager.default.createDirectory(atPath: file.path + ".new", withIntermediateDirectories: false)
        #expect(throws: FileError.self) { try file.write([2]) }
        #expect(try file.read() == [1])
    }
}

@Suite struct JournalTests {
    private let records: [[UInt8]] = [Array("first".utf8), [], [0, 255, 10], Array(repeating: 7, count: 20)]

    @Test func recordsAreReadInTheOrderTheyWereAppended() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/journal"
        do {
            let (journal, none) = try Journal.open(path)
            #expect(none.isEmpty)
            try journal.append([records[0]])
            try journal.append(Array(records[1...]))
        }
        #expect(try Journal.open(path).records == records)
    }

    @Test func aJournalCutAtAnyByteKeepsEveryWholeRecordAndGoesOn() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/journal"
        try Journal.open(path).journal.append(records)
        let whole = try Files.read(path)
        var ends = [0]
        for record in records { ends.append(ends[ends.count - 1] + 8 + record.count) }
        for cut in 0...whole.count {
            try Files.write(Array(whole[..<cut]), to: path)
            let kept = ends.lastIndex { $0 <= cut } ?? 0
            let (journal, found) = try Journal.open(path)
            #expect(found == Array(records[..<kept]))
            try journal.append([[42]])
            #expect(try Journal.open(path).records == Array(records[..<kept]) + [[42]])
        }
    }

    @Test func aChangedByteEndsTheJournalThere() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/journal"
        try Journal.open(path).journal.append(records)
        var bytes = try Files.read(path)
        bytes[8] ^= 1
        try Files.write(bytes, to: path)
        #expect(try Journal.open(path).records.isEmpty)
    }

    @Test func zerosAtTheEndAreNoRecords() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/journal"
        try Journal.open(path).journal.append(records)
        try Files.write(try Files.read(path) + [UInt8](repeating: 0, count: 64), to: path)
        #expect(try Journal.open(path).records == records)
    }

    @Test func aReplacedJournalHasOnlyTheNewRecordsAndTakesMore() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/journal"
        let (journal, _) = try Journal.open(path)
        try journal.append(records)
        try journal.replace(with: [[1]])
        try journal.append([[2]])
        #expect(try Journal.open(path).records == [[1], [2]])
        #expect(journal.sizeBytes == 18)
    }
}

@Suite struct HMACTests {
    /// RFC 4231, test cases 1, 2 and 6.
    @Test(arguments: [
        (
            [UInt8](repeating: 0x0b, count: 20), "Hi There",
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        ),
        (
            Array("Jefe".utf8), "what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        ),
        (
            [UInt8](repeating: 0xaa, count: 131), "Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        ),
    ]) func theDigestsAreThoseOfTheRFC(_ key: [UInt8], _ message: String, _ digest: String) {
        #expect(HMAC.sha256(key: key, Array(message.utf8)).hexadecimal == digest)
    }

    @Test func base64PadsAsTheRFCSays() {
        for (text, encoded) in [
            "": "", "f": "Zg==", "fo": "Zm8=", "foo": "Zm9v", "foob": "Zm9vYg==", "\u{ff}\u{fe}": "w7/Dvg==",
        ] {
            #expect(Array(text.utf8).base64 == encoded)
        }
    }
}
