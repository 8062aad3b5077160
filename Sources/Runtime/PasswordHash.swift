import CCrypt
import Glibc

/// A slow hash of a password as `htpasswd -B` writes it: bcrypt, `$2y$10$…`. libxcrypt, which keeps the passwords of Debian,
/// does the work.
public struct PasswordHash: Sendable, Hashable {
    public let text: String

    /// Nil for what is no bcrypt hash of a cost from 4 to 16; more would take seconds for a single request.
    public init?(_ text: String) {
        let parts = text.split(separator: "$", omittingEmptySubsequences: false)
        guard parts.count == 4, parts[0].isEmpty, ["2a", "2b", "2y"].contains(parts[1]), parts[2].utf8.count == 2,
            let cost = Int(parts[2]), (4...16).contains(cost), parts[3].utf8.count == 53
        else { return nil }
        self.text = text
    }

    /// Whether it is the hash of this password. Takes as long as its cost says: 10 takes a twentieth of a second.
    public func matches(_ password: String) -> Bool {
        // C would read up to the zero, and take the rest for nothing.
        guard !password.utf8.contains(0), let made = outrigger_crypt(password, text) else { return false }
        defer { free(made) }
        return SHA256(of: Array(String(cString: made).utf8)).isEqualInConstantTime(to: SHA256(of: Array(text.utf8)))
    }
}
