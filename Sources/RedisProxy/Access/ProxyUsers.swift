import Runtime

/// The sidecar's own users of the Redis proxy. Of a password only its SHA-256 is kept, as in Redis' own user files.
public struct ProxyUsers: Sendable {
    private let passwords: [[UInt8]: SHA256]
    /// Compared with where there is no such user, so that one cannot tell from the time taken.
    private static let nobodys = SHA256(of: [])

    /// Whom `AUTH` with a password alone means.
    public static let standard = Array("default".utf8)

    public var isEmpty: Bool { passwords.isEmpty }

    init(_ users: [(name: String, password: SHA256)] = []) {
        passwords = Dictionary(users.map { (Array($0.name.utf8), $0.password) }) { first, _ in first }
    }

    /// Reads `redis_proxy.users`.
    init(_ settings: Settings) throws(SettingsError) {
        let users = try settings.readItems(
            "redis_proxy.users",
            "Who may use the Redis proxy: for clients of other machines, and for all with require_auth."
        ) { item throws(SettingsError) in
            let name = try item.require(
                "name", "What clients give as user; \"default\" for AUTH with a password alone.")
            return (name: name, password: try Self.password(item))
        }
        let names = Set(users.map(\.name))
        guard names.count == users.count else {
            throw SettingsError(
                place: settings.fileName, key: "redis_proxy.users", problem: "two users have one name")
        }
        self.init(users)
    }

    /// Whether there is this user, with this password. Takes as long either way.
    func know(_ name: [UInt8], password: SHA256) -> Bool {
        let known = passwords[name]
        let isEqual = password.isEqualInConstantTime(to: known ?? Self.nobodys)
        return isEqual && known != nil
    }

    func have(_ name: [UInt8]) -> Bool { passwords[name] != nil }

    private static func password(_ item: SettingsItem) throws(SettingsError) -> SHA256 {
        let plain: String? = try item.read("password", "The password.")
        let file: String? = try item.read("password_file", "A file that holds the password.")
        let digest: String? = try item.read(
            "password_sha256", "The password's SHA-256 in hexadecimal, so that it need not stand here.")
        guard [plain, file, digest].count(where: { $0 != nil }) == 1 else {
            throw item.failure("name", "needs one of password, password_file and password_sha256")
        }
        if let digest {
            guard let password = SHA256(hexadecimal: digest) else {
                throw item.failure("password_sha256", "must be 64 hexadecimal digits")
            }
            return password
        }
        let password = if let plain { Array(plain.utf8) } else { try read(file ?? "", item) }
        guard !password.isEmpty else {
            throw item.failure(plain == nil ? "password_file" : "password", "is empty: anybody could come in")
        }
        return SHA256(of: password)
    }

    private static func read(_ file: String, _ item: SettingsItem) throws(SettingsError) -> [UInt8] {
        do {
            var bytes = try Files.read(file, limitBytes: 64 << 10)
            while bytes.last == UInt8(ascii: "\n") || bytes.last == UInt8(ascii: "\r") { bytes.removeLast() }
            return bytes
        } catch {
            throw item.failure("password_file", "\(error)")
        }
    }
}

/// Who may use the Redis proxy, and what is asked of them. A reload replaces it.
public struct ClientRights: Sendable {
    let rule: AccessRule
    let users: ProxyUsers
}
