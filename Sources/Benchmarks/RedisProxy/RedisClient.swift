import CLinux
import Glibc
import Runtime

/// One connection, blocking, that counts replies. Only replies that are one line or one bulk string are understood.
final class RedisClient {
    let socket: Int32
    /// When its last batch was sent, on the monotonic clock.
    var sentNs = 0
    private var awaited = 0
    private var reply = Reply.start

    struct Failure: Error, CustomStringConvertible { let description: String }

    /// How far the reply at hand has come.
    private enum Reply {
        case start
        case line
        /// `$`, and the digits so far.
        case length(Int)
        case missing
        /// So many bytes of a bulk string and its end are still to come.
        case bulk(Int)
    }

    init(port: UInt16) throws {
        socket = try LoopbackSocket.connect(port: port)
    }

    deinit { close(socket) }

    /// Sends `count` commands, which must be fewer than fill the socket's buffers.
    func send(_ deck: RedisDeck, from first: Int, count: Int) throws {
        let (start, end) = (deck.offsets[first], deck.offsets[first + count])
        awaited += count
        let went = deck.bytes.withUnsafeBytes {
            Glibc.send(socket, $0.baseAddress! + start, end - start, Int32(MSG_NOSIGNAL))
        }
        guard went == end - start else { throw Failure(description: "send: \(String(cString: strerror(errno)))") }
    }

    /// Waits until something arrives.
    ///
    /// - Returns: whether all replies are there.
    func receive(into buffer: inout [UInt8]) throws -> Bool {
        let count = recv(socket, &buffer, buffer.count, 0)
        guard count > 0 else { throw Failure(description: "the server closed the connection") }
        try read(buffer[..<count])
        return awaited == 0
    }

    private func read(_ bytes: ArraySlice<UInt8>) throws {
        var index = bytes.startIndex
        while index < bytes.endIndex {
            if case .bulk(let left) = reply {
                let step = min(left, bytes.endIndex - index)
                index += step
                reply = step == left ? .start : .bulk(left - step)
                if step == left { awaited -= 1 }
                continue
            }
            let byte = bytes[index]
            index += 1
            switch reply {
            case .start where byte == UInt8(ascii: "$"): reply = .length(0)
            case .start where byte == UInt8(ascii: "-"):
                throw Failure(description: "error: \(String(decoding: bytes[index...].prefix(80), as: UTF8.self))")
            case .start: reply = .line
            case .length where byte == UInt8(ascii: "-"): reply = .missing
            case .length(let length) where byte == 0x0A: reply = .bulk(length + 2)
            case .length(let length) where byte != 0x0D: reply = .length(length * 10 + Int(byte & 0x0F))
            case .line where byte == 0x0A, .missing where byte == 0x0A:
                reply = .start
                awaited -= 1
            default: break
            }
        }
    }
}

/// Blocking TCP sockets on loopback, without delay.
enum LoopbackSocket {
    static func connect(port: UInt16) throws -> Int32 { try make(port, "connect to", Glibc.connect) }

    static func listen(port: UInt16) throws -> Int32 {
        let listener = try make(port, "listen at", Glibc.bind)
        Glibc.listen(listener, 1024)
        return listener
    }

    static func sendAtOnce(_ socket: Int32) {
        var on: Int32 = 1
        setsockopt(socket, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
    }

    private static func make(
        _ port: UInt16, _ what: String, _ attempt: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) throws -> Int32 {
        let made = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | O_CLOEXEC, 0)
        sendAtOnce(made)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        address.sin_port = port.bigEndian
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                attempt(made, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else {
            let reason = String(cString: strerror(errno))
            close(made)
            throw RedisClient.Failure(description: "\(what) port \(port): \(reason)")
        }
        return made
    }
}
