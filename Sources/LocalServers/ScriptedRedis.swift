import CLinux
import Dispatch
import Glibc
import Network
import Runtime
import Synchronization

/// A server that speaks RESP2 and says whatever a test wants: what no real Redis can be made to say.
public final class ScriptedRedis: Sendable {
    public enum Answer: Sendable {
        /// Sent as they are.
        case bytes([UInt8])
        /// Never answers this one, nor what comes after it on the connection.
        case silence
        case hangUp

        public static func status(_ text: String) -> Answer { .bytes(Array("+\(text)\r\n".utf8)) }
        public static func error(_ text: String) -> Answer { .bytes(Array("-\(text)\r\n".utf8)) }
        public static func bulk(_ text: String) -> Answer { bulk(Array(text.utf8)) }
        public static func bulk(_ text: [UInt8]) -> Answer {
            .bytes(Array("$\(text.count)\r\n".utf8) + text + Array("\r\n".utf8))
        }
    }

    public let port: UInt16
    private let loop: Loop
    private let wake: (read: Int32, write: Int32)

    public var url: String { "redis://127.0.0.1:\(port)" }

    /// Every command so far, word by word.
    public var commands: [[String]] { loop.log.withLock { $0 } }

    /// - Parameter answer: is called on the server's thread with the words of one command.
    public init(_ answer: @escaping @Sendable ([String]) -> Answer) throws {
        port = FreePort.next()
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var yes: Int32 = 1
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        let isBound = LoopbackAddress.with(port: port) { bind(listener, $0, $1) == 0 }
        var pipeEnds: [Int32] = [0, 0]
        guard isBound, listen(listener, 64) == 0, pipe(&pipeEnds) == 0 else {
            close(listener)
            throw LocalServerError.ended(program: "scripted redis", exitCode: errno, log: "cannot listen")
        }
        wake = (pipeEnds[0], pipeEnds[1])
        loop = Loop(listener: listener, wake: pipeEnds[0], answer: answer)
        let loop = loop
        // Not a task: tests that block Swift's own threads must still be answered.
        DispatchQueue(label: "scripted redis").async { loop.run() }
    }

    deinit { close(wake.write) }

    /// The thread that waits for everybody at once. Only `log` is seen by others.
    private final class Loop: @unchecked Sendable {
        private let listener: Int32
        private let wake: Int32
        private let answer: @Sendable ([String]) -> Answer
        private var clients: [Int32: [UInt8]] = [:]
        let log = Mutex<[[String]]>([])

        init(listener: Int32, wake: Int32, answer: @escaping @Sendable ([String]) -> Answer) {
            self.listener = listener
            self.wake = wake
            self.answer = answer
        }

        func run() {
            while true {
                var entries = ([wake, listener] + clients.keys).map {
                    pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
                }
                guard poll(&entries, nfds_t(entries.count), -1) > 0 else { continue }
                if entries[0].revents != 0 { break }
                if entries[1].revents != 0 { clients[accept(listener, nil, nil)] = [] }
                for entry in entries[2...] where entry.revents != 0 { read(entry.fd) }
            }
            for client in clients.keys { close(client) }
            close(listener)
            close(wake)
        }

        private func read(_ client: Int32) {
            var chunk = [UInt8](repeating: 0, count: 64 * 1024)
            let got = recv(client, &chunk, chunk.count, 0)
            guard got > 0 else {
                drop(client)
                return
            }
            clients[client, default: []] += chunk[..<got]
            while let input = clients[client], let (words, length) = ScriptedRedis.command(in: input) {
                clients[client]?.removeFirst(length)
                log.withLock { $0.append(words) }
                switch answer(words) {
                case .bytes(let bytes):
                    _ = bytes.withUnsafeBytes { send(client, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
                case .silence: return
                case .hangUp:
                    drop(client)
                    return
                }
            }
        }

        private func drop(_ client: Int32) {
            clients[client] = nil
            close(client)
        }
    }

    /// The first whole command, an array of bulk strings, and how many bytes it takes.
    private static func command(in input: [UInt8]) -> (words: [String], length: Int)? {
        var place = 0
        func number(after mark: Character) -> Int? {
            guard let end = input[place...].firstIndex(of: 10), end > place else { return nil }
            defer { place = end + 1 }
            return Int(String(decoding: input[(place + 1)..<(end - 1)], as: UTF8.self))
        }
        guard let count = number(after: "*") else { return nil }
        var words: [String] = []
        for _ in 0..<count {
            guard place < input.count, let length = number(after: "$"), place + length + 2 <= input.count else {
                return nil
            }
            words.append(String(decoding: input[place..<place + length], as: UTF8.self))
            place += length + 2
        }
        return (words, place)
    }
}
