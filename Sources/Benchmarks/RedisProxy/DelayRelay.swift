import CLinux
import Glibc
import LocalServers
import Runtime

/// Distance: a process of its own that forwards every byte between its clients and a server half the distance after it
/// came, in order, with no limit to how many are under way. One thread, one queue: everything waits equally long, so
/// what came first is due first.
enum DelayRelay {
    /// How this program is told to be one: this, and then `LISTEN:TARGET:MICROSECONDS` there and back.
    static let argument = "delay-relay="

    /// A relay in front of `target`, on a free port.
    ///
    /// - Parameter roundTrip: there and back.
    static func start(to target: UInt16, roundTrip: Duration, folder: TemporaryFolder) async throws -> LocalServer {
        let port = FreePort.next()
        let microseconds = Int(roundTrip.seconds * 1e6)
        return try await LocalServer.start(
            Benchmarks.own, ["\(argument)\(port):\(target):\(microseconds)"], folder: folder, port: port
        ) { FreePort.isOpen(port) }
    }

    /// Never returns but by an error.
    static func serve(_ words: Substring) throws {
        let numbers = words.split(separator: ":").compactMap { Int($0) }
        guard numbers.count == 3 else { throw RedisClient.Failure(description: "expected LISTEN:TARGET:MICROSECONDS") }
        var relay = try Forwarding(
            port: UInt16(numbers[0]), target: UInt16(numbers[1]), delayNs: numbers[2] * 500)
        while true { try relay.step() }
    }

    private struct Forwarding {
        /// Bytes on their way; none says that the sender has ended.
        private struct Parcel {
            let dueNs: Int
            let to: Int32
            let bytes: ArraySlice<UInt8>
        }

        private let listener: Int32
        private let target: UInt16
        private let delayNs: Int
        private let epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        private var other: [Int32: Int32] = [:]
        /// Sockets that nothing more is sent to.
        private var ended: Set<Int32> = []
        private var underway: [Parcel] = []
        private var first = 0
        private var events = [epoll_event](repeating: epoll_event(), count: 256)
        private var buffer = [UInt8](repeating: 0, count: 64 << 10)

        init(port: UInt16, target: UInt16, delayNs: Int) throws {
            self.target = target
            self.delayNs = delayNs
            listener = try LoopbackSocket.listen(port: port)
            watch(listener)
        }

        mutating func step() throws {
            let count = wait()
            let dueNs = MonotonicClock.nowNs + delayNs
            for event in events[..<max(0, Int(count))] {
                if event.data.fd == listener { try accept() } else { take(from: event.data.fd, dueNs: dueNs) }
            }
            deliver()
        }

        /// Until something comes, or the first parcel is due.
        private mutating func wait() -> Int32 {
            guard first < underway.count else { return epoll_wait(epoll, &events, Int32(events.count), -1) }
            let left = max(0, underway[first].dueNs - MonotonicClock.nowNs)
            var pause = timespec(tv_sec: left / 1_000_000_000, tv_nsec: left % 1_000_000_000)
            return epoll_pwait2(epoll, &events, Int32(events.count), &pause, nil)
        }

        private mutating func accept() throws {
            let client = Glibc.accept(listener, nil, nil)
            guard client >= 0 else { return }
            LoopbackSocket.sendAtOnce(client)
            let server = try LoopbackSocket.connect(port: target)
            other[client] = server
            other[server] = client
            watch(client)
            watch(server)
        }

        private mutating func take(from socket: Int32, dueNs: Int) {
            guard let to = other[socket] else { return }
            let count = max(0, recv(socket, &buffer, buffer.count, 0))
            if count == 0 { epoll_ctl(epoll, EPOLL_CTL_DEL, socket, nil) }
            underway.append(Parcel(dueNs: dueNs, to: to, bytes: ArraySlice(Array(buffer[..<count]))))
        }

        private mutating func deliver() {
            let nowNs = MonotonicClock.nowNs
            while first < underway.count, underway[first].dueNs <= nowNs {
                forward(underway[first])
                first += 1
            }
            guard first == underway.count || first > 4096 else { return }
            underway.removeFirst(first)
            first = 0
        }

        /// Waits while the receiver's buffer is full: Redis, its clients and the proxies always read on.
        private mutating func forward(_ parcel: Parcel) {
            guard !parcel.bytes.isEmpty else { return end(parcel.to) }
            var rest = parcel.bytes
            while !rest.isEmpty {
                let went = rest.withUnsafeBytes {
                    send(parcel.to, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
                }
                guard went > 0 else { return }
                rest = rest.dropFirst(went)
            }
        }

        /// One side has ended, so the other is told; the pair goes when both have.
        private mutating func end(_ socket: Int32) {
            shutdown(socket, Int32(SHUT_WR))
            ended.insert(socket)
            guard let peer = other[socket], ended.contains(peer) else { return }
            for side in [socket, peer] {
                other[side] = nil
                ended.remove(side)
                close(side)
            }
        }

        private func watch(_ socket: Int32) { LoopbackSocket.watch(socket, with: epoll) }
    }
}
