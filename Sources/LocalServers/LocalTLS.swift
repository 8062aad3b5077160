import Glibc
import Runtime

/// A certificate for this machine under the names of loopback, which is its own authority, made by the openssl CLI in a
/// throw-away folder.
public final class LocalTLS: Sendable {
    private let folder: TemporaryFolder

    /// PEM; also the authority that signed it.
    public var certificateFile: String { folder.path + "/cert.pem" }
    public var keyFile: String { folder.path + "/key.pem" }

    private init(_ folder: TemporaryFolder) { self.folder = folder }

    public static func make() async throws -> LocalTLS {
        let tls = LocalTLS(try TemporaryFolder("outrigger-local-tls"))
        try await tls.renew()
        return tls
    }

    /// Puts another key and certificate in the place of the ones there.
    public func renew() async throws {
        try await LocalServer.run(
            "openssl",
            [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                "-subj", "/CN=Test", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", "key.pem",
                "-out", "cert.pem",
            ], folder: folder)
        // Servers may run as another user.
        chmod(keyFile, 0o644)
    }

    /// Settings of `redis-server`, with their values, under which it listens with TLS alone.
    func redisSettings(port: UInt16) -> [(name: String, value: String)] {
        [
            ("port", "0"), ("tls-port", "\(port)"), ("tls-cert-file", certificateFile), ("tls-key-file", keyFile),
            ("tls-ca-cert-file", certificateFile), ("tls-auth-clients", "no"), ("tls-replication", "yes"),
        ]
    }

    /// Options with which `redis-cli` trusts it.
    var clientOptions: [String] { ["--tls", "--cacert", certificateFile] }
}
