import Glibc

/// A thread for work that blocks and comes in turns: one when it is woken, and one when the last turn wanted it.
///
/// However often it is woken during a turn, one more follows; so whoever wakes it need not count, and what came in the
/// meantime is dealt with together.
public final class WorkThread: @unchecked Sendable {
    private let name: String
    private var mutex = pthread_mutex_t()
    private var changed = pthread_cond_t()
    private var isWoken = false
    private var hasEnded = false

    /// - Parameter name: at most 15 bytes, shown by `top -H` and in `/proc/<pid>/task/<tid>/comm`.
    public init(_ name: String) {
        self.name = name
        pthread_mutex_init(&mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(&changed, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(&changed)
        pthread_mutex_destroy(&mutex)
    }

    /// Begins, with a turn at once. To be called once.
    ///
    /// - Parameter turn: returns when it wants to run again at the latest; nil for not before it is woken.
    public func start(_ turn: @escaping @Sendable () -> Deadline?) {
        DetachedThread.start(name) { [self] in
            while !isOver {
                let next = turn()
                wait(until: next)
            }
        }
    }

    public func wake() {
        pthread_mutex_lock(&mutex)
        isWoken = true
        pthread_cond_signal(&changed)
        pthread_mutex_unlock(&mutex)
    }

    /// Ends the thread after the turn that is under way, if there is one.
    public func end() {
        pthread_mutex_lock(&mutex)
        hasEnded = true
        pthread_cond_signal(&changed)
        pthread_mutex_unlock(&mutex)
    }

    private var isOver: Bool {
        pthread_mutex_lock(&mutex)
        defer { pthread_mutex_unlock(&mutex) }
        return hasEnded
    }

    private func wait(until deadline: Deadline?) {
        var moment = timespec()
        if let deadline {
            clock_gettime(CLOCK_MONOTONIC, &moment)
            let rest = deadline.remaining.nanoseconds
            let nanoseconds = Int(moment.tv_nsec) + rest % 1_000_000_000
            moment.tv_sec += rest / 1_000_000_000 + nanoseconds / 1_000_000_000
            moment.tv_nsec = nanoseconds % 1_000_000_000
        }
        pthread_mutex_lock(&mutex)
        while !isWoken, !hasEnded {
            if deadline == nil {
                pthread_cond_wait(&changed, &mutex)
            } else if pthread_cond_timedwait(&changed, &mutex, &moment) == ETIMEDOUT {
                break
            }
        }
        isWoken = false
        pthread_mutex_unlock(&mutex)
    }
}
