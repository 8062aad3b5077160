import Synchronization

/// The tasks that wait for somebody else's fetch.
final class FillWaiters: Sendable {
    private enum Waiter {
        case waiting(CheckedContinuation<FillEnd, Never>)
        case calling(@Sendable (FillEnd) -> Void)
        /// The end came before the wait began.
        case ended(FillEnd)
    }

    private let waiters = Mutex<[FillTable.WaiterID: Waiter]>([:])

    /// Every `.follow` must be waited for once.
    func wait(_ id: FillTable.WaiterID) async -> FillEnd {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let known: FillEnd? = waiters.withLock { waiters in
                    if case .ended(let end) = waiters.removeValue(forKey: id) { return end }
                    // A task cancelled before this line was not found by the handler below.
                    if Task.isCancelled { return .cancelled }
                    waiters[id] = .waiting(continuation)
                    return nil
                }
                if let known { continuation.resume(returning: known) }
            }
        } onCancel: {
            let continuation: CheckedContinuation<FillEnd, Never>? = waiters.withLock { waiters in
                guard case .waiting(let continuation) = waiters[id] else { return nil }
                waiters[id] = nil
                return continuation
            }
            continuation?.resume(returning: .cancelled)
        }
    }

    /// The same for those that are no tasks: `ended` is called once, by whoever ends the fetch, or here when it has ended.
    func wait(_ id: FillTable.WaiterID, _ ended: @escaping @Sendable (FillEnd) -> Void) {
        let known: FillEnd? = waiters.withLock { waiters in
            if case .ended(let end) = waiters.removeValue(forKey: id) { return end }
            waiters[id] = .calling(ended)
            return nil
        }
        if let known { ended(known) }
    }

    func settle(_ ids: [FillTable.WaiterID], _ end: FillEnd) {
        guard !ids.isEmpty else { return }
        let waiting = waiters.withLock { waiters in
            ids.compactMap { id -> Waiter? in
                switch waiters.removeValue(forKey: id) {
                case .waiting(let continuation): return .waiting(continuation)
                case .calling(let ended): return .calling(ended)
                case .ended(let earlier):
                    waiters[id] = .ended(earlier)
                    return nil
                case nil:
                    waiters[id] = .ended(end)
                    return nil
                }
            }
        }
        for waiter in waiting {
            switch waiter {
            case .waiting(let continuation): continuation.resume(returning: end)
            case .calling(let ended): ended(end)
            case .ended: break
            }
        }
    }
}
