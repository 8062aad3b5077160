import COpenSSL
import Synchronization

/// TLS for connections that we accept: who we are, and whether clients must show who they are. Sessions are not resumed;
/// TLS 1.2 at least.
public final class TLSServer: Sendable {
    let context: TLSContext

    /// - Parameters:
    ///   - certificateFile: PEM, ours first, then those that lead to its authority.
    ///   - keyFile: PEM, without a passphrase.
    ///   - clientAuthorityFile: PEM; with it every client must show a certificate that one of these has signed.
    public init(certificateFile: String, keyFile: String, clientAuthorityFile: String? = nil) throws(TLSError) {
        context = try TLSContext(server: true)
        try context.identify(certificateFile: certificateFile, keyFile: keyFile)
        guard let clientAuthorityFile else { return }
        try context.trust(authorityFile: clientAuthorityFile)
        SSL_CTX_set_client_CA_list(context.pointer, SSL_load_client_CA_file(clientAuthorityFile))
        SSL_CTX_set_verify(context.pointer, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
    }

    /// Connections that failed the handshake or broke the protocol, ever.
    public var failures: Int { context.failures.load(ordering: .relaxed) }

    func session() -> TLSSession { TLSSession(context, accepts: true) }
}
