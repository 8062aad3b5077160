import CLinux
import Glibc
import Synchronization

/// A thread of its own for an actor whose C calls block, so that they never hold up Swift's shared pool.
///
/// Give it to an actor as `unownedExecutor`; its jobs then run one after the other on this thread. The thread ends when
/// the last reference to the executor goes and its queue is empty.
public final class BlockingThread: SerialExecutor {
    private let queue = JobQueue()

    /// - Parameter name: at most 15 bytes, shown by `top -H` and in `/proc/<pid>/task/<tid>/comm`.
    public init(_ name: String) {
        let queue = queue
        let start = Unmanaged.passRetained(ThreadStart(name: name) { queue.run() })
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        // libpq and OpenSSL are content with far less than the usual 8 MB, and what is not reserved cannot be touched.
        pthread_attr_setstacksize(&attributes, 512 * 1024)
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        var thread = pthread_t()
        let failure = pthread_create(
            &thread, &attributes,
            { raw in
                let start = Unmanaged<ThreadStart>.fromOpaque(raw!).takeRetainedValue()
                outrigger_name_this_thread(start.name)
                start.body()
                return nil
            }, start.toOpaque())
        pthread_attr_destroy(&attributes)
        precondition(failure == 0, "cannot start a thread: \(String(cString: strerror(failure)))")
    }

    deinit { queue.close() }

    public func enqueue(_ job: consuming ExecutorJob) {
        queue.append(UnownedJob(job), of: asUnownedSerialExecutor())
    }

    private final class ThreadStart {
        let name: String
        let body: @Sendable () -> Void
        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }
}

/// Jobs that wait for the thread, and the thread's loop.
private final class JobQueue: @unchecked Sendable {
    private var mutex = pthread_mutex_t()
    private var arrived = pthread_cond_t()
    private var jobs: [(UnownedJob, UnownedSerialExecutor)] = []
    private var isClosed = false

    init() {
        pthread_mutex_init(&mutex, nil)
        pthread_cond_init(&arrived, nil)
    }

    deinit {
        pthread_cond_destroy(&arrived)
        pthread_mutex_destroy(&mutex)
    }

    func append(_ job: UnownedJob, of executor: UnownedSerialExecutor) {
        pthread_mutex_lock(&mutex)
        jobs.append((job, executor))
        pthread_cond_signal(&arrived)
        pthread_mutex_unlock(&mutex)
    }

    func close() {
        pthread_mutex_lock(&mutex)
        isClosed = true
        pthread_cond_signal(&arrived)
        pthread_mutex_unlock(&mutex)
    }

    func run() {
        while true {
            pthread_mutex_lock(&mutex)
            while jobs.isEmpty && !isClosed { pthread_cond_wait(&arrived, &mutex) }
            let batch = jobs
            jobs.removeAll(keepingCapacity: true)
            let done = isClosed && batch.isEmpty
            pthread_mutex_unlock(&mutex)
            if done { return }
            for (job, executor) in batch { job.runSynchronously(on: executor) }
        }
    }
}
