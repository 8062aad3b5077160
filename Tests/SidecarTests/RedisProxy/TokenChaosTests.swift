import LocalServers
import RedisTesting
import Runtime
import Synchronization
import TestTools
import Testing

/// Clients whose every reply tells whose it is, and who leave in every way there is while replies are under way. No reply
/// ever reaches another client.
///
/// `TEST_CHAOS_REPLIES` sets how many replies are looked at.
@Suite(.tags(.proof)) struct RedisProxyTokenChaosTests {
    @Test(.timeLimit(.minutes(60)), arguments: ProxyVariant.allAndBehind)
    func noReplyEverReachesAnotherClient(_ variant: ProxyVariant) async throws {
        let least = ProofSettings.count("TEST_CHAOS_REPLIES", default: 40_000)
        let seed = ProofSettings.seed
        let proxy = try await ProxyUnderTest.start(variant)
        let port = proxy.port
        let tally = TokenClient.Tally()
        _ = try await OwnThread.run(12) { number in
            // Four never leave early: what the others leave behind would reach them.
            var client = TokenClient(number, port: port, isSteady: number < 4, seed: seed, tally)
            while tally.state.withLock({ $0.replies < least && $0.foreign.isEmpty }) { client.live() }
        }
        let state = tally.state.withLock { $0 }
        #expect(state.foreign.isEmpty, "\(variant.name), TEST_SEED=\(seed)\n\(state.foreign.joined(separator: "\n"))")
        #expect(state.unanswered == 0, "steady clients were left without a reply")
        print("\(variant.name): \(state.replies) replies, \(state.lives) lives, ended \(state.ends), seed \(seed)")
        await proxy.stop()
    }
}

/// A client that connects, asks for what nobody else asks for, and goes.
struct TokenClient {
    final class Tally: Sendable {
        struct State: Sendable {
            var replies = 0
            var lives = 0
            var unanswered = 0
            var ends: [String: Int] = [:]
            var foreign: [String] = []
        }

        let state = Mutex(State())
    }

    /// How it goes.
    private enum End: String, CaseIterable {
        case afterAll, unread, halfRead, finishesSending, reset, insideACommand, resetInsideACommand
    }

    private let number: Int
    private let port: UInt16
    private let isSteady: Bool
    private let tally: Tally
    private var random: Seeded
    private var serial = 0
    /// What a steady client's own key holds; the others do not know which of their writes were carried out.
    private var own: [UInt8]?

    init(_ number: Int, port: UInt16, isSteady: Bool, seed: UInt64, _ tally: Tally) {
        self.number = number
        self.port = port
        self.isSteady = isSteady
        self.tally = tally
        random = Seeded(seed &+ UInt64(number) &* 104_729)
    }

    /// A question and the replies that are right.
    private struct Question {
        let bytes: [UInt8]
        let replies: [Set<[UInt8]>]
    }

    /// From connecting to going.
    mutating func live() {
        guard let socket = try? RawClient(port: port) else { return }
        let end = isSteady ? .afterAll : random.pick(End.allCases)
        tally.state.withLock {
            $0.lives += 1
            $0.ends[end.rawValue, default: 0] += 1
        }
        if random.chance(0.2) {
            socket.send(command("HELLO", "3"))
            guard (try? socket.nextReply()) != nil else { return }
        }
        for _ in 0..<Int.random(in: 0...3, using: &random) { guard readAll(ask(socket), from: socket) else { return } }
        let questions = plan()
        let bytes = questions.flatMap(\.bytes)
        switch end {
        case .afterAll:
            socket.send(bytes)
            _ = readAll(questions, from: socket)
        case .unread, .reset:
            socket.send(bytes)
            if random.chance(0.5) { BlockingWait.milliseconds(Int.random(in: 0...2, using: &random)) }
            socket.hangUp(abruptly: end == .reset)
        case .halfRead:
            socket.send(bytes)
            _ = readAll(Array(questions.prefix(questions.count / 2)), from: socket)
            socket.hangUp(abruptly: random.chance(0.5))
        case .finishesSending:
            socket.send(bytes)
            socket.finishSending()
            // Redis itself does not promise that what was asked last is answered; what comes has to be right.
            _ = readAll(questions, from: socket, mayEnd: true)
        case .insideACommand, .resetInsideACommand:
            socket.send(bytes.prefix(Int.random(in: 0..<bytes.count, using: &random)))
            socket.hangUp(abruptly: end == .resetInsideACommand)
        }
    }

    private mutating func ask(_ socket: RawClient) -> [Question] {
        let questions = plan()
        socket.send(questions.flatMap(\.bytes))
        return questions
    }

    private mutating func plan() -> [Question] {
        (0..<(random.chance(0.5) ? Int.random(in: 1...40, using: &random) : 1)).map { _ in question() }
    }

    private mutating func question() -> Question {
        serial += 1
        let length = random.chance(0.02) ? 60_000 : Int.random(in: 0...40, using: &random)
        let text = "token \(number) \(serial) " + String(repeating: "t", count: length)
        let token = bulk(text)
        let key = "own:\(number)"
        let okay = Array("+OK\r\n".utf8)
        switch Int.random(in: 0..<10, using: &random) {
        case 0..<3: return Question(bytes: command("ECHO", text), replies: [[token]])
        case 3: return Question(bytes: command("PING", text), replies: [[token]])
        case 4: return Question(bytes: command("EVAL", "return ARGV[1]", "0", text), replies: [[token]])
        case 5:
            let queued = Array("+QUEUED\r\n".utf8)
            let bytes = command("MULTI") + command("ECHO", text) + command("EXEC")
            return Question(bytes: bytes, replies: [[okay], [queued], [Array("*1\r\n".utf8) + token]])
        case 6:
            return Question(
                bytes: command("NOSUCH" + "\(number)x\(serial)"), replies: [[unknown("NOSUCH\(number)x\(serial)")]])
        case 7 where isSteady:
            // Nobody else writes it, and steady clients leave no write behind.
            own = token
            return Question(bytes: command("SET", key, text) + command("GET", key), replies: [[okay], [token]])
        case 8 where isSteady && own != nil: return Question(bytes: command("GET", key), replies: [[own ?? []]])
        default:
            let once = "once:\(number):\(serial)"
            let bytes = command("SET", once, text) + command("GET", once) + command("DEL", once)
            return Question(bytes: bytes, replies: [[okay], [token], [Array(":1\r\n".utf8)]])
        }
    }

    private func bulk(_ text: String) -> [UInt8] { Array("$\(text.utf8.count)\r\n\(text)\r\n".utf8) }

    private func unknown(_ name: String) -> [UInt8] {
        Array("-ERR unknown command '\(name)', with args beginning with: \r\n".utf8)
    }

    /// Returns whether all came as they had to.
    private func readAll(_ questions: [Question], from socket: RawClient, mayEnd: Bool = false) -> Bool {
        var right = 0
        defer { tally.state.withLock { $0.replies += right } }
        for wanted in questions.lazy.flatMap(\.replies) {
            guard let reply = try? socket.nextReply() else {
                if isSteady, !mayEnd { tally.state.withLock { $0.unanswered += 1 } }
                return false
            }
            guard wanted.contains(reply) else {
                let story =
                    "client \(number) got \(readable(reply)) instead of \(wanted.first.map { readable($0) } ?? "")"
                tally.state.withLock { $0.foreign.append(story) }
                return false
            }
            right += 1
        }
        return true
    }
}
