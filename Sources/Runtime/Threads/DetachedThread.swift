import CLinux
import Glibc

/// Threads of our own, for C calls that block. Nobody joins them.
public enum DetachedThread {
    /// Starts a thread that ends when `body` returns; without it the process cannot go on.
    public static func start(_ name: String, stackBytes: Int = 512 << 10, _ body: @escaping @Sendable () -> Void) {
        let failure = tryStart(name, stackBytes: stackBytes, body)
        precondition(failure == 0, "cannot start a thread: \(String(cString: strerror(failure)))")
    }

    /// Starts a thread that ends when `body` returns.
    ///
    /// - Parameters:
    ///   - name: at most 15 bytes, shown by `top -H` and in `/proc/<pid>/task/<tid>/comm`.
    ///   - stackBytes: libpq and OpenSSL are content with far less than the usual 8 MB, and what is not reserved cannot be
    ///     touched.
    /// - Returns: 0, or the `errno` of a system that has no thread left.
    public static func tryStart(
        _ name: String, stackBytes: Int = 512 << 10, _ body: @escaping @Sendable () -> Void
    ) -> Int32 {
        let start = Unmanaged.passRetained(Start(name: name, body: body))
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setstacksize(&attributes, stackBytes)
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        var thread = pthread_t()
        let failure = pthread_create(
            &thread, &attributes,
            { raw in
                guard let raw else { return nil }
                let start = Unmanaged<Start>.fromOpaque(raw).takeRetainedValue()
                outrigger_name_this_thread(start.name)
                start.body()
                return nil
            }, start.toOpaque())
        if failure != 0 { start.release() }
        return failure
    }

    private final class Start {
        let name: String
        let body: @Sendable () -> Void

        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }
}

/// A thread that never ends and runs what other threads hand it, one piece after the other, while they wait.
///
/// Children are started from it: the kernel sends `PR_SET_PDEATHSIG` when the *thread* that started a child ends, and the
/// threads of Swift's pool come and go.
final class ServantThread: @unchecked Sendable {
    static let spawner = ServantThread("spawner")

    private var mutex = pthread_mutex_t()
    private var changed = pthread_cond_t()
    private var work: (() -> Void)?

    private init(_ name: String) {
        pthread_mutex_init(&mutex, nil)
        pthread_cond_init(&changed, nil)
        DetachedThread.start(name) { self.serve() }
    }

    /// Runs `body` there and returns when it has ended.
    func perform(_ body: () -> Void) {
        withoutActuallyEscaping(body) { body in
            var isDone = false
            pthread_mutex_lock(&mutex)
            while work != nil { pthread_cond_wait(&changed, &mutex) }
            work = {
                body()
                isDone = true
            }
            pthread_cond_broadcast(&changed)
            while !isDone { pthread_cond_wait(&changed, &mutex) }
            pthread_mutex_unlock(&mutex)
        }
    }

    private func serve() {
        pthread_mutex_lock(&mutex)
        while true {
            while work == nil { pthread_cond_wait(&changed, &mutex) }
            work?()
            work = nil
            pthread_cond_broadcast(&changed)
        }
    }
}
