import Network
import Runtime

/// Clients that have not logged in yet: whoever takes too long has to go, and so has, when it gets crowded, whoever has
/// waited longest. For the loop's thread.
struct Lobby {
    private var guests: [ObjectIdentifier: ClientSession] = [:]

    static let mostGuests = 1024

    var count: Int { guests.count }

    /// - Returns: who has to make room.
    mutating func add(_ client: ClientSession) -> ClientSession? {
        guests[ObjectIdentifier(client)] = client
        guard guests.count > Self.mostGuests else { return nil }
        return guests.values.filter { $0 !== client && $0.isGuest }.min { $0.connectedAtMs < $1.connectedAtMs }
    }

    mutating func remove(_ client: ClientSession) { guests[ObjectIdentifier(client)] = nil }

    /// Those who have been here since before a moment; who is in is forgotten.
    mutating func late(before limitMs: Int) -> [ClientSession] {
        for (id, client) in guests where !client.isGuest { guests[id] = nil }
        return guests.values.filter { $0.connectedAtMs < limitMs }
    }
}
