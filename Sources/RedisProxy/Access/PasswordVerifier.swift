import Runtime

/// What is kept of a user's password: enough to know it again, and no more.
enum PasswordVerifier: Sendable {
    /// Quick to check, and so quick to guess for whoever has stolen it.
    case digest(SHA256)
    /// As Postgres keeps it. Each check costs as many rounds as each guess of a thief.
    case scram(SCRAMVerifier)
}

/// `SCRAM-SHA-256$4096:salt$stored:server` (RFC 5803), as Postgres has it in `pg_authid.rolpassword`.
struct SCRAMVerifier: Sendable {
    private let salt: [UInt8]
    private let iterations: Int
    private let storedKey: SHA256

    /// More would keep one thread busy for seconds with each password.
    private static let mostIterations = 1_000_000

    /// Nil for what is no verifier.
    init?(_ text: String) {
        let parts = text.split(separator: "$", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == "SCRAM-SHA-256" else { return nil }
        let salting = parts[1].split(separator: ":", omittingEmptySubsequences: false)
        let keys = parts[2].split(separator: ":", omittingEmptySubsequences: false)
        guard salting.count == 2, keys.count == 2, let iterations = Int(salting[0]),
            (1...Self.mostIterations).contains(iterations), let salt = [UInt8](base64: Array(salting[1].utf8)),
            let stored = [UInt8](base64: Array(keys[0].utf8)), let storedKey = SHA256(hexadecimal: stored.hexadecimal)
        else { return nil }
        (self.salt, self.iterations, self.storedKey) = (salt, iterations, storedKey)
    }

    /// One that nobody's password fits, and that takes as long to find out as `other`.
    init(nobodysLike other: SCRAMVerifier) {
        var dice = SystemRandomNumberGenerator()
        (salt, iterations) = (other.salt, other.iterations)
        storedKey = SHA256(of: (0..<4).flatMap { _ in Array("\(dice.next())".utf8) })
    }

    /// Takes milliseconds: never on an event loop.
    func matches(_ password: [UInt8]) -> Bool {
        let salted = PBKDF2.sha256(password: password, salt: salt, iterations: iterations)
        let key = HMAC.sha256(key: salted, Array("Client Key".utf8))
        return SHA256(of: key).isEqualInConstantTime(to: storedKey)
    }
}
