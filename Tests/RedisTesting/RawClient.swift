import Glibc
import Network
import RedisProxy
import Runtime

/// A plain socket to a server on loopback: what goes in and comes out is bytes. Calls block; use it from one thread.
package final class RawClient: @unchecked Sendable {
    package enum Failure: Error {
        case connect(errno: Int32)
        /// The other side has closed.
        case closed
        /// Nothing came within the client's patience.
        case silent
        case reply(ReplyFault)
    }

    private var socket: Int32
    private var received: [UInt8] = []
    /// Bytes of `received` that were handed out.
    private var taken = 0
    private lazy var chunk = [UInt8](repeating: 0, count: 64 << 10)
    private var skimmer = ReplySkimmer()

    package init(port: UInt16, patience: Duration = .seconds(20)) throws(Failure) {
        socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        let result = LoopbackAddress.with(port: port) { connect(socket, $0, $1) }
        // `deinit` closes the socket, here too.
        guard result == 0 else { throw .connect(errno: errno) }
        var yes: Int32 = 1
        setsockopt(socket, Int32(IPPROTO_TCP), TCP_NODELAY, &yes, socklen_t(MemoryLayout<Int32>.size))
        wait(atMost: patience)
    }

    deinit { if socket >= 0 { close(socket) } }

    /// How long a call waits for the other side.
    package func wait(atMost patience: Duration) {
        let (seconds, rest) = (patience.nanoseconds / 1_000_000_000, patience.nanoseconds % 1_000_000_000)
        var limit = timeval(tv_sec: seconds, tv_usec: max(1, rest / 1000))
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(socket, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
        }
    }

    // MARK: Sending

    /// The server may have closed already, which is not this call's business.
    ///
    /// - Returns: how many bytes went.
    @discardableResult
    package func send(_ bytes: some Collection<UInt8>) -> Int {
        var rest = Array(bytes)[...]
        while !rest.isEmpty {
            let sent = rest.withUnsafeBytes {
                Glibc.send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard sent > 0 else { break }
            rest = rest.dropFirst(sent)
        }
        return bytes.count - rest.count
    }

    /// In pieces that end at `cuts`, which ascend.
    package func send(_ bytes: [UInt8], cutAt cuts: [Int]) {
        var start = 0
        for cut in cuts + [bytes.count] where cut > start {
            send(bytes[start..<min(cut, bytes.count)])
            start = cut
        }
    }

    /// Says that nothing more will be sent; replies may still be read.
    package func finishSending() { shutdown(socket, Int32(SHUT_WR)) }

    /// Closes, with a reset instead of a goodbye where `abruptly`.
    package func hangUp(abruptly: Bool = false) {
        guard socket >= 0 else { return }
        if abruptly {
            var option = linger(l_onoff: 1, l_linger: 0)
            setsockopt(socket, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        }
        close(socket)
        socket = -1
    }

    // MARK: Asking

    /// Sends a command and returns the whole reply as it came.
    package func ask(_ words: [[UInt8]]) throws(Failure) -> [UInt8] {
        send(command(words))
        return try nextReply()
    }

    @discardableResult
    package func ask(_ words: String...) throws(Failure) -> String {
        String(decoding: try ask(words.map { Array($0.utf8) }), as: UTF8.self)
    }

    package func nextReply() throws(Failure) -> [UInt8] {
        while true {
            switch skimmer.next(in: received.span.extracting(droppingFirst: taken)) {
            case .reply(let reply):
                let bytes = Array(received[taken..<taken + reply.length])
                taken += reply.length
                if taken == received.count {
                    received.removeAll(keepingCapacity: true)
                    taken = 0
                }
                return bytes
            case .incomplete: guard try receive() else { throw .closed }
            case .failed(let fault): throw .reply(fault)
            }
        }
    }

    /// Everything until the server closes.
    package func readToEnd() throws(Failure) -> [UInt8] {
        while try receive() {}
        return Array(received[taken...])
    }

    /// What comes next, at least a byte; nil when the server has closed.
    package func readSome() throws(Failure) -> [UInt8]? {
        if taken == received.count { guard try receive() else { return nil } }
        defer {
            received.removeAll(keepingCapacity: true)
            taken = 0
        }
        return Array(received[taken...])
    }

    private func receive() throws(Failure) -> Bool {
        if taken > 1 << 20 {
            received.removeFirst(taken)
            taken = 0
        }
        let got = recv(socket, &chunk, chunk.count, 0)
        let reason = errno
        if got < 0 && reason == ECONNRESET { return false }
        guard got >= 0 else { throw .silent }
        received += chunk[..<got]
        return got > 0
    }
}

/// A command as clients send it.
package func command(_ words: [[UInt8]]) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.append(arrayOf: words.count)
    for word in words { bytes.append(bulk: word.span) }
    return bytes
}

package func command(_ words: String...) -> [UInt8] { command(words.map { Array($0.utf8) }) }
