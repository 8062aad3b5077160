import COpenSSL
import Glibc
import Runtime

/// TLS on one connection: opens what came from the socket, and seals what is to go there. It never touches the socket:
/// OpenSSL reads from the bytes that `take` is given, and writes to `sealed`.
///
/// Each `take` opens all it was given, so that nothing that could be read stays behind in OpenSSL: a connection that was
/// paused misses nothing when it goes on.
final class TLSSession {
    private let ssl: OpaquePointer
    let context: TLSContext
    /// Whether the handshake is done. Before, nothing is taken as the application's, and nothing of it is sealed.
    private(set) var isOpen = false
    /// Whether the other side has said anything.
    private(set) var hasBegun = false
    private var hasFailed = false
    /// What came and OpenSSL has not taken; valid during `take`.
    private var arrived = UnsafeRawBufferPointer(start: nil, count: 0)
    /// What goes to the socket, from `sent` on.
    private(set) var sealed: [UInt8] = []
    private var sent = 0

    /// How the other side stands after what it sent.
    enum Progress {
        case goesOn
        /// It has said that nothing more will come.
        case ended
        case failed(StreamFailure)
    }

    /// Enough for one call to the socket. Above it nothing more is sealed, so that what waits is held only once.
    private static let sealedBytes = 64 << 10
    private static let recordBytes = 16 << 10
    /// OpenSSL also says things by itself, such as answers to key updates: a peer that asks for them and does not read
    /// gets so far.
    private static let mostUnsentBytes = 256 << 10
    private static let keptBytes = 4 << 10

    /// - Parameter name: at most 255 bytes; a client's server must bear it where certificates are verified. IP addresses,
    ///   too.
    init(_ context: TLSContext, accepts: Bool, name: String = "") {
        guard let ssl = SSL_new(context.pointer), let bio = BIO_new(Self.method) else {
            preconditionFailure("OpenSSL: out of memory")
        }
        self.ssl = ssl
        self.context = context
        BIO_set_data(bio, Unmanaged.passUnretained(self).toOpaque())
        BIO_set_init(bio, 1)
        // One for both directions; it belongs to the session from here on.
        SSL_set_bio(ssl, bio, bio)
        guard !accepts else {
            SSL_set_accept_state(ssl)
            return
        }
        SSL_set_connect_state(ssl)
        let isAddress = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1
        if !isAddress, !name.isEmpty {
            let isNamed = outrigger_tls_ask_for(ssl, name) == 1 && SSL_set1_host(ssl, name) == 1
            precondition(isNamed, "OpenSSL: out of memory, or the name is too long")
        }
        // The first words are ours, and nothing that was said can be wrong yet.
        _ = shakeHands()
    }

    deinit { SSL_free(ssl) }

    // MARK: From the socket

    /// Opens what came, as far as it is complete, and appends it to `input`.
    ///
    /// - Parameter space: to work in; large enough for a record, 16 KiB.
    func take(
        _ bytes: UnsafeRawBufferPointer, working space: UnsafeMutableRawBufferPointer, into input: inout [UInt8]
    ) -> Progress {
        hasBegun = true
        arrived = bytes
        defer { arrived = UnsafeRawBufferPointer(start: nil, count: 0) }
        if !isOpen {
            if let failure = shakeHands() { return .failed(failure) }
            guard isOpen else { return .goesOn }
        }
        while true {
            OpenSSLErrors.clear()
            let count = SSL_read(ssl, space.baseAddress, Int32(space.count))
            guard count > 0 else { return progress(count) }
            input.append(contentsOf: UnsafeRawBufferPointer(rebasing: space[..<Int(count)]))
        }
    }

    private func progress(_ result: Int32) -> Progress {
        switch SSL_get_error(ssl, result) {
        case SSL_ERROR_WANT_READ:
            guard unsentBytes < Self.mostUnsentBytes else {
                return .failed(.broken("asks for more answers than it reads"))
            }
            return .goesOn
        case SSL_ERROR_ZERO_RETURN: return .ended
        default: return .failed(.broken(reason()))
        }
    }

    /// Nil when it is done or needs more from the other side.
    private func shakeHands() -> StreamFailure? {
        OpenSSLErrors.clear()
        let result = SSL_do_handshake(ssl)
        if result == 1 {
            isOpen = true
            return nil
        }
        guard SSL_get_error(ssl, result) != SSL_ERROR_WANT_READ else { return nil }
        return .handshake(reason())
    }

    private func reason() -> String {
        hasFailed = true
        let words = OpenSSLErrors.take() ?? "protocol error"
        let verdict = SSL_get_verify_result(ssl)
        guard SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE, verdict != X509_V_OK else { return words }
        return words + ": " + String(cString: X509_verify_cert_error_string(verdict))
    }

    /// Whether a record or the handshake is cut short when nothing more comes.
    var isMidway: Bool { hasBegun && (!isOpen || SSL_has_pending(ssl) == 1 || isAfterHeader) }

    /// A record's head alone does not count as pending; the state is then called `RB`, "read body".
    private var isAfterHeader: Bool { SSL_rstate_string(ssl).map { strcmp($0, "RB") == 0 } ?? false }

    // MARK: To the socket

    /// Bytes that wait to be sent.
    var unsentBytes: Int { sealed.count - sent }

    /// Seals from the start of `bytes` as much as may wait.
    ///
    /// - Returns: how many bytes were sealed, or why none can be.
    func seal(_ bytes: UnsafeRawBufferPointer) -> Result<Int, StreamFailure> {
        var taken = 0
        while isOpen, taken < bytes.count, unsentBytes < Self.sealedBytes {
            OpenSSLErrors.clear()
            let piece = min(Self.recordBytes, bytes.count - taken)
            let count = SSL_write(ssl, bytes.baseAddress?.advanced(by: taken), Int32(piece))
            guard count > 0 else { return .failure(.broken(reason())) }
            taken += Int(count)
        }
        return .success(taken)
    }

    /// Sends with `send`, which says how many of the bytes it took, until it takes none.
    func drain(_ send: (UnsafeRawBufferPointer) -> Int) {
        while sent < sealed.count {
            let count = sealed.withUnsafeBytes { send(UnsafeRawBufferPointer(rebasing: $0[sent...])) }
            guard count > 0 else { break }
            sent += count
        }
        if sent == sealed.count {
            if sealed.capacity > Self.keptBytes { sealed = [] } else { sealed.removeAll(keepingCapacity: true) }
            sent = 0
        } else if sent > Self.sealedBytes {
            // A socket that always has a little left would never let it become empty.
            sealed.removeFirst(sent)
            sent = 0
        }
    }

    /// Has bytes that were to be sent before TLS began go first, as they are.
    func sendFirst(_ plain: ArraySlice<UInt8>) { sealed.insert(contentsOf: plain, at: 0) }

    /// Says that nothing more will come.
    func sayGoodbye() {
        guard isOpen, !hasFailed else { return }
        OpenSSLErrors.clear()
        SSL_shutdown(ssl)
        OpenSSLErrors.clear()
    }

    // MARK: OpenSSL's view

    /// A source and sink of bytes that is a session: never blocks, never refuses. Written once, by whoever asks first.
    nonisolated(unsafe) private static let method: OpaquePointer = {
        guard let method = BIO_meth_new(outrigger_bio_type(), "outrigger session") else {
            preconditionFailure("OpenSSL: out of memory")
        }
        BIO_meth_set_read(method) { bio, target, count in
            guard let bio, let target else { return 0 }
            outrigger_bio_clear_retry(bio)
            let session = TLSSession.of(bio)
            let taken = min(Int(count), session.arrived.count)
            guard taken > 0, let start = session.arrived.baseAddress else {
                outrigger_bio_has_more_later(bio)
                return -1
            }
            UnsafeMutableRawPointer(target).copyMemory(from: start, byteCount: taken)
            session.arrived = UnsafeRawBufferPointer(rebasing: session.arrived[taken...])
            return Int32(taken)
        }
        BIO_meth_set_write(method) { bio, source, count in
            guard let bio, let source, count > 0 else { return 0 }
            outrigger_bio_clear_retry(bio)
            TLSSession.of(bio).sealed.append(
                contentsOf: UnsafeRawBufferPointer(start: source, count: Int(count)))
            return count
        }
        BIO_meth_set_ctrl(method) { _, command, _, _ in command == BIO_CTRL_FLUSH ? 1 : 0 }
        return method
    }()

    private static func of(_ bio: OpaquePointer) -> TLSSession {
        Unmanaged<TLSSession>.fromOpaque(BIO_get_data(bio)).takeUnretainedValue()
    }
}
