import Runtime
import TestTools
import Testing

@testable import RedisProxy

/// What nodes, Sentinels and clients say, damaged, against everything that reads it. `TEST_FUZZ` sets how many of each,
/// `TEST_SEED` which.
@Suite struct ReplyFuzzTests {
    private static let rounds = Seeded.rounds(default: 1500)
    private static let node = NodeAddress("127.0.0.1", 7000)

    private static let texts: [String] = [
        "*2\r\n*4\r\n:0\r\n:8191\r\n*4\r\n$9\r\n127.0.0.1\r\n:7000\r\n$2\r\nab\r\n*2\r\n$2\r\nip\r\n$3\r\n::1\r\n*3\r\n$0\r\n\r\n"
            + ":7001\r\n$2\r\ncd\r\n*3\r\n:8192\r\n:16383\r\n*3\r\n$1\r\n?\r\n:7002\r\n$2\r\nef\r\n",
        "*1\r\n*4\r\n$5\r\nslots\r\n*2\r\n:0\r\n:16383\r\n$5\r\nnodes\r\n*1\r\n*10\r\n$4\r\nport\r\n:7000\r\n$2\r\nip\r\n$9\r\n127.0.0.1"
            + "\r\n$8\r\nendpoint\r\n$9\r\n127.0.0.1\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$6\r\nhealth\r\n$6\r\nonline\r\n",
        "*2\r\n$9\r\n127.0.0.1\r\n$4\r\n6379\r\n",
        "*1\r\n*4\r\n$2\r\nip\r\n$9\r\n127.0.0.1\r\n$4\r\nport\r\n$5\r\n26379\r\n",
        "*3\r\n$6\r\nmaster\r\n:3129659\r\n*1\r\n*3\r\n$9\r\n127.0.0.1\r\n$4\r\n9001\r\n$7\r\n3129242\r\n",
        "*2\r\n$5\r\n16385\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n", "-MOVED 3999 127.0.0.1:6381\r\n",
        "-ASK 16383 [::1]:6381\r\n",
        ":42\r\n", "*3\r\n:1\r\n:0\r\n:1\r\n", "$-1\r\n", "%1\r\n+server\r\n$5\r\nredis\r\n", ",1.5e3\r\n",
        "(12345678901234567890\r\n",
        "|1\r\n+ttl\r\n:3\r\n*1\r\n#t\r\n", ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n", "=7\r\ntxt:abc\r\n",
    ]
    private static let replies = texts.map { Array($0.utf8) }

    @Test func fuzzedRepliesAreReadOrRefused() throws {
        var random = Seeded(fuzzing: 71)
        var map = SlotMap()
        for _ in 0..<Self.rounds * 4 {
            let bytes = random.mutated(random.pick(Self.replies))
            guard !bytes.isEmpty else { continue }
            let span = bytes.span
            var skimmer = ReplySkimmer(limitBytes: 1 << 20)
            var isWhole = false
            if case .reply(let reply) = skimmer.next(in: span) { isWhole = reply.length == bytes.count }
            _ = Redirect(span, from: Self.node)
            var parts = ReplyParts(of: span)
            for _ in 0..<8 { if parts.next(in: span) == nil { break } }
            _ = parts.nextArray(in: span)
            // These two read what the skimmer has found whole.
            guard isWhole else { continue }
            for merge in FanOut.Merge.allCases {
                var output: [UInt8] = []
                var fan = FanOut(merge, of: 2, pick: .min, limitBytes: 1 << 16)
                fan.add(span)
                fan.add(span)
                fan.append(to: &output)
            }
            if let scan = ClusterScan(cursor: Array("16385".utf8).span, in: map) {
                var output: [UInt8] = []
                scan.append(span, in: map, to: &output)
            }
            guard let value = try? RESPValue(span) else { continue }
            for usesTLS in [false, true] {
                if let read = try? SlotMap(shards: value, asked: Self.node, usesTLS: usesTLS) { map = read }
            }
            if let read = try? SlotMap(slots: value, asked: Self.node) { map = read }
            _ = try? SentinelReplies.master(value)
            _ = try? SentinelReplies.sentinels(value)
            _ = try? SentinelReplies.isMaster(value)
            _ = SentinelReplies.switched(value.text ?? "", master: "m")
        }
    }

    @Test func aClusterThatTellsOfMoreNodesThanSlotsIsStillAMap() throws {
        let lines = (0..<70_000).map { number in
            RESPValue.array([
                .integer(0), .integer(0), .array([.text(Array("h\(number)".utf8)), .integer(7000)]),
            ])
        }
        let map = try SlotMap(slots: .array(lines), asked: Self.node)
        #expect(map.nodes.count == 1 && map.uncovered == KeySlot.count - 1)
    }

    private static let commands = [
        "SET k v EX 10", "GETEX k PX 100", "SETRANGE k 5 v", "GETRANGE k -3 -1", "INCRBY n 7", "INCRBYFLOAT n 1.5e2",
        "APPEND k v", "SETBIT k 7 1", "BITCOUNT k 0 -1 BIT", "EXPIRE k 100 NX", "PEXPIREAT k 1700000000000",
        "HSET h f v g w",
        "HINCRBY h f 3", "HINCRBYFLOAT h f 0.1", "HRANDFIELD h -5 WITHVALUES", "HSCAN h 0 MATCH f* COUNT 10",
        "SCAN 0 MATCH k[a-z]* COUNT 100 TYPE string", "MSET a 1 b 2", "DEL a b", "SELECT 3", "SWAPDB 0 1", "MOVE k 2",
        "COPY k q DB 2 REPLACE", "RANDOMKEY", "KEYS *[^", "OBJECT ENCODING k", "LCS a b IDX MINMATCHLEN 2", "TTL k",
        "PERSIST k",
        "SORT l BY w_* LIMIT 0 5 GET # STORE d", "XREAD COUNT 2 BLOCK 0 STREAMS a b 0 0", "ZUNIONSTORE d 2 a b",
        "EVAL s 1 k v", "MIGRATE h 1 k 0 10 KEYS a", "GEORADIUS g 1 2 3 m STORE d", "CLIENT REPLY ON",
        "HELLO 3 AUTH u p SETNAME n",
        "RESTORE k 0 v ABSTTL", "PSETEX k 100 v", "GETDEL k", "COMMAND GETKEYS SORT l LIMIT", "DUMP k",
        "MEMORY USAGE k SAMPLES 5",
    ]

    private static func frame(_ text: String) -> [UInt8] {
        let words = text.split(separator: " ")
        return Array(("*\(words.count)\r\n" + words.map { "$\($0.utf8.count)\r\n\($0)\r\n" }.joined()).utf8)
    }

    /// Words are damaged and framed anew, so that most commands are whole and strange; some frames are damaged as well.
    @Test func fuzzedCommandsAreAnsweredInMemory() {
        var random = Seeded(fuzzing: 72)
        let memory = MemoryRedis(nowMs: 1_700_000_000_000)
        var (database, scratch) = (0, [Int]())
        for _ in 0..<Self.rounds * 4 {
            let words = random.mutated(Array(random.pick(Self.commands).utf8))
            var bytes = Self.frame(String(decoding: words, as: UTF8.self))
            if random.chance(0.2) { bytes = random.mutated(bytes) }
            var reader = CommandReader()
            guard case .command = reader.next(in: bytes.span) else { continue }
            let found = CommandTable.shared.command(reader.arguments, in: bytes.span)
            _ = ClusterTarget(found, reader.arguments, in: bytes.span, scratch: &scratch)
            _ = WriteScope(found, reader.arguments, in: bytes.span)
            _ = Settlement(found, reader.arguments, in: bytes.span)
            if let found {
                _ = WritePlan.writes(
                    of: found, reader.arguments, in: bytes.span, database: database, wallMs: 1_700_000_000_000)
                _ = VolatileWrites.allows(found, reader.arguments, in: bytes.span)
            }
            _ = try? HelloRequest(reader.arguments.map { bytes.span.copy($0) })
            var reply: [UInt8] = []
            memory.run(
                reader.arguments, in: bytes.span, database: &database, version: random.chance(0.5) ? .two : .three,
                nowMs: 1_700_000_000_000, reply: &reply)
            var skimmer = ReplySkimmer()
            guard case .reply(let told) = skimmer.next(in: reply.span), told.length == reply.count else {
                Issue.record("no whole reply to \(String(decoding: bytes, as: UTF8.self))")
                return
            }
        }
    }

    @Test func fuzzedSegmentsOfTheWriteLogAreReadOrSkipped() {
        var random = Seeded(fuzzing: 73)
        let writes = (1...4).map { number in
            PendingWrite(
                sequence: UInt64(number), plan: PlannedWrite(PendingKey(0, [1]), [2, 3], .lifetime(endsMs: 9)),
                acceptedWallMs: 7)
        }
        let records: [WriteRecord] = [
            .writes(writes), .flushed(SequenceRanges([1...2])), .withdrawn(SequenceRanges([3...3])),
        ]
        var segment: [UInt8] = []
        for record in records { WriteFrame.append(record, marker: 77, to: &segment) }
        for _ in 0..<Self.rounds {
            _ = WriteFrame.contents(of: random.mutated(segment).span, marker: 77)
            _ = WriteRecord(random.mutated(random.pick(records).bytes))
        }
        #expect(WriteFrame.contents(of: segment.span, marker: 77).records == records)
    }
}
