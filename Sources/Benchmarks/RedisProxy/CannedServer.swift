import CLinux
import Glibc
import LocalServers
import Runtime

/// The least that anything in the place of Redis could do: a process of its own that counts the bytes of requests, which
/// are all equally long, and sends as many times the same reply. How fast `redis-benchmark` finds it is how fast that can
/// find anything on this machine.
enum CannedServer {
    /// How this program is told to be one: this, and then `PORT:REQUEST BYTES:VALUE BYTES`.
    static let argument = "canned-server="

    /// A server on a free port that answers `redis-benchmark`'s GET with a value of `valueBytes`.
    static func start(valueBytes: Int, folder: TemporaryFolder) async throws -> LocalServer {
        let port = FreePort.next()
        let words = "\(argument)\(port):\(RedisDeck.scan(keys: 1).bytes.count):\(valueBytes)"
        return try await LocalServer.start(Benchmarks.own, [words], folder: folder, port: port) {
            FreePort.isOpen(port)
        }
    }

    /// Never returns but by an error.
    static func serve(_ words: Substring) throws {
        let numbers = words.split(separator: ":").compactMap { Int($0) }
        guard numbers.count == 3 else { throw RedisClient.Failure(description: "expected PORT:REQUEST:VALUE") }
        let reply = Array("$\(numbers[2])\r\n\(String(repeating: "v", count: numbers[2]))\r\n".utf8)
        let listener = try LoopbackSocket.listen(port: UInt16(numbers[0]))
        var answering = Answering(listener: listener, requestBytes: numbers[1], reply: reply)
        while true { answering.step() }
    }

    private struct Answering {
        private let listener: Int32
        private let requestBytes: Int
        private let replyBytes: Int
        /// The reply, over and over.
        private let replies: [UInt8]
        private let epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        /// Of each client, bytes of a request that is not whole.
        private var parts: [Int32: Int] = [:]
        private var events = [epoll_event](repeating: epoll_event(), count: 64)
        private var buffer = [UInt8](repeating: 0, count: 64 << 10)

        init(listener: Int32, requestBytes: Int, reply: [UInt8]) {
            self.listener = listener
            self.requestBytes = requestBytes
            replyBytes = reply.count
            replies = Array(repeatElement(reply, count: buffer.count / requestBytes + 1).joined())
            watch(listener)
        }

        mutating func step() {
            let count = epoll_wait(epoll, &events, Int32(events.count), -1)
            for event in events[..<max(0, Int(count))] {
                if event.data.fd == listener { accept() } else { answer(event.data.fd) }
            }
        }

        private mutating func accept() {
            let client = Glibc.accept(listener, nil, nil)
            guard client >= 0 else { return }
            LoopbackSocket.sendAtOnce(client)
            parts[client] = 0
            watch(client)
        }

        private mutating func answer(_ client: Int32) {
            let got = recv(client, &buffer, buffer.count, 0)
            guard got > 0 else {
                parts[client] = nil
                close(client)
                return
            }
            let whole = (parts[client, default: 0] + got).quotientAndRemainder(dividingBy: requestBytes)
            parts[client] = whole.remainder
            send(client, replies, whole.quotient * replyBytes, Int32(MSG_NOSIGNAL))
        }

        private func watch(_ socket: Int32) { LoopbackSocket.watch(socket, with: epoll) }
    }
}
