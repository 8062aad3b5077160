import Runtime

/// What is to be done later, the soonest first: a binary heap, so adding and taking cost the logarithm of their number.
struct TimerQueue {
    private struct Timer {
        let dueMs: Int
        let work: () -> Void
    }

    private var heap: [Timer] = []

    mutating func add(at dueMs: Int, _ work: @escaping () -> Void) {
        heap.append(Timer(dueMs: dueMs, work: work))
        var child = heap.count - 1
        while child > 0, heap[child].dueMs < heap[(child - 1) / 2].dueMs {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    /// How long one may wait, as `epoll_wait` takes it: -1 for ever.
    func pauseMs(nowMs: @autoclosure () -> Int) -> Int32 {
        guard let first = heap.first else { return -1 }
        return Int32(clamping: max(0, first.dueMs - nowMs()))
    }

    mutating func popDue(nowMs: Int) -> (() -> Void)? {
        guard let first = heap.first, first.dueMs <= nowMs else { return nil }
        let last = heap.removeLast()
        guard !heap.isEmpty else { return first.work }
        heap[0] = last
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count {
                if heap[child].dueMs < heap[least].dueMs { least = child }
            }
            guard least != parent else { return first.work }
            heap.swapAt(parent, least)
            parent = least
        }
    }
}
