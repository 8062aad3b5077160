import RedisTesting
import TestTools
import Testing

@testable import RedisProxy

/// What a server said: each reply's kind, where it begins and how long it is.
private func skim(_ bytes: [UInt8], pieces: [Int] = [], limit: Int = 1 << 30) -> String {
    var skimmer = ReplySkimmer(limitBytes: limit)
    var heard: [String] = []
    var start = 0
    for end in pieces + [bytes.count] {
        reading: while start < end {
            switch skimmer.next(in: bytes.span.extracting(start..<end)) {
            case .incomplete(let needed):
                #expect(needed > end - start)
                break reading
            case .reply(let reply):
                heard.append("\(reply.kind) \(reply.start)..\(reply.length)")
                start += reply.length
            case .failed(let fault): return (heard + ["\(fault)"]).joined(separator: ", ")
            }
        }
    }
    return heard.joined(separator: ", ")
}

private let examples: [(String, says: String)] = [
    (
        "+OK\r\n-ERR no\r\n:-12\r\n$2\r\nhi\r\n$-1\r\n*-1\r\n",
        "status 0..5, error 0..9, integer 0..6, bulk 0..8, null 0..5, null 0..5"
    ),
    ("*0\r\n*2\r\n$1\r\na\r\n:1\r\n", "array 0..4, array 0..15"),
    ("*2\r\n*2\r\n:1\r\n*1\r\n$2\r\n\r\n\r\n_\r\n+\r\n", "array 0..27, status 0..3"),
    ("%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n:2\r\n~1\r\n#t\r\n", "map 0..24, set 0..8"),
    (
        ",3.14\r\n#f\r\n(12345678901234567890\r\n=7\r\ntxt:abc\r\n!5\r\nERR x\r\n_\r\n",
        "double 0..7, boolean 0..4, bigNumber 0..23, verbatim 0..13, error 0..11, null 0..3"
    ),
    (">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n+OK\r\n", "push 0..32, status 0..5"),
    ("|1\r\n+ttl\r\n|1\r\n+x\r\n+y\r\n:10\r\n*1\r\n:5\r\n:1\r\n", "array 27..35, integer 0..4"),
    ("*1\r\n|1\r\n+k\r\n*1\r\n:1\r\n:5\r\n:6\r\n", "array 0..24, integer 0..4"),
    ("$?\r\n", "reply with a length that is none"),
    ("*?\r\n", "reply with a length that is none"),
    (";4\r\n", "reply of an unknown type: byte 59"),
    ("%-1\r\n", "reply with a length that is none"),
    ("$-2\r\n", "reply with a length that is none"),
    ("$3\r\nabcd\r\n", "reply with a line that does not end in CRLF"),
    ("+OK\rX", "reply with a line that does not end in CRLF"),
    ("*9223372036854775807\r\n", "reply with a length that is none"),
]

@Suite struct RESPReplySkimmerTests {
    @Test(arguments: examples)
    func aReplyCutAtAnyByteIsReadTheSame(_ example: (String, says: String)) {
        let bytes = Array(example.0.utf8)
        #expect(skim(bytes) == example.says)
        #expect(skim(bytes, pieces: Array(1..<bytes.count)) == example.says)
        for cut in 1..<bytes.count { #expect(skim(bytes, pieces: [cut]) == example.says) }
    }

    @Test func nestingHasNoLimitAndCostsNothing() {
        let deep = [[UInt8]](repeating: Array("*1\r\n".utf8), count: 100_000).flatMap { $0 } + Array(":1\r\n".utf8)
        #expect(skim(deep) == "array 0..400004")
    }

    @Test func aLongerReplyThanAllowedIsRefusedByItsFirstBytes() {
        #expect(skim(Array("$1000\r\n".utf8), limit: 999) == "reply with a length that is none")
        #expect(skim(Array("$990\r\n".utf8), limit: 995) == "reply longer than 995 bytes")
        #expect(skim(Array("*400\r\n".utf8), limit: 999) == "reply longer than 999 bytes")
        #expect(skim(Array("*2\r\n*330\r\n".utf8), limit: 999) == "reply longer than 999 bytes")
    }

    @Test(arguments: [21, 22, 23] as [UInt64])
    func randomRepliesSurviveRandomCutsAndRubbishNeverTraps(_ seed: UInt64) {
        var random = Seeded(seed)
        for _ in 0..<500 {
            var bytes: [UInt8] = []
            var lengths: [Int] = []
            for _ in 0..<3 {
                let start = bytes.count
                appendValue(&random, to: &bytes, depth: 0)
                lengths.append(bytes.count - start)
            }
            let cuts = (0..<4).map { _ in Int.random(in: 0..<bytes.count, using: &random) }.sorted()
            let said = skim(bytes, pieces: cuts).split(separator: ", ").map { $0.split(separator: "..")[1] }
            #expect(said == lengths.map { "\($0)" }, "seed \(seed)")
            bytes[Int.random(in: 0..<bytes.count, using: &random)] = random.protocolByte()
            #expect(skim(bytes) == skim(bytes, pieces: cuts), "seed \(seed)")
        }
    }

    private func appendValue(_ random: inout Seeded, to bytes: inout [UInt8], depth: Int) {
        switch Int.random(in: 0..<(depth < 4 ? 9 : 5), using: &random) {
        case 0: bytes.append(integer: Int.random(in: Int.min...Int.max, using: &random))
        case 1: bytes.append(bulk: random.bytes(upTo: 30).span)
        case 2: bytes.append(status: "OK")
        case 3: bytes.append(nullIn: random.pick([.two, .three]))
        case 4: bytes.append(error: "ERR some text")
        case 5, 6:
            let count = Int.random(in: 0...4, using: &random)
            bytes.append(arrayOf: count)
            for _ in 0..<count { appendValue(&random, to: &bytes, depth: depth + 1) }
        case 7:
            let count = Int.random(in: 0...3, using: &random)
            bytes.append(mapOf: count, .three)
            for _ in 0..<count * 2 { appendValue(&random, to: &bytes, depth: depth + 1) }
        default:
            bytes += Array("|1\r\n".utf8)
            for _ in 0..<3 { appendValue(&random, to: &bytes, depth: depth + 1) }
        }
    }
}
