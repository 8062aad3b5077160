import CLinux
import Glibc

/// Threads of our own, for C calls that block.
enum Thread {
    /// Starts a detached thread that ends when `body` returns.
    ///
    /// - Parameter name: at most 15 bytes, shown by `top -H` and in `/proc/<pid>/task/<tid>/comm`.
    static func start(_ name: String, _ body: @escaping @Sendable () -> Void) {
        let start = Unmanaged.passRetained(Start(name: name, body: body))
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        // libpq and OpenSSL are content with far less than the usual 8 MB, and what is not reserved cannot be touched.
        pthread_attr_setstacksize(&attributes, 512 * 1024)
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
        precondition(failure == 0, "cannot start a thread: \(String(cString: strerror(failure)))")
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
