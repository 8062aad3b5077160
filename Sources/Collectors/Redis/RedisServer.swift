import Databases

/// What kind of server answers: it decides which commands are worth asking.
struct RedisServer: Equatable {
    struct Version: Comparable {
        let major: Int
        let minor: Int

        static func < (left: Version, right: Version) -> Bool {
            (left.major, left.minor) < (right.major, right.minor)
        }

        /// Reads `7.0.15`; what has no numbers is nil.
        init?(_ text: String) {
            let parts = text.split(separator: ".")
            guard let first = parts.first, let major = Int(first) else { return nil }
            self.major = major
            minor = parts.count > 1 ? Int(parts[1]) ?? 0 : 0
        }

        init(_ major: Int, _ minor: Int) {
            self.major = major
            self.minor = minor
        }
    }

    /// The version of Redis that it is, or is compatible with. A server that tells none is asked everything once.
    var redis: Version?
    var valkey: Version?
    var isSentinel = false

    init(info: String) {
        for line in info.split(whereSeparator: \.isNewline) {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let value = String(line[line.index(after: colon)...])
            switch line[..<colon] {
            case "redis_version": redis = Version(value)
            case "valkey_version": valkey = Version(value)
            case "redis_mode", "server_mode": isSentinel = value == "sentinel"
            default: continue
            }
        }
    }

    func isAtLeast(_ major: Int, _ minor: Int = 0) -> Bool { redis.map { $0 >= Version(major, minor) } ?? true }

    /// COMMANDLOG came with Valkey 8.1.
    var hasCommandLog: Bool { valkey.map { $0 >= Version(8, 1) } ?? false }
}
