/// Where a Redis is and who we are there, checked once: `redis://user:password@host:port/db`, `rediss://…`,
/// `valkey://…`, `valkeys://…`, `unix:///path/of.sock?db=1`, or a bare `host:port` or `/path/of.sock`.
///
/// Its description is safe to print: the password is never part of it.
public struct RedisAddress: Sendable, Hashable {
    public enum Endpoint: Sendable, Hashable {
        case tcp(host: String, port: UInt16)
        case unix(path: String)
    }

    public var endpoint: Endpoint
    /// Needs an ACL, so Redis 6 or newer.
    public var user: String?
    public var password: String?
    public var database: Int
    public var usesTLS: Bool
    /// 2, or 3 where the address asks for it, from Redis 6 on.
    public var protocolVersion = 2

    public init(
        _ endpoint: Endpoint, user: String? = nil, password: String? = nil, database: Int = 0, usesTLS: Bool = false
    ) {
        self.endpoint = endpoint
        self.user = user
        self.password = password
        self.database = database
        self.usesTLS = usesTLS
    }

    /// Why a text is no address. The text itself may hold a password, so it is not repeated.
    public enum Malformed: Error, Equatable, CustomStringConvertible {
        case unknownScheme(String)
        case badPort(String)
        case badDatabase(String)
        case noHost
        case noPath
        case pathTooLong(bytes: Int)
        case badProtocol(String)
        case unknownParameter(String)

        public var description: String {
            switch self {
            case .unknownScheme(let scheme):
                "redis address: scheme \(Self.shown(scheme)): want redis, rediss, valkey, valkeys or unix"
            case .badPort(let port): "redis address: port \(Self.shown(port)): want 1 to 65535"
            case .badDatabase(let database): "redis address: database \(Self.shown(database)): want a number from 0"
            case .noHost: "redis address: no host"
            case .noPath: "redis address: no path of a socket"
            case .pathTooLong(let bytes):
                "redis address: path of the socket has \(bytes) bytes: want at most \(maxSocketPathBytes)"
            case .unknownParameter(let name):
                "redis address: parameter \(Self.shown(name)): want db, username, password or protocol"
            case .badProtocol(let version): "redis address: protocol \(version): want 2 or 3"
            }
        }

        /// With a slash or an @ at the wrong place, a part of the address that is named may hold the password.
        private static func shown(_ part: String) -> String {
            part.contains { ":@/".contains($0) } || part.utf8.count > 32 ? "***" : part
        }
    }

    /// What `sun_path` of Linux holds besides its final zero.
    static let maxSocketPathBytes = 107

    public init(parsing text: String) throws(Malformed) {
        if text.hasPrefix("/") {
            try self.init(socket: text[...])
            return
        }
        guard let mark = text.utf8.firstRange(of: "://") else {
            try self.init(network: text[...], usesTLS: false)
            return
        }
        let rest = text[mark.upperBound...]
        switch text[..<mark.lowerBound] {
        case "redis", "valkey", "tcp": try self.init(network: rest, usesTLS: false)
        case "rediss", "valkeys": try self.init(network: rest, usesTLS: true)
        case "unix", "redis-socket": try self.init(socket: rest)
        case let scheme: throw .unknownScheme(String(scheme))
        }
    }

    private init(network text: Substring, usesTLS: Bool) throws(Malformed) {
        let (place, query) = text.cut(at: "?")
        let (authority, path) = place.cut(at: "/")
        var host = authority
        if let at = authority.lastIndex(of: "@") {
            host = authority[authority.index(after: at)...]
            let (user, password) = authority[..<at].cut(at: ":")
            self.user = user.isEmpty ? nil : user.percentDecoded
            self.password = password?.percentDecoded
        }
        var port = Substring("6379")
        if host.hasPrefix("["), let end = host.firstIndex(of: "]") {
            let after = host[host.index(after: end)...]
            if after.hasPrefix(":") { port = after.dropFirst() }
            host = host[host.index(after: host.startIndex)..<end]
        } else if let colon = host.lastIndex(of: ":") {
            port = host[host.index(after: colon)...]
            host = host[..<colon]
        }
        guard !host.isEmpty else { throw .noHost }
        guard let number = UInt16(port), number > 0 else { throw .badPort(String(port)) }
        endpoint = .tcp(host: host.percentDecoded, port: number)
        database = 0
        self.usesTLS = usesTLS
        if let path, !path.isEmpty { database = try Self.database(path) }
        try read(query)
    }

    private init(socket text: Substring) throws(Malformed) {
        let (place, query) = text.cut(at: "?")
        guard let slash = place.firstIndex(of: "/") else { throw .noPath }
        let path = place[slash...].percentDecoded
        guard path.utf8.count > 1 else { throw .noPath }
        guard path.utf8.count <= Self.maxSocketPathBytes else { throw .pathTooLong(bytes: path.utf8.count) }
        endpoint = .unix(path: path)
        database = 0
        usesTLS = false
        if place[..<slash].hasSuffix("@") {
            let (user, password) = place[..<slash].dropLast().cut(at: ":")
            self.user = user.isEmpty ? nil : user.percentDecoded
            self.password = password?.percentDecoded
        }
        try read(query)
    }

    private mutating func read(_ query: Substring?) throws(Malformed) {
        for parameter in (query ?? "").split(separator: "&") {
            let (name, value) = parameter.cut(at: "=")
            switch name {
            case "db", "database": database = try Self.database(value ?? "")
            case "username", "user": user = (value ?? "").percentDecoded
            case "password": password = (value ?? "").percentDecoded
            case "protocol":
                guard let version = Int(value ?? ""), version == 2 || version == 3 else {
                    throw .badProtocol(String(value ?? ""))
                }
                protocolVersion = version
            default: throw .unknownParameter(String(name))
            }
        }
    }

    private static func database(_ text: Substring) throws(Malformed) -> Int {
        guard let number = Int(text), number >= 0 else { throw .badDatabase(String(text)) }
        return number
    }
}

extension RedisAddress: CustomStringConvertible {
    public var description: String {
        let login = user.map { "\($0)@" } ?? ""
        switch endpoint {
        case .tcp(let host, let port):
            let place = host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
            return "\(usesTLS ? "rediss" : "redis")://\(login)\(place)" + (database == 0 ? "" : "/\(database)")
        case .unix(let path): return "unix://\(login)\(path)" + (database == 0 ? "" : "?db=\(database)")
        }
    }
}

extension String.UTF8View {
    /// Where `text` begins and ends for the first time.
    fileprivate func firstRange(of text: String) -> Range<Index>? {
        var start = startIndex
        while start != endIndex {
            if self[start...].starts(with: text.utf8) { return start..<index(start, offsetBy: text.utf8.count) }
            start = index(after: start)
        }
        return nil
    }
}

extension Substring {
    /// What stands before and after the first `mark`; nothing after where there is none.
    fileprivate func cut(at mark: Character) -> (Substring, Substring?) {
        guard let place = firstIndex(of: mark) else { return (self, nil) }
        return (self[..<place], self[index(after: place)...])
    }

    /// `%41` read as `A`; what is no such escape stays as it stands.
    fileprivate var percentDecoded: String {
        var bytes: [UInt8] = []
        var rest = utf8[...]
        while let byte = rest.popFirst() {
            let digits = rest.prefix(2)
            if byte == UInt8(ascii: "%"), digits.count == 2, let code = UInt8(Substring(digits), radix: 16) {
                bytes.append(code)
                rest.removeFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
