import CLinux
import Glibc
import Runtime
import Synchronization

/// A thread that reads one datagram socket in batches and hands every datagram to a closure.
///
/// After a batch that did not fill up the thread rests for a fraction of the time in which the socket's buffer could fill
/// at a million datagrams a second. Datagrams of a busy sender are then read by the dozen, not each by its own wake-up,
/// which is what receiving costs most of; an idle socket costs nothing.
public final class DatagramReceiver: Sendable {
    public let socket: DatagramSocket
    private let wake: Int32
    private let counts = Counts()

    private final class Counts: Sendable {
        let datagrams = Atomic<Int>(0)
        let bytes = Atomic<Int>(0)
        let truncated = Atomic<Int>(0)
        let isEnding = Atomic<Bool>(false)
        let hasEnded = Atomic<Bool>(false)
    }

    /// - Parameters:
    ///   - name: of the thread, at most 15 bytes.
    ///   - take: called on that thread with each datagram, which is gone afterwards.
    public init(_ socket: DatagramSocket, name: String, take: @escaping @Sendable (Span<UInt8>) -> Void) {
        self.socket = socket
        wake = eventfd(0, Int32(EFD_CLOEXEC))
        precondition(wake >= 0, "eventfd: \(String(cString: strerror(errno)))")
        let (counts, wake) = (counts, wake)
        DetachedThread.start(name) {
            DatagramReceiver.run(socket, wake, counts, take)
            counts.hasEnded.store(true, ordering: .releasing)
        }
    }

    deinit {
        end()
        close(wake)
    }

    /// Datagrams received so far.
    public var datagrams: Int { counts.datagrams.load(ordering: .relaxed) }
    /// Their bytes.
    public var bytes: Int { counts.bytes.load(ordering: .relaxed) }
    /// Datagrams longer than 65,535 bytes, of which only the beginning was read and nothing was used.
    public var truncated: Int { counts.truncated.load(ordering: .relaxed) }

    /// Has the thread read what the kernel holds already and end, and removes the file of a Unix socket. Waits for the
    /// thread: milliseconds, when it rests.
    public func end() {
        counts.isEnding.store(true, ordering: .releasing)
        var one: UInt64 = 1
        write(wake, &one, MemoryLayout<UInt64>.size)
        while !counts.hasEnded.load(ordering: .acquiring) { usleep(100) }
        socket.removeFile()
    }

    private static func run(
        _ socket: DatagramSocket, _ wake: Int32, _ counts: Counts, _ take: (Span<UInt8>) -> Void
    ) {
        let batch = DatagramBatch()
        let rest = restNanoseconds(bufferBytes: socket.receiveBufferBytes)
        var polled = [
            pollfd(fd: socket.descriptor, events: Int16(POLLIN), revents: 0),
            pollfd(fd: wake, events: Int16(POLLIN), revents: 0),
        ]
        while true {
            let received = batch.receive(from: socket.descriptor)
            guard received > 0 else {
                if counts.isEnding.load(ordering: .acquiring) { return }
                if received < 0, errno != EAGAIN, errno != EINTR {
                    Log.error("receive", ["address": socket.address, "error": String(cString: strerror(errno))])
                }
                poll(&polled, 2, -1)
                continue
            }
            var (bytes, truncated) = (0, 0)
            for index in 0..<received {
                guard !batch.isTruncated(index) else {
                    truncated += 1
                    continue
                }
                bytes += batch.length(index)
                batch.withBytes(index, take)
            }
            counts.datagrams.add(received, ordering: .relaxed)
            counts.bytes.add(bytes, ordering: .relaxed)
            if truncated > 0 { counts.truncated.add(truncated, ordering: .relaxed) }
            if received < DatagramBatch.size, !counts.isEnding.load(ordering: .relaxed) {
                var pause = timespec(tv_sec: 0, tv_nsec: rest)
                nanosleep(&pause, nil)
            }
        }
    }

    /// Half the time in which datagrams of 1 KiB fill the buffer at a million a second, at most 10 ms.
    static func restNanoseconds(bufferBytes: Int) -> Int { min(10_000_000, bufferBytes / 2) }
}

/// Room for the datagrams of one `recvmmsg`, used again and again. Pages that no datagram reaches are never touched.
private final class DatagramBatch {
    static let size = 64
    private static let room = 65_536
    /// From one buffer to the next: rooms one behind another would all begin in the same set of the processor's cache.
    private static let stride = room + 17 * 64

    private let headers: UnsafeMutablePointer<mmsghdr>
    private let vectors: UnsafeMutablePointer<iovec>
    private let memory: UnsafeMutablePointer<UInt8>

    init() {
        headers = .allocate(capacity: Self.size)
        vectors = .allocate(capacity: Self.size)
        memory = .allocate(capacity: Self.size * Self.stride)
        for index in 0..<Self.size {
            vectors[index] = iovec(iov_base: memory + index * Self.stride, iov_len: Self.room)
            headers[index] = mmsghdr()
            headers[index].msg_hdr.msg_iov = vectors + index
            headers[index].msg_hdr.msg_iovlen = 1
        }
    }

    deinit {
        headers.deallocate()
        vectors.deallocate()
        memory.deallocate()
    }

    /// How many came; -1 with `errno` set when none did.
    func receive(from socket: Int32) -> Int {
        Int(recvmmsg(socket, headers, UInt32(Self.size), Int32(MSG_DONTWAIT), nil))
    }

    func length(_ index: Int) -> Int { Int(headers[index].msg_len) }

    func isTruncated(_ index: Int) -> Bool { headers[index].msg_hdr.msg_flags & Int32(MSG_TRUNC) != 0 }

    func withBytes(_ index: Int, _ body: (Span<UInt8>) -> Void) {
        let bytes = UnsafeBufferPointer(start: memory + index * Self.stride, count: length(index))
        body(bytes.span)
    }
}
