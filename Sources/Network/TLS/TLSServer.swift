import COpenSSL
import Runtime
import Synchronization

/// TLS for connections that we accept: who we are, and whether clients must show who they are. Sessions are not resumed;
/// TLS 1.2 at least.
public final class TLSServer: Sendable {
    private let files: TLSServerSettings
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
        self.files = files
        current = Mutex(try Self.load(files, seen))
    }

    /// Connections that failed the handshake or broke the protocol, ever.
    public var failures: Int { seen.count }

    /// What the files held when they were read again, for use once everything else is found to be in order.
    public struct Fresh: Sendable {
        fileprivate let server: TLSServer
        fileprivate let context: TLSContext

        /// From now on for connections that begin; those that are open keep the old one.
        public func use() { server.current.withLock { $0 = context } }
    }

    /// Reads the files again, as after a certificate was renewed. Throws when they are of no use.
    public func read() throws(TLSError) -> Fresh { Fresh(server: self, context: try Self.load(files, seen)) }

    /// Reads the files again and uses what they hold; when they are of no use the old ones stay in force.
    public func reload() throws(TLSError) { try read().use() }

    func session() -> TLSSession { TLSSession(current.withLock { $0 }, accepts: true) }

    private static func load(_ files: TLSServerSettings, _ failures: TLSFailures) throws(TLSError) -> TLSContext {
        let context = try TLSContext(server: true, failures)
        try context.identify(certificateFile: files.certificateFile, keyFile: files.keyFile)
        guard let authorities = files.clientAuthorityFile else { return context }
        try context.trust(authorityFile: authorities)
        SSL_CTX_set_client_CA_list(context.pointer, SSL_load_client_CA_file(authorities))
        SSL_CTX_set_verify(context.pointer, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
        return context
    }
}
