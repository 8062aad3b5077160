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

    init(_ request: RequestHead, _ route: Route, path: [UInt8], client: String, nowNs: Int) {
        (self.request, self.route, self.path, self.client) = (request, route, path, client)
        startedNs = nowNs
        startedMs = nowNs / 1_000_000
        keepsAlive = request.keepsAlive
    }

    var isHead: Bool { request.method == .head }
}
