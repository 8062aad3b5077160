import Glibc
import Runtime
import Synchronization

/// Turns host names into addresses without waiting longer than the caller can: `getaddrinfo` blocks, so it runs on a
/// thread of its own, which is left alone when it is late. A name that is still being asked for is not asked for again.
enum NameResolution {
    private static let pending = Mutex<Set<String>>([])

    /// - Parameter lookUp: what asks the name servers; another one for tests.
    /// - Returns: numeric addresses in the resolver's order, at most eight.
    static func addresses(
        of host: String, by deadline: Deadline,
        lookUp: @escaping @Sendable (String) -> Result<[String], PostgresError> = NameResolution.lookUp
    ) throws(PostgresError) -> [String] {
        if isNumeric(host) { return [host] }
        guard pending.withLock({ $0.insert(host).inserted }) else {
            throw PostgresError(.connection, "resolve host \"\(host)\": an earlier look-up has not come back")
        }
        let answer = Answer()
        let failure = DetachedThread.tryStart("resolve", stackBytes: 256 << 10) {
            let result = lookUp(host)
            _ = pending.withLock { $0.remove(host) }
            answer.deliver(result)
        }
        guard failure == 0 else {
            _ = pending.withLock { $0.remove(host) }
            throw PostgresError(.connection, "resolve host \"\(host)\": no thread left")
        }
        switch answer.wait(until: deadline) {
        case nil: throw PostgresError(.timeout, "resolve host \"\(host)\": no answer in time")
        case .failure(let error): throw error
        case .success(let addresses): return addresses
        }
    }

    static func isNumeric(_ host: String) -> Bool {
        var space = in6_addr()
        return inet_pton(AF_INET, host, &space) == 1 || inet_pton(AF_INET6, host, &space) == 1
            || host.contains("%")  // an IPv6 address with a zone
    }

    @Sendable static func lookUp(_ host: String) -> Result<[String], PostgresError> {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var first: UnsafeMutablePointer<addrinfo>?
        let failure = getaddrinfo(host, nil, &hints, &first)
        guard failure == 0 else {
            return .failure(
                PostgresError(.connection, "resolve host \"\(host)\": \(String(cString: gai_strerror(failure)))"))
        }
        defer { freeaddrinfo(first) }
        var found: [String] = []
        var next = first
        while let entry = next, found.count < 8 {
            var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            let isText = getnameinfo(
                entry.pointee.ai_addr, entry.pointee.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
            let address = String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
            if isText == 0, !found.contains(address) { found.append(address) }
            next = entry.pointee.ai_next
        }
        return .success(found)
    }

    /// One answer on its way from the look-up's thread to ours.
    private final class Answer: @unchecked Sendable {
        private var mutex = pthread_mutex_t()
        private var arrived = pthread_cond_t()
        private var result: Result<[String], PostgresError>?

        init() {
            pthread_mutex_init(&mutex, nil)
            var attributes = pthread_condattr_t()
            pthread_condattr_init(&attributes)
            pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
            pthread_cond_init(&arrived, &attributes)
            pthread_condattr_destroy(&attributes)
        }

        deinit {
            pthread_cond_destroy(&arrived)
            pthread_mutex_destroy(&mutex)
        }

        func deliver(_ result: Result<[String], PostgresError>) {
            pthread_mutex_lock(&mutex)
            self.result = result
            pthread_cond_signal(&arrived)
            pthread_mutex_unlock(&mutex)
        }

        func wait(until deadline: Deadline) -> Result<[String], PostgresError>? {
            var end = timespec()
            clock_gettime(CLOCK_MONOTONIC, &end)
            let nanoseconds = end.tv_nsec + deadline.remaining.nanoseconds
            end.tv_sec += nanoseconds / 1_000_000_000
            end.tv_nsec = nanoseconds % 1_000_000_000
            pthread_mutex_lock(&mutex)
            defer { pthread_mutex_unlock(&mutex) }
            while result == nil {
                if pthread_cond_timedwait(&arrived, &mutex, &end) == ETIMEDOUT { break }
            }
            return result
        }
    }
}
