import Runtime

/// Notices when Redis changes what the proxy's own user may do, and forgets what was read with the former rights.
///
/// What is kept was read as that user and is served to clients that are no other, but Redis tells nobody when it takes
/// rights away. So it is asked, on every master: what may not be read any more is served for `aclIntervalMs` at most,
/// plus the time that Redis takes to answer. Where the user may not ask (`ACL GETUSER` is an administrator's), it is the
/// class's `max_age`. `ACL` commands that pass through the proxy make it forget at once (`Settlement`). For the loop's
/// thread.
final class RightsWatch {
    private unowned let relay: Relay
    private let local: LocalLevel
    /// What each master has said last.
    private var known: [ObjectIdentifier: Answer] = [:]
    private let question: [UInt8]

    private enum Answer: Equatable {
        case rights([UInt8])
        /// It does not tell, and is not asked again.
        case nothing
    }

    init(_ relay: Relay, _ local: LocalLevel) {
        self.relay = relay
        self.local = local
        var question: [UInt8] = []
        question.append(arrayOf: 3)
        question.append(bulk: "ACL")
        question.append(bulk: "GETUSER")
        let user = relay.options.credentials?.user ?? ProxyUsers.standard
        question.append(bulk: user.span)
        self.question = question
    }

    func start() {
        guard relay.options.aclIntervalMs > 0 else { return }
        relay.loop.after(milliseconds: relay.options.aclIntervalMs) { [weak self] in
            guard let self else { return }
            if relay.hasClients, local.freshness.isLive {
                askAll()
                relay.askForSwaps()
            }
            start()
        }
    }

    private func askAll() {
        let masters = relay.cluster?.masters ?? [relay.home]
        known = known.filter { id, _ in masters.contains { ObjectIdentifier($0) == id } }
        // Of what is kept by now nobody knows with which rights it was read, where they were not known.
        for node in masters { ask(node, isLate: true) {} }
    }

    /// Asks a master, and forgets everything where it says something else than before.
    ///
    /// - Parameter then: is called once it has answered, does not tell, or was lost. What is kept from then on was read with
    ///   rights that are known.
    func ask(_ node: RedisNode, isLate: Bool = false, then: @escaping () -> Void) {
        guard relay.options.aclIntervalMs > 0, known[ObjectIdentifier(node)] != .nothing else { return then() }
        relay.ownConnections(to: node).fast[0].ask(question) { [weak self] reply, kind in
            if let self, let reply { heard(reply, kind, from: node, isLate: isLate) }
            then()
        }
    }

    private func heard(_ reply: [UInt8], _ kind: ReplySkimmer.Kind, from node: RedisNode, isLate: Bool) {
        let id = ObjectIdentifier(node)
        let mayHold = isLate || known[id] != nil
        if kind == .error {
            // Anything else, such as LOADING, passes.
            guard reply.starts(with: "-NOPERM".utf8) || reply.starts(with: "-ERR".utf8) else { return }
            known[id] = .nothing
            Log.warn(
                "Redis does not tell when the rights of the proxy's user change: what it could read is served up to max_age",
                ["upstream": "\(node)", "reply": String(decoding: reply.prefix(200), as: UTF8.self)])
            // Perhaps this right was the first to go.
            if mayHold { forget() }
            return
        }
        guard known[id] != .rights(reply) else { return }
        known[id] = .rights(reply)
        if mayHold { forget() }
    }

    private func forget() {
        Log.info("the rights of the proxy's user at Redis have changed: the local level begins anew")
        local.invalidateAll()
        relay.metrics.invalidations.flushes.add()
    }
}
