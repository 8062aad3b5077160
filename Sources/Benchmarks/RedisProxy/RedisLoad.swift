import CLinux
import Glibc
import Runtime

/// Commands of many clients over one thread, such as `redis-benchmark` sends, but of several kinds in one run: every
/// client sends a batch, waits for all its replies, and sends the next one.
final class RedisLoad {
    /// What a run has seen.
    struct Result {
        let operations: Int
        let took: Duration
        /// From sending a batch to its last reply, in microseconds.
        let latencies: [Double]

        var rate: Double { Double(operations) / took.seconds }
    }

    private let epoll: Int32
    private var clients: [RedisClient] = []
    private let deck: RedisDeck
    private let pipeline: Int
    private var next = 0
    private var input = [UInt8](repeating: 0, count: 64 << 10)

    /// - Parameter pipeline: commands of a batch; must divide the deck's number of commands.
    init(port: UInt16, clients count: Int, pipeline: Int, deck: RedisDeck) throws {
        precondition(deck.count % pipeline == 0)
        self.deck = deck
        self.pipeline = pipeline
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        for index in 0..<count {
            let client = try RedisClient(port: port)
            clients.append(client)
            var event = epoll_event()
            event.events = EPOLLIN.rawValue
            event.data.u64 = UInt64(index)
            epoll_ctl(epoll, EPOLL_CTL_ADD, client.socket, &event)
        }
    }

    deinit { close(epoll) }

    /// Sends for this long, and waits for the replies to what was sent.
    func run(for duration: Duration) throws -> Result { try run(until: duration, mostOperations: .max) }

    /// Sends every command of the deck once.
    @discardableResult
    func runOnce() throws -> Result { try run(until: .seconds(600), mostOperations: deck.count) }

    private func run(until duration: Duration, mostOperations: Int) throws -> Result {
        let startNs = MonotonicClock.nowNs
        let endNs = startNs + Int(duration.seconds * 1e9)
        var (sent, done) = (0, 0)
        var latencies: [Double] = []
        latencies.reserveCapacity(1 << 16)
        for client in clients where sent < mostOperations {
            try send(client, atNs: MonotonicClock.nowNs)
            sent += pipeline
        }
        var events = [epoll_event](repeating: epoll_event(), count: 64)
        while done < sent {
            let count = epoll_wait(epoll, &events, Int32(events.count), 10_000)
            guard count > 0 else { throw RedisClient.Failure(description: "no reply for 10 s") }
            for event in events[..<Int(count)] {
                let client = clients[Int(event.data.u64)]
                guard try client.receive(into: &input) else { continue }
                let nowNs = MonotonicClock.nowNs
                latencies.append(Double(nowNs - client.sentNs) / 1e3)
                done += pipeline
                guard nowNs < endNs, sent < mostOperations else { continue }
                try send(client, atNs: nowNs)
                sent += pipeline
            }
        }
        return Result(operations: done, took: .nanoseconds(MonotonicClock.nowNs - startNs), latencies: latencies)
    }

    private func send(_ client: RedisClient, atNs nowNs: Int) throws {
        client.sentNs = nowNs
        try client.send(deck, from: next, count: pipeline)
        next = next + pipeline == deck.count ? 0 : next + pipeline
    }
}
