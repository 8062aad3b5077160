import Runtime

/// One of the first commands on a connection to Redis, which make it what it is for: the user, the protocol, the database.
struct Greeting {
    let command: [UInt8]
    /// It says who the proxy itself is: that Redis refuses it is worth a line in the log.
    var isOwnLogin = false
    /// It names no user.
    var isForDefaultUser = false
    /// Said with rights that may not be enough: that Redis refuses it does not end the connection by itself.
    var isTried = false
    /// One of these has to be agreed to, whoever says it.
    var selectsDatabase = false

    /// Whether Redis' answer says that the connection is not what it is for. A Redis whose default user has no password
    /// answers a password with an error, and the connection is the default user's, as was wanted.
    func isRefused(by reply: Span<UInt8>, _ kind: ReplySkimmer.Kind) -> Bool {
        guard kind == .error else { return false }
        return !isForDefaultUser || !reply.copy(0..<min(reply.count, 4)).starts(with: "-ERR".utf8)
    }
}

extension Greeting {
    init(_ words: [String], isTried: Bool = false, selectsDatabase: Bool = false) {
        var command: [UInt8] = []
        command.append(command: words)
        self.init(command: command, isTried: isTried, selectsDatabase: selectsDatabase)
    }

    /// A name is told to those who look at Redis' list of clients, and nothing depends on it.
    init(naming name: [UInt8]) { self.init(command: Self.setName(name), isTried: true) }

    static func setName(_ name: [UInt8]) -> [UInt8] {
        var command: [UInt8] = []
        command.append(arrayOf: 3)
        command.append(bulk: "CLIENT")
        command.append(bulk: "SETNAME")
        command.append(bulk: name.span)
        return command
    }
}
