/// How many server connections a pool opens: as many as its clients need who have waited for a while, between its limits.
///
/// A client that has to wait is usually served at once by a connection that becomes free: opening one for each would give
/// Postgres more to switch between and nobody an answer sooner. So a pool grows by the time its clients wait, the more the
/// longer the line, and beyond its size only after they have waited for long.
struct PoolSizing {
    /// Waiting this long calls for one more connection.
    static let growAfterMs = 3
    /// And this long for one beyond the size.
    static let overflowAfterMs = 50

    /// What the pool is like at a moment.
    struct Demand {
        var waiting: Int
        /// Of the one who has waited for the longest.
        var longestWaitMs: Int
        /// Connections that are being opened.
        var connecting: Int
        /// Connections there are, those that are being opened included.
        var total: Int
        /// Connections that the user may still open in this database.
        var allowed: Int
    }

    let size: Int
    let overflow: Int

    func connectionsToOpen(_ demand: Demand) -> Int {
        guard demand.waiting > 0 else { return 0 }
        let limit = demand.longestWaitMs >= Self.overflowAfterMs ? size + overflow : size
        let room = min(limit - demand.total, demand.allowed)
        // The first is opened for the first who comes.
        let wanted = demand.total == 0 || demand.longestWaitMs >= Self.growAfterMs ? max(1, demand.waiting / 2) : 0
        return max(0, min(room, wanted - demand.connecting))
    }
}

/// When to try again after Postgres could not be reached or let nobody in: at once, then later and later.
struct ConnectBackoff {
    private(set) var failures = 0
    private var retryAtMs = 0

    static let firstPauseMs = 100
    static let longestPauseMs = 5000

    func mayConnect(nowMs: Int) -> Bool { failures == 0 || nowMs >= retryAtMs }

    mutating func failed(nowMs: Int) {
        failures += 1
        retryAtMs = nowMs + min(Self.longestPauseMs, Self.firstPauseMs << min(failures - 1, 10))
    }

    mutating func succeeded() { failures = 0 }
}

/// Clients that wait for a server connection: first come, first served. Whoever leaves is passed over.
struct WaitingLine {
    private var entries: [(client: ClientSession, ticket: Int)] = []
    private var head = 0
    private var lastTicket = 0
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    mutating func append(_ client: ClientSession) {
        lastTicket += 1
        client.waitTicket = lastTicket
        entries.append((client, lastTicket))
        count += 1
    }

    mutating func remove(_ client: ClientSession) {
        guard client.waitTicket != 0 else { return }
        client.waitTicket = 0
        count -= 1
        trim()
    }

    /// Takes out the first who can be served.
    mutating func popFirst(where isFit: (ClientSession) -> Bool) -> ClientSession? {
        trim()
        for index in head..<entries.count {
            let (client, ticket) = entries[index]
            guard client.waitTicket == ticket, isFit(client) else { continue }
            remove(client)
            return client
        }
        return nil
    }

    /// Who has waited for the longest.
    var first: ClientSession? {
        for index in head..<entries.count where entries[index].client.waitTicket == entries[index].ticket {
            return entries[index].client
        }
        return nil
    }

    var all: [ClientSession] { entries[head...].filter { $0.client.waitTicket == $0.ticket }.map(\.client) }

    private mutating func trim() {
        while head < entries.count, entries[head].client.waitTicket != entries[head].ticket { head += 1 }
        guard head == entries.count || head > 1024 else { return }
        entries.removeFirst(head)
        head = 0
    }
}
