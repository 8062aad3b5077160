import Network
import Runtime
import Synchronization

/// Salts passwords for SCRAM on a thread of its own, one after the other, and remembers what came out: thousands of
/// iterations on the event loop would stop all traffic. For one loop.
final class SaltedPasswords: @unchecked Sendable {
    private let loop: EventLoop
    private let worker = WorkThread("pg-salting")
    private let asked = Mutex<[SCRAM.Salting]>([])
    // What follows belongs to the loop's thread.
    private var known: [SCRAM.Salting: [UInt8]] = [:]
    private var waiting: [SCRAM.Salting: [([UInt8]) -> Void]] = [:]

    /// Of more, all are forgotten.
    private static let mostKnown = 1024

    init(on loop: EventLoop) {
        self.loop = loop
        worker.start { [weak self] in
            self?.work()
            return nil
        }
    }

    deinit { worker.end() }

    /// Calls `then` on the loop with the salted password: at once where it is known.
    func salt(_ salting: SCRAM.Salting, then: @escaping ([UInt8]) -> Void) {
        if let salted = known[salting] { return then(salted) }
        waiting[salting, default: []].append(then)
        guard waiting[salting]?.count == 1 else { return }
        asked.withLock { $0.append(salting) }
        worker.wake()
    }

    private func work() {
        while let salting = asked.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) {
            let salted = salting.compute()
            loop.post { [weak self] in self?.finish(salting, salted) }
        }
    }

    private func finish(_ salting: SCRAM.Salting, _ salted: [UInt8]) {
        if known.count >= Self.mostKnown { known = [:] }
        known[salting] = salted
        for then in waiting.removeValue(forKey: salting) ?? [] { then(salted) }
    }
}
