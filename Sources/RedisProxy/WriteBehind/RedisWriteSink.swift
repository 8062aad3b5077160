import Runtime

/// Brings pending writes to Redis, over a connection of their own. Everything but `send` is for the loop's thread.
///
/// The connection has a name that only this sidecar uses, also after a restart. Before anything is sent on a new one, all
/// others of that name are killed: Redis may not have read everything yet from one that was given up, or that a killed
/// process has left behind, and would carry out old writes after newer ones.
final class RedisWriteSink: WriteSink, @unchecked Sendable {
    private struct Flight {
        let commands: [FlushCommand]
        let then: @Sendable ([FlushReply]) -> Void
        var replies: [FlushReply] = []
    }

    private unowned let relay: Relay
    private let name: String
    private var upstream: Upstream?
    /// The others are gone, and the name is set.
    private var isReady = false
    private var database = 0
    private var flight: Flight?
    private var lastHeardMs = 0
    private var hasWarned = false

    /// Redis may be silent for so long.
    private static let patienceMs = 5000

    /// - Parameter name: without spaces, the same in every life of this sidecar, and nobody else's.
    init(_ relay: Relay, name: String) {
        self.relay = relay
        self.name = name
    }

    func send(_ commands: [FlushCommand], then: @escaping @Sendable ([FlushReply]) -> Void) {
        relay.loop.post { [self] in
            flight = Flight(commands: commands, then: then)
            lastHeardMs = relay.loop.nowMs
            if isReady, upstream?.isConnected == true { sendNext() } else { connect() }
        }
    }

    /// Gives up on a Redis that is silent.
    func checkDeadline(nowMs: Int) {
        guard let upstream else { return }
        upstream.checkDeadline(nowMs: nowMs)
        guard flight != nil, nowMs - lastHeardMs > Self.patienceMs else { return }
        Log.warn("Redis does not answer pending writes", ["upstream": "\(relay.home)"])
        upstream.close()
        end()
    }

    /// Redis is elsewhere, or will be: what is under way is sent again there.
    func close() { upstream?.close() }

    // MARK: Connecting

    private func connect() {
        let former = upstream
        upstream = nil
        former?.close()
        let fresh = Upstream(relay, relay.home, Identity(), .writes)
        (upstream, isReady, database) = (fresh, false, 0)
        ask(["CLIENT", "SETNAME", name], fresh) { [self] _, _ in
            ask(["CLIENT", "ID"], fresh) { [self] reply, _ in
                let own = reply.span.strictInteger(in: 1..<reply.count - 2)
                ask(["CLIENT", "LIST"], fresh) { [self] list, kind in
                    killOthers(own, list, kind, fresh)
                }
            }
        }
    }

    private func killOthers(_ own: Int?, _ list: [UInt8], _ kind: ReplySkimmer.Kind, _ upstream: Upstream) {
        guard let own, kind != .error else {
            warn("former connections cannot be looked for", list)
            return begin()
        }
        let others = clients(in: list).filter { $0 != "\(own)" }
        guard !others.isEmpty else { return begin() }
        var left = others.count
        for id in others {
            guard
                ask(
                    ["CLIENT", "KILL", "ID", id], upstream,
                    { [self] reply, kind in
                        if kind == .error { warn("a former connection cannot be killed", reply) }
                        left -= 1
                        if left == 0 { begin() }
                    })
            else { return }
        }
    }

    /// The numbers of all clients with our name.
    private func clients(in list: [UInt8]) -> [String] {
        String(decoding: list, as: UTF8.self).split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ")
            guard fields.contains("name=\(name)") else { return nil }
            return fields.first { $0.hasPrefix("id=") }.map { String($0.dropFirst(3)) }
        }
    }

    private func warn(_ problem: String, _ reply: [UInt8]) {
        guard !hasWarned else { return }
        hasWarned = true
        Log.error(
            "write-behind: \(problem), so after a loss of the connection old values may overtake newer ones",
            ["reply": String(decoding: reply.prefix(200), as: UTF8.self)])
    }

    private func begin() {
        isReady = true
        sendNext()
    }

    // MARK: Sending

    /// Those that come next and belong to the same database.
    private func sendNext() {
        guard let flight, let upstream else { return }
        let rest = flight.commands[flight.replies.count...]
        guard let first = rest.first else { return end() }
        let group = rest.prefix { $0.database == first.database }
        guard first.database == database else { return select(first.database, for: group.count, upstream) }
        let last = flight.replies.count + group.count
        for command in group {
            guard
                ask(
                    command.bytes, upstream,
                    { [self] reply, kind in
                        take(kind == .error ? .error(text(of: reply)) : .done)
                        if self.flight?.replies.count == last { sendNext() }
                    })
            else { return }
        }
    }

    private func select(_ wanted: Int, for count: Int, _ upstream: Upstream) {
        ask(["SELECT", "\(wanted)"], upstream) { [self] reply, kind in
            if kind == .error {
                for _ in 0..<count { take(.error(text(of: reply))) }
            } else {
                database = wanted
            }
            sendNext()
        }
    }

    private func take(_ reply: FlushReply) { flight?.replies.append(reply) }

    private func text(of reply: [UInt8]) -> String { String(decoding: reply.dropFirst().dropLast(2), as: UTF8.self) }

    private func end() {
        guard let flight else { return }
        self.flight = nil
        flight.then(flight.replies)
    }

    // MARK: Asking

    @discardableResult
    private func ask(
        _ words: [String], _ upstream: Upstream, _ taken: @escaping ([UInt8], ReplySkimmer.Kind) -> Void
    ) -> Bool {
        var command: [UInt8] = []
        command.append(command: words)
        return ask(command, upstream, taken)
    }

    /// Ends the flight when the connection is lost. Never makes another connection than the first of `upstream`.
    ///
    /// - Returns: false when it is lost already.
    @discardableResult
    private func ask(
        _ command: [UInt8], _ upstream: Upstream, _ taken: @escaping ([UInt8], ReplySkimmer.Kind) -> Void
    ) -> Bool {
        guard self.upstream === upstream else { return false }
        upstream.ask(command) { [weak self, weak upstream] reply, kind in
            guard let self, let upstream, self.upstream === upstream else { return }
            guard let reply else {
                self.upstream = nil
                isReady = false
                return end()
            }
            lastHeardMs = relay.loop.nowMs
            taken(reply, kind)
        }
        return self.upstream === upstream
    }
}
