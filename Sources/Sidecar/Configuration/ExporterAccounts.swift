import Databases
import Runtime

/// Where the Postgres is and who we are there, in the parts in which postgres_exporter takes them: `DATA_SOURCE_URI`,
/// `DATA_SOURCE_USER` and `DATA_SOURCE_PASS`, each with `_FILE`.
struct ExporterAccount {
    private let uri: String?
    private let user: String?
    private let password: String?

    init(_ settings: Settings) throws(SettingsError) {
        uri = try settings.read(
            "postgres.uri",
            "Instead of a url: host, port, database and parameters, such as db:5432/app?sslmode=require.",
            aliases: ["DATA_SOURCE_URI"])
        user = try settings.read("postgres.user", "The user that goes with it.", aliases: ["DATA_SOURCE_USER"])
        password = try settings.read("postgres.password", "Its password.", aliases: ["DATA_SOURCE_PASS"])
    }

    /// - Parameter url: what is said in one piece; it wins. Several URLs may stand in it, with commas between.
    func connections(_ url: String?) -> [String] {
        if let url, !url.isEmpty { return ExporterAccount.split(url) }
        guard let uri, !uri.isEmpty else { return [] }
        let account = (user ?? "").percentEncoded + (password.map { ":" + $0.percentEncoded } ?? "")
        return ["postgresql://" + account + (account.isEmpty ? "" : "@") + uri]
    }

    /// A comma may also stand between the hosts of one URL, so only one before the next scheme divides.
    static func split(_ text: String) -> [String] {
        var parts: [String] = []
        for piece in text.split(separator: ",", omittingEmptySubsequences: false).map(String.init) {
            let isURL = piece.hasPrefix("postgresql://") || piece.hasPrefix("postgres://")
            if isURL || parts.isEmpty { parts.append(piece) } else { parts[parts.count - 1] += "," + piece }
        }
        return parts
    }
}

/// Who we are at the one Redis, in the parts in which redis_exporter takes them: `REDIS_USER`, `REDIS_PASSWORD`, and
/// `REDIS_PASSWORD_FILE`, which holds the password or, as there, a JSON of addresses with their passwords.
struct RedisLogin {
    private let user: String?
    private let password: String?
    private let passwords: [String: String]

    init(_ settings: Settings) throws(SettingsError) {
        user = try settings.read("redis.user", "The user at the Redis of redis.url.", aliases: ["REDIS_USER"])
        let password = try settings.read(
            "redis.password", as: String.self, "Its password, or a JSON object of addresses and passwords.",
            aliases: ["REDIS_PASSWORD"])
        let members = password.flatMap { try? JSON.parse(Array($0.utf8)) }?.members
        passwords = Dictionary((members ?? []).map { ($0.key, $0.value.string ?? "") }) { $1 }
        self.password = members == nil ? password : nil
    }

    /// What the address itself says wins.
    func complete(_ address: inout RedisAddress) {
        guard address.password == nil else { return }
        address.user = address.user ?? user
        address.password = password ?? passwords["\(address)"] ?? passwords[address.withoutUser]
    }
}

extension RedisAddress {
    fileprivate var withoutUser: String {
        var address = self
        address.user = nil
        return "\(address)"
    }
}

extension String {
    /// As it may stand for a user or password in a URL.
    fileprivate var percentEncoded: String {
        var text = ""
        for byte in utf8 {
            let character = Character(UnicodeScalar(byte))
            if byte < 128, character.isLetter || character.isNumber || "-._~".contains(character) {
                text.append(character)
            } else {
                text += "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
            }
        }
        return text
    }
}
