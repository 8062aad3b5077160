/// As whom, where and in which protocol a connection to Redis speaks. Clients that agree in all of it may share one.
struct Identity: Hashable, Sendable {
    var database = 0
    var version = RESPVersion.two
    /// Nil for the proxy's own.
    var credentials: Credentials?

    /// The same for a user that a client has named: the proxy's own is no other.
    func with(_ given: Credentials, _ options: RelayOptions) -> Identity {
        var other = self
        other.credentials = options.credentials?.isSame(as: given) == true ? nil : given
        return other
    }

    /// What is kept locally was read with the proxy's own rights, so only those who have the same may see it.
    var mayShareLocalLevel: Bool { credentials == nil && database < EntryKey.mostDatabases }
}

/// A user of Redis, as a client of the proxy has given it.
struct Credentials: Hashable, Sendable {
    /// Nil for the default user.
    let user: [UInt8]?
    let password: [UInt8]

    /// Whether it is the same user with the same password.
    func isSame(as other: Credentials) -> Bool {
        password == other.password && (user ?? ProxyUsers.standard) == (other.user ?? ProxyUsers.standard)
    }

    /// The `AUTH` that says so.
    var command: [UInt8] {
        var bytes: [UInt8] = []
        append(to: &bytes)
        return bytes
    }

    /// The same, added to others.
    func append(to bytes: inout [UInt8]) {
        bytes.append(arrayOf: user == nil ? 2 : 3)
        bytes.append(bulk: "AUTH")
        if let user { bytes.append(bulk: user.span) }
        bytes.append(bulk: password.span)
    }
}
