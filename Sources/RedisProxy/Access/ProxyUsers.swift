import Runtime
import Synchronization

/// The sidecar's own users of the Redis proxy. Of a password only a verifier is kept: its SHA-256, as in Redis' own user
/// files, or a slow one, as Postgres keeps it.
public struct ProxyUsers: Sendable {
    private let passwords: [[UInt8]: PasswordVerifier]
    /// Compared with where there is no such user, so that one cannot tell from the time taken.
    private let nobodys: PasswordVerifier
    private let verified = VerifiedPasswords()

    /// What is known of a user and a password at once.
    enum Knowledge {
        case right, wrong
        /// Only a slow check can tell; `note` then keeps that it was right.
        case unsure(SCRAMVerifier)
    }

    /// Whom `AUTH` with a password alone means.
    public static let standard = Array("default".utf8)

    public var isEmpty: Bool { passwords.isEmpty }

    init(_ users: [(name: String, password: PasswordVerifier)] = []) {
        passwords = Dictionary(users.map { (Array($0.name.utf8), $0.password) }) { first, _ in first }
        var slow: SCRAMVerifier?
        for case .scram(let verifier) in users.map(\.password) { slow = slow ?? verifier }
        nobodys = slow.map { .scram(SCRAMVerifier(nobodysLike: $0)) } ?? .digest(SHA256(of: []))
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
    func know(_ name: [UInt8], password: [UInt8]) -> Knowledge {
        let known = passwords[name]
        switch known ?? nobodys {
        case .digest(let digest):
            let isEqual = SHA256(of: password).isEqualInConstantTime(to: digest)
            return isEqual && known != nil ? .right : .wrong
        case .scram(let verifier): return verified.knows(name, password) ? .right : .unsure(verifier)
        }
    }

    func have(_ name: [UInt8]) -> Bool { passwords[name] != nil }

    /// A slow check has found the password right: the next time it need not be made.
    func note(_ name: [UInt8], password: [UInt8]) { verified.add(name, password) }

    private static func password(_ item: SettingsItem) throws(SettingsError) -> PasswordVerifier {
        let plain: String? = try item.read("password", "The password.")
        let file: String? = try item.read("password_file", "A file that holds the password.")
        let digest: String? = try item.read(
            "password_sha256", "The password's SHA-256 in hexadecimal, so that it need not stand here.")
        let scram: String? = try item.read(
            "password_scram",
            "The password's verifier as Postgres keeps it, SCRAM-SHA-256$4096:…, which is slow to guess for whoever steals it."
        )
        guard [plain, file, digest, scram].count(where: { $0 != nil }) == 1 else {
            throw item.failure("name", "needs one of password, password_file, password_sha256 and password_scram")
        }
        if let scram {
            guard let verifier = SCRAMVerifier(scram) else {
                throw item.failure("password_scram", "must be SCRAM-SHA-256$iterations:salt$stored:server")
            }
            return .scram(verifier)
        }
        if let digest {
            guard let password = SHA256(hexadecimal: digest) else {
                throw item.failure("password_sha256", "must be 64 hexadecimal digits")
            }
            return .digest(password)
        }
        let password = if let plain { Array(plain.utf8) } else { try read(file ?? "", item) }
        guard !password.isEmpty else {
            throw item.failure(plain == nil ? "password_file" : "password", "is empty: anybody could come in")
        }
        return .digest(SHA256(of: password))
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

/// Passwords that a slow check has found right, one for each user. Under a key of this process' own, so that what stands in
/// its memory is of no use to anybody.
private final class VerifiedPasswords: Sendable {
    private let key: [UInt8]
    private let digests = Mutex<[[UInt8]: SHA256]>([:])

    init() {
        var dice = SystemRandomNumberGenerator()
        key = (0..<4).flatMap { _ in Array("\(dice.next())".utf8) }
    }

    func knows(_ name: [UInt8], _ password: [UInt8]) -> Bool {
        guard let known = digests.withLock({ $0[name] }) else { return false }
        return digest(password).isEqualInConstantTime(to: known)
    }

    func add(_ name: [UInt8], _ password: [UInt8]) {
        let digest = digest(password)
        digests.withLock { $0[name] = digest }
    }

    private func digest(_ password: [UInt8]) -> SHA256 { SHA256(of: HMAC.sha256(key: key, password)) }
}
