import Runtime
import Synchronization

/// Threads of their own for clients' questions to the history, which may compute for as long as the engine allows. Swift's
/// shared pool answers health pages and sends messages meanwhile.
public final class QueryThreads: Sendable {
    /// Questions that may wait or be under way at once; more are refused.
    public let limit: Int
    private let workers: [Worker]
    /// Questions that each worker has.
    private let loads: Mutex<[Int]>

    private actor Worker {
        private let thread = BlockingThread("queries", stackBytes: BlockingThread.deepStackBytes)
        nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe thread.asUnownedSerialExecutor() }

        func run<Value: Sendable>(_ body: @Sendable () -> Value) -> Value { body() }
    }

    /// - Parameter count: threads, at least one.
    public init(count: Int = 4, limit: Int = 64) {
        precondition(count > 0, "no thread for queries")
        self.limit = limit
        workers = (0..<count).map { _ in Worker() }
        loads = Mutex(Array(repeating: 0, count: count))
    }

    /// Questions that wait or are under way.
    var load: Int { loads.withLock { $0.reduce(0, +) } }

    /// Runs `body` on the thread that has the least to do; nil, at once, when as many wait as may.
    func run<Value: Sendable>(_ body: @Sendable () -> Value) async -> Value? {
        guard let place = take() else { return nil }
        defer { loads.withLock { $0[place] -= 1 } }
        return await workers[place].run(body)
    }

    private func take() -> Int? {
        loads.withLock { loads in
            guard loads.reduce(0, +) < limit, let place = loads.indices.min(by: { loads[$0] < loads[$1] }) else {
                return nil
            }
            loads[place] += 1
            return place
        }
    }
}
