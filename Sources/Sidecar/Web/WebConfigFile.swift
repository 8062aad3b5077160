import Network
import Runtime

/// A web configuration file as Prometheus and its exporters read it (exporter-toolkit): TLS, users, headers.
struct WebConfigFile: Sendable {
    let path: String
    let tls: TLSServerSettings?
    /// By name.
    let users: [String: PasswordHash]
    let headers: [(name: String, value: String)]

    init(_ path: String) throws(SettingsError) {
        self.path = path
        let bytes: [UInt8]
        do { bytes = try Files.read(path, limitBytes: 1 << 20) } catch {
            throw SettingsError(place: path, key: "", problem: "\(error)")
        }
        let root: YAML?
        do { root = try YAML.parse(bytes) } catch {
            throw SettingsError(place: "\(path):\(error.line)", key: "", problem: error.problem)
        }
        var tls: TLSServerSettings?
        var users: [String: PasswordHash] = [:]
        var headers: [(name: String, value: String)] = []
        for entry in try Self.entries(root, "", path) where !entry.value.isNull {
            switch entry.key {
            case "tls_server_config": tls = try Self.tls(entry.value, path)
            case "basic_auth_users":
                for user in try Self.entries(entry.value, entry.key, path) {
                    guard let hash = PasswordHash(user.value.text ?? "") else {
                        throw Self.wrong(
                            path, user, "basic_auth_users.\(user.key)", "is no bcrypt hash of a cost from 4 to 16")
                    }
                    users[user.key] = hash
                }
            case "http_server_config": headers = try Self.headers(entry.value, path)
            default: throw Self.wrong(path, entry, entry.key, "unknown key")
            }
        }
        (self.tls, self.users, self.headers) = (tls, users, headers)
    }

    private static func tls(_ node: YAML, _ path: String) throws(SettingsError) -> TLSServerSettings? {
        let key = "tls_server_config"
        var (certificate, secret, authorities, kind) = ("", "", "", "")
        var (oldest, newest) = (TLSServerSettings.Version.tls12, TLSServerSettings.Version?.none)
        for entry in try entries(node, key, path) {
            let text = entry.value.text ?? ""
            switch entry.key {
            case "cert_file": certificate = beside(path, text)
            case "key_file": secret = beside(path, text)
            case "client_ca_file": authorities = beside(path, text)
            case "client_auth_type": kind = text
            case "min_version": oldest = try version(entry, path)
            case "max_version": newest = try version(entry, path)
            // Both sides agree on the best that both have; the order of ours is OpenSSL's.
            case "prefer_server_cipher_suites": continue
            default: throw wrong(path, entry, "\(key).\(entry.key)", "is not supported")
            }
        }
        guard !certificate.isEmpty, !secret.isEmpty else {
            guard certificate.isEmpty, secret.isEmpty, authorities.isEmpty, kind.isEmpty else {
                throw SettingsError(place: path, key: key, problem: "cert_file and key_file go together")
            }
            return nil
        }
        let clients: TLSServerSettings.Clients
        switch kind {
        case "", "NoClientCert": clients = .notAsked
        case "RequestClientCert": clients = .asked
        case "RequireAnyClientCert": clients = .anyRequired
        case "VerifyClientCertIfGiven": clients = .verifiedIfGiven
        case "RequireAndVerifyClientCert": clients = .verified
        default:
            throw SettingsError(place: path, key: "\(key).client_auth_type", problem: "\"\(kind)\" is none of Go's")
        }
        let verifies = clients == .verified || clients == .verifiedIfGiven
        guard authorities.isEmpty != verifies else {
            throw SettingsError(
                place: path, key: "\(key).client_ca_file",
                problem: verifies ? "is missing, and \(kind) needs it" : "needs a client_auth_type that verifies")
        }
        return TLSServerSettings(
            certificateFile: certificate, keyFile: secret, clientAuthorityFile: authorities.isEmpty ? nil : authorities,
            clients: clients, oldestVersion: oldest, newestVersion: newest)
    }

    private static func version(_ entry: YAML.Entry, _ path: String) throws(SettingsError) -> TLSServerSettings.Version
    {
        switch entry.value.text {
        case "TLS12": return .tls12
        case "TLS13": return .tls13
        default: throw wrong(path, entry, "tls_server_config.\(entry.key)", "is neither TLS12 nor TLS13")
        }
    }

    private static let allowedHeaders = [
        "Strict-Transport-Security", "X-Content-Type-Options", "X-Frame-Options", "X-XSS-Protection",
        "Content-Security-Policy",
    ]

    private static func headers(_ node: YAML, _ path: String) throws(SettingsError) -> [(name: String, value: String)] {
        var headers: [(name: String, value: String)] = []
        for entry in try entries(node, "http_server_config", path) {
            switch entry.key {
            // HTTP/1.1 is all there is, and what every client of it falls back to.
            case "http2": continue
            case "headers":
                for header in try entries(entry.value, "http_server_config.headers", path) {
                    guard allowedHeaders.contains(header.key) else {
                        throw wrong(
                            path, header, "http_server_config.headers.\(header.key)",
                            "is none of \(allowedHeaders.joined(separator: ", "))")
                    }
                    if let value = header.value.text, !value.isEmpty { headers.append((header.key, value)) }
                }
            default: throw wrong(path, entry, "http_server_config.\(entry.key)", "unknown key")
            }
        }
        return headers
    }

    private static func entries(_ node: YAML?, _ key: String, _ path: String) throws(SettingsError) -> [YAML.Entry] {
        guard let node, !node.isNull else { return [] }
        guard let entries = node.entries else {
            throw SettingsError(
                place: "\(path):\(node.line)", key: key, problem: "must be a mapping, but is \(node.kindText)")
        }
        return entries
    }

    private static func wrong(_ path: String, _ entry: YAML.Entry, _ key: String, _ problem: String) -> SettingsError {
        SettingsError(place: "\(path):\(entry.line)", key: key, problem: problem)
    }

    private static func beside(_ path: String, _ file: String) -> String {
        guard !file.isEmpty, !file.hasPrefix("/"), let slash = path.lastIndex(of: "/") else { return file }
        return path[...slash] + file
    }
}
