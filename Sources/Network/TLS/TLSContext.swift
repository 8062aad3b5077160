import COpenSSL
import Glibc
import Runtime

/// Settings of OpenSSL that many connections share.
final class TLSContext: Sendable {
    private let storage: Storage
    let failures: TLSFailures

    /// Freed with the last connection: each `SSL` counts itself.
    private struct Storage: @unchecked Sendable { let pointer: OpaquePointer }

    var pointer: OpaquePointer { storage.pointer }

    init(server: Bool, _ failures: TLSFailures = TLSFailures()) throws(TLSError) {
        self.failures = failures
        OpenSSLErrors.clear()
        guard let made = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method()) else {
            throw .openSSL(reason: OpenSSLErrors.take() ?? "no context")
        }
        storage = Storage(pointer: made)
        guard outrigger_tls_restrict(made) == 1 else {
            throw .openSSL(reason: OpenSSLErrors.take() ?? "TLS 1.2 is not available")
        }
        // A key behind a passphrase is refused: OpenSSL would ask the terminal for it.
        SSL_CTX_set_default_passwd_cb(made) { _, _, _, _ in -1 }
    }

    deinit { SSL_CTX_free(pointer) }

    /// Shows a certificate, with those that lead to its authority, and proves with the key that it is ours. PEM.
    func identify(certificateFile: String, keyFile: String) throws(TLSError) {
        try Self.checkReadable("certificate", certificateFile)
        try Self.checkReadable("key", keyFile)
        OpenSSLErrors.clear()
        guard SSL_CTX_use_certificate_chain_file(pointer, certificateFile) == 1 else {
            throw .unusable(what: "certificate", path: certificateFile, reason: OpenSSLErrors.take() ?? "not PEM")
        }
        guard SSL_CTX_use_PrivateKey_file(pointer, keyFile, SSL_FILETYPE_PEM) == 1 else {
            let isAnothers = ERR_peek_error() & 0x7F_FFFF == UInt(X509_R_KEY_VALUES_MISMATCH)
            let reason = OpenSSLErrors.take() ?? "not PEM"
            if isAnothers { throw .keyMismatch(certificate: certificateFile, key: keyFile) }
            throw .unusable(what: "key", path: keyFile, reason: reason)
        }
        guard SSL_CTX_check_private_key(pointer) == 1 else {
            OpenSSLErrors.clear()
            throw .keyMismatch(certificate: certificateFile, key: keyFile)
        }
    }

    /// Trusts what the authorities of a PEM file have signed; without one, those of the system.
    func trust(authorityFile: String?) throws(TLSError) {
        OpenSSLErrors.clear()
        guard let authorityFile else {
            guard SSL_CTX_set_default_verify_paths(pointer) == 1 else {
                throw .openSSL(reason: OpenSSLErrors.take() ?? "the system's authorities are not to be found")
            }
            return
        }
        try Self.checkReadable("authorities", authorityFile)
        guard SSL_CTX_load_verify_file(pointer, authorityFile) == 1 else {
            throw .unusable(what: "authorities", path: authorityFile, reason: OpenSSLErrors.take() ?? "not PEM")
        }
    }

    /// OpenSSL's own words for a missing file are hard to read.
    private static func checkReadable(_ what: String, _ path: String) throws(TLSError) {
        guard access(path, R_OK) == 0 else {
            throw .unusable(what: what, path: path, reason: String(cString: strerror(errno)))
        }
    }
}
