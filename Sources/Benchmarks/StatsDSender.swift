import CLinux
import Glibc
import Network
import Runtime

/// One sender of StatsD packets on loopback: batches through `sendmmsg`, at a given pace or as fast as it can.
final class StatsDSender {
    private static let batch = 32

    private let socket: Int32
    private let headers: UnsafeMutablePointer<mmsghdr>
    private let vectors: UnsafeMutablePointer<iovec>
    private let memory: UnsafeMutablePointer<UInt8>
    private let packets: [(offset: Int, length: Int)]
    private var next = 0

    struct Failure: Error, CustomStringConvertible { let description: String }

    /// - Parameter packets: sent one after the other, again and again.
    init(port: UInt16, packets texts: [[UInt8]]) throws {
        socket = Glibc.socket(AF_INET, Int32(SOCK_DGRAM.rawValue) | O_CLOEXEC, 0)
        headers = .allocate(capacity: Self.batch)
        vectors = .allocate(capacity: Self.batch)
        let all = texts.flatMap { $0 }
        memory = .allocate(capacity: all.count)
        memory.initialize(from: all, count: all.count)
        var offset = 0
        packets = texts.map { text in
            defer { offset += text.count }
            return (offset, text.count)
        }
        for index in 0..<Self.batch {
            headers[index] = mmsghdr()
            headers[index].msg_hdr.msg_iov = vectors + index
            headers[index].msg_hdr.msg_iovlen = 1
        }
        let result = LoopbackAddress.with(port: port) { connect(socket, $0, $1) }
        guard result == 0 else {
            throw Failure(description: "connect to port \(port): \(String(cString: strerror(errno)))")
        }
    }

    deinit {
        close(socket)
        headers.deallocate()
        vectors.deallocate()
        memory.deallocate()
    }

    /// Sends for this long.
    ///
    /// - Parameter rate: packets a second; nil for as many as go.
    /// - Returns: how many went, and how long it really took.
    func send(for duration: Duration, rate: Double?) throws -> (packets: Int, took: Duration) {
        let start = ContinuousClock.now
        let end = start + duration
        var sent = 0
        while true {
            let now = ContinuousClock.now
            guard now < end else { return (sent, now - start) }
            // Spinning keeps the pace; a sleep would be as long as several batches.
            if let rate, Double(sent) > (now - start).seconds * rate { continue }
            for index in 0..<Self.batch {
                let packet = packets[next]
                next = next + 1 == packets.count ? 0 : next + 1
                vectors[index] = iovec(iov_base: memory + packet.offset, iov_len: packet.length)
            }
            let went = sendmmsg(socket, headers, UInt32(Self.batch), 0)
            guard went > 0 else { throw Failure(description: "send: \(String(cString: strerror(errno)))") }
            sent += Int(went)
        }
    }
}
