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
            guard let number = words[1].strictInteger() else {
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
                guard Self.isName(words[next + 1]) else { throw Fault(reply: Self.badName) }
                next += 2
            default:
                let option = String(decoding: words[next], as: UTF8.self)
                throw Fault(reply: "ERR Syntax error in HELLO option '\(option)'")
            }
        }
        (self.version, self.credentials, self.name) = (version, credentials, name)
    }

    static let badName = "ERR Client names cannot contain spaces, newlines or special characters."

    /// Redis takes what can be seen in a list of clients.
    static func isName(_ name: [UInt8]) -> Bool { name.allSatisfy { (33...126).contains($0) } }

    /// What Redis is asked on a connection that others share: the name stays here, and so do credentials that are not for
    /// Redis to judge.
    func question(withCredentials: Bool) -> [UInt8] {
        var words = [Array("HELLO".utf8)]
        if let version { words.append(Array("\(version.rawValue)".utf8)) }
        if withCredentials, let credentials {
            words += [Array("AUTH".utf8), credentials.user, credentials.password]
        }
        var text: [UInt8] = []
        text.append(arrayOf: words.count)
        for word in words { text.append(bulk: word.span) }
        return text
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
