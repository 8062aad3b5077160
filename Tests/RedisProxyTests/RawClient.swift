import Glibc
import LocalServers
import RedisProxy

/// A plain socket to a server on loopback: what goes in and comes out is bytes. Calls block.
final class RawClient {
    enum Failure: Error {
        case connect(errno: Int32)
        case closed, silent
        case reply(ReplyFault)
    }

    private let socket: Int32
    private var received: [UInt8] = []
    private var skimmer = ReplySkimmer()

    init(port: UInt16) throws {
        socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else { throw Failure.connect(errno: errno) }
        var patience = timeval(tv_sec: 20, tv_usec: 0)
        setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close(socket) }

    /// The server may have closed already, which is not this call's business.
    func send(_ bytes: [UInt8]) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let sent = rest.withUnsafeBytes {
                Glibc.send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard sent > 0 else { return }
            rest = rest.dropFirst(sent)
        }
    }

    /// Sends a command and returns the whole reply as it came.
    func ask(_ words: [[UInt8]]) throws -> [UInt8] {
        send(command(words))
        return try nextReply()
    }

    func ask(_ words: String...) throws -> String {
        String(decoding: try ask(words.map { Array($0.utf8) }), as: UTF8.self)
    }

    func nextReply() throws -> [UInt8] {
        while true {
            switch skimmer.next(in: received.span) {
            case .reply(let reply):
                let bytes = Array(received[..<reply.length])
                received.removeFirst(reply.length)
                return bytes
            case .incomplete: guard try receive() else { throw Failure.closed }
            case .failed(let fault): throw Failure.reply(fault)
            }
        }
    }

    /// Everything until the server closes.
    func readToEnd() throws -> [UInt8] {
        while try receive() {}
        return received
    }

    private func receive() throws -> Bool {
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        let got = recv(socket, &chunk, chunk.count, 0)
        if got < 0 && errno == ECONNRESET { return false }
        guard got >= 0 else { throw Failure.silent }
        received += chunk[..<got]
        return got > 0
    }
}

/// A command as clients send it.
func command(_ words: [[UInt8]]) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.append(arrayOf: words.count)
    for word in words { bytes.append(bulk: word.span) }
    return bytes
}

func command(_ words: String...) -> [UInt8] { command(words.map { Array($0.utf8) }) }
