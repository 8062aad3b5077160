import COpenSSL
import Runtime

/// TLS for connections that we open to one server: whom to trust, by which name, and who we are. Sessions are not
/// resumed; TLS 1.2 at least.
public final class TLSClient: Sendable {
    let context: TLSContext
    private let name: String

    /// - Parameters:
    ///   - serverName: host name or IP address that the server's certificate must bear; names are also sent to it (SNI).
    ///   - authorityFile: PEM, to be trusted instead of the system's authorities.
    ///   - certificateFile: PEM, shown to servers that ask for one; goes with `keyFile`.
    ///   - isUnverified: accept any certificate.
    public init(
        serverName: String, authorityFile: String? = nil, certificateFile: String? = nil, keyFile: String? = nil,
        isUnverified: Bool = false
    ) throws(TLSError) {
        guard !serverName.isEmpty || isUnverified else { throw .namelessServer }
        guard serverName.utf8.count <= 255 else { throw .openSSL(reason: "server name too long: \(serverName)") }
        name = serverName
        context = try TLSContext(server: false)
        switch (certificateFile, keyFile) {
        case (let certificateFile?, let keyFile?):
            try context.identify(certificateFile: certificateFile, keyFile: keyFile)
        case (nil, nil): break
        case (nil, _): throw .incomplete(missing: "certificate")
        case (_, nil): throw .incomplete(missing: "key")
        }
        guard !isUnverified else { return }
        try context.trust(authorityFile: authorityFile)
        SSL_CTX_set_verify(context.pointer, SSL_VERIFY_PEER, nil)
    }

    private init(_ context: TLSContext, name: String) {
        self.context = context
        self.name = name
    }

    /// The same trust and identity towards a server of another name.
    ///
    /// - Returns: nil for what cannot be a name: the empty one, and those of more than 255 bytes.
    func named(_ name: String) -> TLSClient? {
        (1...255).contains(name.utf8.count) ? TLSClient(context, name: name) : nil
    }

    /// Connections that failed the handshake or broke the protocol, ever.
    public var failures: Int { context.failures.count }

    func session() -> TLSSession { TLSSession(context, accepts: false, name: name) }
}
