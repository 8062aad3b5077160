import Network
import Runtime

/// One request of a client and its answer, from the last byte of the head to the last byte sent. Only for the loop's
/// thread.
final class Exchange {
    /// How the end of the answer's body is told.
    enum BodyMode: Equatable {
        case none
        case length
        case chunked
        case untilClose
    }

    let request: RequestHead
    let route: Route
    /// As routes see it.
    let path: [UInt8]
    /// For limits and logs: the client's address as far as it is known.
    let client: String
    let startedNs: Int
    let startedMs: Int
    var fetch: Fetch?
    var status = 0
    var mode = BodyMode.none
    /// Whether the head, or all, of the answer has been written.
    var (hasBegun, isAnswered) = (false, false)
    /// Whether another request may follow on the connection.
    var keepsAlive: Bool
    /// Bytes of bodies.
    var (received, sent) = (0, 0)
    var refusal: Refusal.Reason?

    // What the steps have found.
    var facts: ClientFacts?
    var inputCheck: InputCheck?
    /// Of a good token.
    var claims: JSON?
    /// Lines of fields that the answer gets.
    var extra: [UInt8] = []
    var cacheKey: [UInt8] = []
    var primary: [UInt8] = []
    /// What is kept of an answer whose time is over, as long as the service has not said anything better.
    var stored: StoredAnswer?
    /// What is served once the service has answered, in place of its answer.
    var replacement: StoredAnswer?
    var flight: AnswerCache.Flight?
    var fill: CacheFill?
    /// How the cache dealt with it, as `Cache-Status` says it.
    var cacheNote: String?
    var cacheDetail: String?
    var askedMs = 0
    var ticket: Int?
    /// The queue that let it in; nil when it does not count there.
    var admittedBy: Int?
    /// What the service answered, whatever the client gets.
    var upstreamStatus = 0
    var isProbing = false
    var queuedNs: Int?
    var admittedNs: Int?
    var encoder: BodyEncoder?
    var coding: (coding: BodyEncoder.Coding, level: Int)?
    var codingNs = 0
    var plainBytes = 0

    init(_ request: RequestHead, _ route: Route, path: [UInt8], client: String, nowNs: Int) {
        (self.request, self.route, self.path, self.client) = (request, route, path, client)
        startedNs = nowNs
        startedMs = nowNs / 1_000_000
        keepsAlive = request.keepsAlive
    }

    var isHead: Bool { request.method == .head }
}
