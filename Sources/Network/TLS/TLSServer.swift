import COpenSSL
import Runtime
import Synchronization

/// TLS for connections that we accept: who we are, and whether clients must show who they are. Sessions are not resumed;
/// TLS 1.2 at least.
public final class TLSServer: Sendable {
    private let files: Mutex<TLSServerSettings>
    private let seen = TLSFailures()
    private let current: Mutex<TLSContext>

    /// - Parameters:
    ///   - certificateFile: PEM, ours first, then those that lead to its authority.
    ///   - keyFile: PEM, without a passphrase.
    ///   - clientAuthorityFile: PEM; with it every client must show a certificate that one of these has signed.
    public convenience init(
        certificateFile: String, keyFile: String, clientAuthorityFile: String? = nil
    ) throws(TLSError) {
        try self.init(
            TLSServerSettings(
                certificateFile: certificateFile, keyFile: keyFile, clientAuthorityFile: clientAuthorityFile))
    }

    init(_ files: TLSServerSettings) throws(TLSError) {
        self.files = Mutex(files)
        current = Mutex(try Self.load(files, seen))
    }

    /// Connections that failed the handshake or broke the protocol, ever.
    public var failures: Int { seen.count }

    /// What the files held when they were read again, for use once everything else is found to be in order.
    public struct Fresh: Sendable {
        fileprivate let server: TLSServer
        fileprivate let context: TLSContext
        fileprivate let files: TLSServerSettings

        /// From now on for connections that begin; those that are open keep the old one.
        public func use() {
            server.files.withLock { $0 = files }
            server.current.withLock { $0 = context }
        }
    }

    /// Reads the files again, as after a certificate was renewed. Throws when they are of no use.
    public func read() throws(TLSError) -> Fresh { try read(files.withLock { $0 }) }

    /// Reads other files, to be used in place of the present ones.
    public func read(_ files: TLSServerSettings) throws(TLSError) -> Fresh {
        Fresh(server: self, context: try Self.load(files, seen), files: files)
    }

    /// Reads the files again and uses what they hold; when they are of no use the old ones stay in force.
    public func reload() throws(TLSError) { try read().use() }

    func session() -> TLSSession { TLSSession(current.withLock { $0 }, accepts: true) }

    private static func load(_ files: TLSServerSettings, _ failures: TLSFailures) throws(TLSError) -> TLSContext {
        let context = try TLSContext(server: true, failures)
        try context.identify(certificateFile: files.certificateFile, keyFile: files.keyFile)
        guard
            outrigger_tls_versions(context.pointer, files.oldestVersion.number, files.newestVersion?.number ?? 0) == 1
        else { throw .openSSL(reason: OpenSSLErrors.take() ?? "these versions of TLS are not available") }
        if let authorities = files.clientAuthorityFile {
            try context.trust(authorityFile: authorities)
            SSL_CTX_set_client_CA_list(context.pointer, SSL_load_client_CA_file(authorities))
        }
        switch files.clients {
        case .notAsked: break
        case .asked: SSL_CTX_set_verify(context.pointer, SSL_VERIFY_PEER) { _, _ in 1 }
        case .anyRequired:
            SSL_CTX_set_verify(context.pointer, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT) { _, _ in 1 }
        case .verifiedIfGiven: SSL_CTX_set_verify(context.pointer, SSL_VERIFY_PEER, nil)
        case .verified:
            SSL_CTX_set_verify(context.pointer, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
        }
        return context
    }
}
