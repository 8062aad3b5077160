import COpenSSL
import Runtime

/// The files of a `TLSServer`, as settings name them.
public struct TLSServerSettings: Sendable {
    public let certificateFile: String
    public let keyFile: String
    public let clientAuthorityFile: String?
    let clients: Clients
    let oldestVersion: Version
    let newestVersion: Version?

    /// What is asked of clients.
    public enum Clients: Sendable {
        case notAsked
        /// Asked for a certificate, of which nothing is held.
        case asked
        case anyRequired
        case verifiedIfGiven
        /// Each must show one that an authority has signed.
        case verified
    }

    public enum Version: Sendable, Comparable {
        case tls12, tls13

        var number: Int32 { self == .tls12 ? TLS1_2_VERSION : TLS1_3_VERSION }
    }

    /// - Parameter clients: nil for `verified` where authorities are given, and `notAsked` where none are.
    public init(
        certificateFile: String, keyFile: String, clientAuthorityFile: String? = nil, clients: Clients? = nil,
        oldestVersion: Version = .tls12, newestVersion: Version? = nil
    ) {
        (self.certificateFile, self.keyFile) = (certificateFile, keyFile)
        self.clientAuthorityFile = clientAuthorityFile
        self.clients = clients ?? (clientAuthorityFile == nil ? .notAsked : .verified)
        (self.oldestVersion, self.newestVersion) = (oldestVersion, newestVersion)
    }

    /// Whether every client has proven who it is.
    public var knowsClients: Bool { clients == .verified }

    /// Reads `NAME.cert_file` and so on.
    ///
    /// - Returns: nil where no certificate is set.
    public static func read(_ settings: Settings, _ name: String) throws(SettingsError) -> TLSServerSettings? {
        let certificate: String? = try settings.read(
            "\(name).cert_file",
            "PEM file with the certificate shown to clients, then those that lead to its authority.")
        let key: String? = try settings.read("\(name).key_file", "PEM file with its key, without a passphrase.")
        let authorities: String? = try settings.read(
            "\(name).client_ca_file", "PEM file; clients must then show a certificate that one of these has signed.")
        switch (certificate, key) {
        case (let certificate?, let key?):
            return TLSServerSettings(certificateFile: certificate, keyFile: key, clientAuthorityFile: authorities)
        case (nil, nil):
            guard authorities == nil else {
                throw SettingsError(
                    place: settings.fileName, key: "\(name).client_ca_file", problem: "needs cert_file and key_file")
            }
            return nil
        default:
            throw SettingsError(
                place: settings.fileName, key: "\(name).cert_file", problem: "cert_file and key_file go together")
        }
    }

    /// Reads the files.
    public func make() throws(TLSError) -> TLSServer { try TLSServer(self) }
}

/// What a `TLSClient` is made from, as settings name it.
public struct TLSClientSettings: Sendable {
    private let authorityFile: String?
    private let certificateFile: String?
    private let keyFile: String?
    private let serverName: String?
    private let isUnverified: Bool

    /// Reads `NAME.ca_file` and so on.
    public init(_ settings: Settings, _ name: String) throws(SettingsError) {
        authorityFile = try settings.read(
            "\(name).ca_file", "PEM file of the authorities to trust instead of the system's.")
        certificateFile = try settings.read("\(name).cert_file", "PEM file with the certificate shown to the server.")
        keyFile = try settings.read("\(name).key_file", "PEM file with its key, without a passphrase.")
        serverName = try settings.read(
            "\(name).server_name", "The name that the server's certificate must bear, when it is not the host's.")
        isUnverified = try settings.read(
            "\(name).insecure_skip_verify", default: false, "Accept any certificate of the server.")
        guard (certificateFile == nil) == (keyFile == nil) else {
            throw SettingsError(
                place: settings.fileName, key: "\(name).cert_file", problem: "cert_file and key_file go together")
        }
    }

    /// Reads the files, for several servers.
    ///
    /// - Parameter host: of the first.
    public func makeForMany(host: String) throws(TLSError) -> TLSClients {
        TLSClients(try make(host: host), isOneName: serverName != nil || isUnverified)
    }

    /// Reads the files.
    ///
    /// - Parameter host: whose certificate is expected unless another name is set; empty for a Unix socket.
    public func make(host: String) throws(TLSError) -> TLSClient {
        try TLSClient(
            serverName: serverName ?? host, authorityFile: authorityFile, certificateFile: certificateFile,
            keyFile: keyFile, isUnverified: isUnverified)
    }
}
