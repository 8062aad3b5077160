import LocalServers
import RedisTesting
import TestTools
import Testing

@testable import RedisProxy

/// What a client said, as the reader understands it: `GET a|SET b c`, and the fault that ended it.
private func read(_ bytes: [UInt8], pieces: [Int] = [], limits: CommandReader.Limits = .init(), trusted: Bool = true)
    -> String
{
    var reader = CommandReader(limits: limits, isAuthenticated: trusted)
    var heard: [String] = []
    var start = 0
    for end in pieces + [bytes.count] {
        reading: while start < end {
            let frame = bytes.span.extracting(start..<end)
            switch reader.next(in: frame) {
            case .incomplete(let needed):
                #expect(needed > frame.count)
                break reading
            case .command(let length):
                heard.append(reader.arguments.map { text(frame, $0) }.joined(separator: " "))
                start += length
            case .inline(let length):
                heard.append(reader.arguments.map { text(reader.rewritten.span, $0) }.joined(separator: " "))
                start += length
            case .empty(let length): start += length
            case .failed(let fault):
                var reply: [UInt8] = []
                fault.append(to: &reply)
                return (heard + [String(decoding: reply.dropLast(2), as: UTF8.self)]).joined(separator: "|")
            }
        }
    }
    return heard.joined(separator: "|")
}

private func read(_ text: String) -> String { read(Array(text.utf8)) }

private func text(_ bytes: Span<UInt8>, _ range: Range<Int>) -> String {
    var copy: [UInt8] = []
    copy.append(bytes: bytes.extracting(range))
    return String(decoding: copy, as: UTF8.self)
}

private let examples: [(String, says: String)] = [
    ("*1\r\n$4\r\nPING\r\n", "PING"),
    ("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$0\r\n\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n", "SET a |GET a"),
    ("*2\r\n$3\r\nGET\r\n$12\r\nline\r\nbreak!\r\n", "GET line\r\nbreak!"),
    ("PING\r\n*0\r\n*-5\r\n\r\n\n  GET   a \n", "PING|GET a"),
    (#"SET "a\x41\n\q\"" 'b\'\n'"# + "\r\n", "SET aA\nq\" b'\\n"),
    ("ECHO ab\"c d\"\r\n", "ECHO abc d"),
    ("ECHO \"\" x\r\nPING\r\n", "ECHO  x|PING"),
    ("*2\r\n$3\r\nGET\r\n$-1\r\n", "-ERR Protocol error: invalid bulk length"),
    ("PING\r\n*1\r\nPING\r\n", "PING|-ERR Protocol error: expected '$', got 'P'"),
    ("*1\r\n$4\r\nPINGxx", "-ERR Protocol error: expected CRLF after an argument"),
    ("SET \"a\r\n", "-ERR Protocol error: unbalanced quotes in request"),
    // As Redis, for which the line never ends.
    ("PING\r\nECHO a\0b\r\nPING\r\n", "PING"),
    ("ECHO \0\r\n" + String(repeating: "x", count: 64 << 10), "-ERR Protocol error: too big inline request"),
]

@Suite struct RESPCommandReaderTests {
    @Test(arguments: examples)
    func aCommandCutAtAnyByteIsReadTheSame(_ example: (String, says: String)) {
        let bytes = Array(example.0.utf8)
        #expect(read(bytes) == example.says)
        #expect(read(bytes, pieces: Array(1..<bytes.count)) == example.says)
        for cut in stride(from: 1, to: bytes.count, by: max(1, bytes.count / 100)) {
            #expect(read(bytes, pieces: [cut]) == example.says)
        }
    }

    @Test func tenThousandCommandsInOnePieceAreReadOneByOne() {
        let bytes = [[UInt8]](repeating: command("INCR", "n"), count: 10_000).flatMap { $0 }
        #expect(read(bytes).split(separator: "|").count == 10_000)
    }

    @Test func aBigArgumentIsLookedAtOnce() {
        let bytes = command("SET", "k", String(repeating: "v", count: 1 << 17))
        // Were each of these pieces a new start, the test would not end.
        #expect(read(bytes, pieces: Array(1..<bytes.count)).utf8.count == 6 + 1 << 17)
    }

    @Test func aClientThatIsNotLoggedInMaySayLittle() {
        func answer(_ bytes: [UInt8]) -> String { read(bytes, trusted: false) }
        #expect(answer(command("AUTH", "secret")) == "AUTH secret")
        #expect(answer(Array("*11\r\n".utf8)) == "-ERR Protocol error: unauthenticated multibulk length")
        #expect(answer(Array("*1\r\n$16385\r\n".utf8)) == "-ERR Protocol error: unauthenticated bulk length")
    }

    @Test func limitsHoldBeforeAnythingIsKept() {
        var limits = CommandReader.Limits()
        limits.argumentBytes = 100
        limits.commandBytes = 200
        limits.arguments = 20
        func answer(_ text: String) -> String { read(Array(text.utf8), limits: limits) }
        #expect(answer("*1\r\n$101\r\n") == "-ERR Protocol error: invalid bulk length")
        #expect(answer("*21\r\n") == "-ERR Protocol error: invalid multibulk length")
        let hundred = "$100\r\n" + String(repeating: "x", count: 100) + "\r\n"
        #expect(answer("*2\r\n" + hundred + "$100\r\n") == "-ERR Protocol error: command longer than 200 bytes")
    }

    @Test func aHugeCountReservesNothing() {
        var reader = CommandReader()
        #expect(reader.next(in: Array("*1048576\r\n".utf8).span) == .incomplete(needed: 10 + 4 * 1_048_576))
        #expect(reader.arguments.capacity < 1000)
    }

    @Test func faultsAreToldInRedisOwnWords() async throws {
        let redis = try await LocalRedis.start()
        let long = String(repeating: "1", count: 70_000)
        let faults = [
            "*01\r\n", "*+1\r\n", "*\r\n", "*9999999999\r\n", "*1\r\n\r\n", "*1\r\n$\r\n", "*1\r\n$-1\r\n",
            "*1\r\n$04\r\n",
            "*1\r\n$536870913\r\n", "*1\r\n$99999999999999999999\r\n", "*1\r\n$4\n\nPING\r\n", "*1\r\n:4\r\n", "*-\r\n",
            "x" + long, "*" + long, "*1\r\n$" + long, "*1\r\n" + long, "SET 'a'b\r\n", "GET \"a\"b\r\n", "\"\\\"\r\n",
        ]
        for fault in faults {
            let client = try RawClient(port: redis.port)
            client.send(Array(fault.utf8))
            let theirs = String(decoding: try client.readToEnd(), as: UTF8.self)
            #expect(read(fault) + "\r\n" == theirs, "\(fault.prefix(40))")
        }
        await redis.stop()
    }

    @Test(arguments: [11, 12, 13] as [UInt64])
    func randomCommandsSurviveRandomCutsAndRubbishNeverTraps(_ seed: UInt64) {
        var random = Seeded(seed)
        for _ in 0..<500 {
            let commands = (0..<Int.random(in: 1...5, using: &random)).map { _ in
                (0..<Int.random(in: 1...6, using: &random)).map { _ in random.bytes(upTo: 40) }
            }
            var bytes = commands.flatMap { command($0) }
            let expected = commands.map { $0.map { String(decoding: $0, as: UTF8.self) }.joined(separator: " ") }
            let cuts = (0..<4).map { _ in Int.random(in: 0..<bytes.count, using: &random) }.sorted()
            #expect(read(bytes, pieces: cuts) == expected.joined(separator: "|"), "seed \(seed)")
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = random.protocolByte()
            }
            #expect(read(bytes) == read(bytes, pieces: cuts), "seed \(seed)")
        }
    }
}
