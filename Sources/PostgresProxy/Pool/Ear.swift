import Runtime

/// The one connection that listens for all clients of a user in a database (`LISTEN`), so that none of them needs a server
/// of its own for it. For the loop's thread.
final class Ear {
    private let pooler: Pooler
    private let pool: Pool
    /// Nil until it is logged in.
    private var server: ServerConnection?
    private var listeners: [[UInt8]: [ObjectIdentifier: Held]] = [:]
    /// Clients whose channels are not confirmed yet, and those whose are being confirmed now.
    private var asked: [ClientSession] = []
    private var inFlight: [ClientSession] = []
    /// Channels that the server has been told of.
    private var told: Set<[UInt8]> = []

    private struct Held { weak var client: ClientSession? }

    /// Of all clients together.
    private static let mostChannels = 10_000

    init(_ pooler: Pooler, _ account: PoolKey.Account) {
        self.pooler = pooler
        let key = PoolKey(
            user: account.user, database: account.database, mode: .session, parameters: [], isReplication: false)
        pool = Pool(pooler, key)
        pool.ear = self
    }

    var isUnused: Bool { listeners.isEmpty && asked.isEmpty && inFlight.isEmpty }

    /// Tells the client by its `heard` once it listens.
    ///
    /// - Returns: false where there is no room for another channel.
    func listen(_ client: ClientSession, to channel: [UInt8]) -> Bool {
        guard listeners[channel] != nil || listeners.count < Self.mostChannels else { return false }
        listeners[channel, default: [:]][ObjectIdentifier(client)] = Held(client: client)
        asked.append(client)
        tell()
        return true
    }

    /// - Parameter channel: nil for all.
    func forget(_ client: ClientSession, _ channel: [UInt8]? = nil) {
        for name in channel.map({ [$0] }) ?? Array(listeners.keys) {
            listeners[name]?[ObjectIdentifier(client)] = nil
            if listeners[name]?.isEmpty == true { listeners[name] = nil }
        }
        asked.removeAll { $0 === client }
        inFlight.removeAll { $0 === client }
        tell()
    }

    private func tell() {
        guard let server else { return isUnused ? () : pool.openEar() }
        guard server.isQuiet else { return }
        var sql: [UInt8] = []
        for channel in listeners.keys where told.insert(channel).inserted {
            sql.append(contentsOf: "LISTEN ".utf8)
            sql.append(identifier: channel)
            sql.append(contentsOf: "; ".utf8)
        }
        for channel in told where listeners[channel] == nil {
            told.remove(channel)
            sql.append(contentsOf: "UNLISTEN ".utf8)
            sql.append(identifier: channel)
            sql.append(contentsOf: "; ".utf8)
        }
        (inFlight, asked) = (asked, [])
        guard !sql.isEmpty else { return confirm() }
        server.askForEar(sql)
    }

    private func confirm() {
        let confirmed = inFlight
        inFlight = []
        for client in confirmed { client.heard(nil) }
    }

    // MARK: From its pool

    /// The server is logged in, or has answered.
    func settled(_ server: ServerConnection) {
        guard server.isQuiet else { return }
        if server.isSpent {
            pool.discard(server)
            return lost(Complaint(.error, "58000", "the server connection that listens refused"))
        }
        if self.server == nil {
            self.server = server
        } else {
            confirm()
        }
        if !asked.isEmpty || told.count != listeners.count { tell() }
    }

    /// Whoever listened misses what is said now, and has to know.
    func lost(_ complaint: Complaint) {
        (server, told) = (nil, [])
        let clients = listeners.values.flatMap { $0.values.compactMap(\.client) }
        (listeners, asked, inFlight) = ([:], [], [])
        for client in clients { client.earIsLost(complaint) }
    }

    /// - Parameter body: of the NotificationResponse.
    func notified(_ body: Span<UInt8>) {
        guard body.count > 5, let end = body.zero(from: 4, before: body.count),
            let held = listeners[body.array(4..<end)]
        else { return }
        var message: [UInt8] = []
        message.append(frame: FromServer.notification) { $0.append(bytes: body) }
        for entry in held.values { entry.client?.notify(message) }
    }

    func sweep(nowMs: Int) { pool.sweep(nowMs: nowMs) }

    func end() { pool.end() }
}
