import Network
import Runtime

/// The Postgres behind the proxy: where it is, and as whom to log in.
public struct Upstream: Sendable {
    /// Whether to ask for TLS, in libpq's words.
    public enum TLSMode: String, Sendable, CaseIterable {
        case disable, allow, prefer, require
        case verifyCA = "verify-ca"
        case verifyFull = "verify-full"

        var asks: Bool { self != .disable && self != .allow }
        var insists: Bool { self == .require || self == .verifyCA || self == .verifyFull }
    }

    /// What a server must be, in libpq's words; as it says itself after the login.
    public enum Attributes: String, Sendable, CaseIterable {
        case any
        case readWrite = "read-write"
        case readOnly = "read-only"
        case primary, standby
        case preferStandby = "prefer-standby"

        var wantsPrimary: Bool { self == .readWrite || self == .primary }

        func suits(_ welcome: ServerLogin.Welcome) -> Bool {
            func isOn(_ name: String) -> Bool? {
                let name = Array(name.utf8)
                return welcome.parameters.first { $0.name == name }.map { $0.value == Array("on".utf8) }
            }
            // Before PostgreSQL 14 no server says so, and every one will do.
            guard let isStandby = isOn("in_hot_standby"), let isReadOnly = isOn("default_transaction_read_only") else {
                return true
            }
            return switch self {
            case .any, .preferStandby: true
            case .readWrite: !isStandby && !isReadOnly
            case .readOnly: isStandby || isReadOnly
            case .primary: !isStandby
            case .standby: isStandby
            }
        }
    }

    public struct Host: Sendable {
        /// For people.
        public let name: String
        public let port: UInt16
        public let address: StreamAddress
        /// Nil where TLS is not asked for; never for a Unix socket.
        public let tls: TLSClient?

        /// Whether the way there never leaves this machine.
        let isLocal: Bool

        /// - Parameter name: of the host; the folder of a Unix socket.
        public init(name: String, port: UInt16, address: StreamAddress, tls: TLSClient?) {
            (self.name, self.port, self.address, self.tls) = (name, port, address, tls)
            isLocal = ["localhost", "127.0.0.1", "::1"].contains(name) || name.hasPrefix("/") || name.hasPrefix("@")
        }
    }

    /// At least one; they are tried in turn.
    public let hosts: [Host]
    public let tlsMode: TLSMode
    /// Who logs in when a client has this name, and with what.
    public let user: String
    public let password: String?
    /// The database of clients that name another than they mean; for people.
    public let database: String
    /// Passwords of other users, by name.
    public let passwords: [String: String]
    public let attributes: Attributes

    public init(
        hosts: [Host], tlsMode: TLSMode = .prefer, user: String, password: String?, database: String,
        passwords: [String: String] = [:], attributes: Attributes = .any
    ) {
        self.attributes = attributes
        precondition(!hosts.isEmpty, "no host")
        (self.hosts, self.tlsMode, self.user, self.password) = (hosts, tlsMode, user, password)
        (self.database, self.passwords) = (database, passwords)
    }

    /// What a user's connections to Postgres log in with; nil where no password is known.
    func password(of user: [UInt8]) -> [UInt8]? {
        let name = String(decoding: user, as: UTF8.self)
        return (passwords[name] ?? (name == self.user ? password : nil)).map { Array($0.utf8) }
    }
}
