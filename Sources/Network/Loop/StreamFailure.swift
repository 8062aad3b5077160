import Glibc
import Runtime

/// Why a connection ended, where it was neither closed by us nor in order by the other side.
public enum StreamFailure: Error, Equatable, CustomStringConvertible {
    /// No address of the server took the connection; of the last one tried.
    case unreachable(errno: Int32)
    /// Certificates, versions or ciphers that do not suit, or no TLS at all; in OpenSSL's words.
    case handshake(String)
    /// TLS was broken after the handshake.
    case broken(String)
    /// It ended within the handshake, or within a record.
    case cutShort
    /// Somebody sent plain bytes ahead of the handshake, to be taken for what was said under TLS (CVE-2021-23214).
    case bytesBeforeTLS

    public var description: String {
        switch self {
        case .unreachable(let errno): "connect: \(String(cString: strerror(errno)))"
        case .handshake(let reason): "TLS handshake: \(reason)"
        case .broken(let reason): "TLS: \(reason)"
        case .cutShort: "TLS: the connection ended in the middle"
        case .bytesBeforeTLS: "TLS handshake: plain bytes came before it"
        }
    }
}
