import CLinux
import Glibc
import Synchronization

/// A thread of its own for an actor whose C calls block, so that they never hold up Swift's shared pool.
///
/// Give it to an actor as `unownedExecutor`; its jobs then run one after the other on this thread. The thread ends when
/// the last reference to the executor goes and its queue is empty.
public final class BlockingThread: SerialExecutor {
    private let queue = JobQueue()

    /// For work that recurses as deep as its input nests, such as expressions: reserved, and only touched when needed.
    public static let deepStackBytes = 16 << 20

    /// - Parameters:
    ///   - name: at most 15 bytes, shown by `top -H` and in `/proc/<pid>/task/<tid>/comm`.
    ///   - stackBytes: half a megabyte is enough for C libraries that wait.
    public init(_ name: String, stackBytes: Int = 512 << 10) {
        let queue = queue
        DetachedThread.start(name, stackBytes: stackBytes) { queue.run() }
    }

    deinit { queue.close() }

    public func enqueue(_ job: consuming ExecutorJob) {
        queue.append(UnownedJob(job), of: asUnownedSerialExecutor())
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
