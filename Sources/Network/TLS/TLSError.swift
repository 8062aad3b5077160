import COpenSSL
import Runtime

/// Why TLS cannot be offered or asked for with these settings. Thrown at the start, never later.
public enum TLSError: Error, Equatable, CustomStringConvertible {
    /// The words are OpenSSL's or the system's.
    case unusable(what: String, path: String, reason: String)
    case keyMismatch(certificate: String, key: String)
    /// A certificate without a key, or the other way round.
    case incomplete(missing: String)
    /// There is no name that the server's certificate could be checked against.
    case namelessServer
    case openSSL(reason: String)

    public var description: String {
        switch self {
        case .unusable(let what, let path, let reason): "\(what) \(path): \(reason)"
        case .keyMismatch(let certificate, let key): "key \(key): does not belong to the certificate \(certificate)"
        case .incomplete(let missing): "certificate and key go together: the \(missing) is missing"
        case .namelessServer: "verify the server: it has no name that its certificate could bear"
        case .openSSL(let reason): "OpenSSL: \(reason)"
        }
    }
}

/// OpenSSL's queue of what went wrong on this thread.
enum OpenSSLErrors {
    /// Forgets what was queued before, which would be taken for the cause of the next failure.
    static func clear() { ERR_clear_error() }

    /// The words for the first failure, or nil where OpenSSL has none; the queue is empty afterwards.
    static func take() -> String? {
        let first = ERR_get_error()
        guard first != 0 else { return nil }
        ERR_clear_error()
        if let words = ERR_reason_error_string(first) { return String(cString: words) }
        // Failures of the system, such as a missing file, have only their number in the code.
        var text = [CChar](repeating: 0, count: 256)
        ERR_error_string_n(first, &text, text.count)
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
