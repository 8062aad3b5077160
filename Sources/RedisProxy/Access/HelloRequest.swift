/// What a client says with `HELLO`.
public struct HelloRequest: Sendable, Equatable {
    /// Nil to leave it as it is.
    public let version: RESPVersion?
    public let credentials: Credentials?
    public let name: [UInt8]?

    public struct Credentials: Sendable, Equatable {
        public let user: [UInt8]
        public let password: [UInt8]
    }

    /// What is replied instead, in Redis' words.
    public struct Fault: Error, Equatable {
        public let reply: String
    }

    /// For clients that must authenticate and do not.
    public static let needsCredentials = """
        NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> \
        option can be used to authenticate the client and select the RESP protocol version at the same time
        """

    /// - Parameter words: including `HELLO` itself.
    public init(_ words: [[UInt8]]) throws(Fault) {
        var version: RESPVersion?
        var credentials: Credentials?
        var name: [UInt8]?
        if words.count > 1 {
            guard let number = Int(String(decoding: words[1], as: UTF8.self)) else {
                throw Fault(reply: "ERR Protocol version is not an integer or out of range")
            }
            version = RESPVersion(rawValue: number)
            guard version != nil else { throw Fault(reply: "NOPROTO unsupported protocol version") }
        }
        var next = 2
        while next < words.count {
            switch String(decoding: words[next], as: UTF8.self).lowercased() {
            case "auth" where next + 2 < words.count:
                credentials = Credentials(user: words[next + 1], password: words[next + 2])
                next += 3
            case "setname" where next + 1 < words.count:
                name = words[next + 1]
                guard words[next + 1].allSatisfy({ (33...126).contains($0) }) else {
                    throw Fault(
                        reply: "ERR Client names cannot contain spaces, newlines or special characters.")
                }
                next += 2
            default:
                let option = String(decoding: words[next].prefix(128), as: UTF8.self)
                throw Fault(reply: "ERR Syntax error in HELLO option '\(option)'")
            }
        }
        (self.version, self.credentials, self.name) = (version, credentials, name)
    }
}

/// What a client says with `AUTH`.
public struct AuthRequest: Sendable, Equatable {
    /// Nil where there is a password alone.
    public let user: [UInt8]?
    public let password: [UInt8]

    /// - Parameter words: including `AUTH` itself.
    public init(_ words: [[UInt8]]) throws(HelloRequest.Fault) {
        switch words.count {
        case 2: (user, password) = (nil, words[1])
        case 3: (user, password) = (words[1], words[2])
        case 4...: throw HelloRequest.Fault(reply: "ERR syntax error")
        default: throw HelloRequest.Fault(reply: "ERR wrong number of arguments for 'auth' command")
        }
    }
}
