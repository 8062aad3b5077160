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
            let batch = UnsafeRawBufferPointer(rebasing: $0[start..<end])
            return Glibc.send(socket, batch.baseAddress, batch.count, Int32(MSG_NOSIGNAL))
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
