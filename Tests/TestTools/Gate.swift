import Synchronization

/// Holds whoever waits until it is opened, so that a test decides how long a server stays stuck.
package final class Gate: Sendable {
    private enum State {
        case closed([CheckedContinuation<Void, Never>])
        case open
    }

    private let state = Mutex(State.closed([]))

    package init() {}

    package func wait() async {
        await withCheckedContinuation { continuation in
            let isOpen = state.withLock { state in
                guard case .closed(let waiting) = state else { return true }
                state = .closed(waiting + [continuation])
                return false
            }
            if isOpen { continuation.resume() }
        }
    }

    package func open() {
        let waiting = state.withLock { state in
            guard case .closed(let waiting) = state else { return [CheckedContinuation<Void, Never>]() }
            state = .open
            return waiting
        }
        for continuation in waiting { continuation.resume() }
    }
}
