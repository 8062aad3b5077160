import LocalServers
import Runtime

/// An authority made by the openssl CLI, and certificates that it has signed, in a throw-away folder.
final class TestAuthority: Sendable {
    let folder: TemporaryFolder

    /// Files of one certificate.
    struct Identity: Sendable {
        let certificate: String
        let key: String
    }

    /// PEM.
    var file: String { folder.path + "/ca.pem" }

    init() async throws {
        folder = try TemporaryFolder("outrigger-tls")
        try await openssl(
            ["req", "-x509"] + Self.freshKey + [
                "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=Test",
            ])
    }

    /// - Parameters:
    ///   - names: in OpenSSL's notation, such as `DNS:localhost,IP:127.0.0.1`.
    ///   - days: negative for one that has expired.
    func sign(_ file: String, for names: String, days: Int = 2) async throws -> Identity {
        try await openssl(
            ["req"] + Self.freshKey + [
                "-keyout", "\(file).key", "-out", "\(file).csr", "-subj", "/CN=\(file)", "-addext",
                "subjectAltName=\(names)",
            ])
        try await openssl([
            "x509", "-req", "-in", "\(file).csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "\(days)",
            "-copy_extensions", "copy", "-out", "\(file).pem",
        ])
        return Identity(certificate: "\(folder.path)/\(file).pem", key: "\(folder.path)/\(file).key")
    }

    /// One that is valid for this machine.
    func signLocal() async throws -> Identity { try await sign("local", for: "DNS:localhost,IP:127.0.0.1") }

    private func openssl(_ arguments: [String]) async throws {
        try await LocalServer.run("openssl", arguments, folder: folder)
    }

    private static let freshKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
}
