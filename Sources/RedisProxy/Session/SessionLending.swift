import Runtime

/// Commands that need a connection of their own: while they wait, until a transaction ends, or for good.
extension RelaySession {
    /// Whether nothing is under way; if something is, the command at hand waits for it.
    func mayStop() -> Bool {
        guard order.inFlight > 0 else { return true }
        hold = .order
        return false
    }

    func wait(
        _ command: Command, _ words: [Range<Int>], _ bytes: Span<UInt8>, on node: RedisNode,
        _ errand: ClusterErrand? = nil
    ) -> Bool {
        guard mayStop() else { return false }
        var pending = Pending()
        pending.errand = errand
        return pass(command, words, bytes, to: changeLease(to: node), pending)
    }

    /// Over a connection that nobody uses after it.
    func askOnce(
        _ command: Command?, _ words: [Range<Int>], _ bytes: Span<UInt8>, _ errand: ClusterErrand, _ node: RedisNode
    ) -> Bool {
        guard mayStop() else { return false }
        var pending = Pending()
        pending.errand = errand
        let upstream = changeLease(to: node)
        isLeaseSpent = true
        return pass(command, words, bytes, to: upstream, pending)
    }

    /// Lends a connection for the command at hand, in place of another if there is one.
    func changeLease(to node: RedisNode) -> Upstream {
        if let lease { lane.discard(lease) }
        let fresh = lane.lease(on: node)
        lease = fresh
        return fresh
    }

    /// A connection for a transaction, under the client's name.
    func lease(on node: RedisNode) -> Upstream {
        lane.lease(on: node, naming: name)
    }

    func beginTransaction(
        _ command: Command, _ words: [Range<Int>], _ bytes: Span<UInt8>, on node: RedisNode
    ) -> Bool {
        guard mayStop() else { return false }
        transaction = Transaction(on: lease(on: node))
        return runInTransaction(command, words, bytes)
    }

    func abandonTransaction() {
        if let transaction { lane.discard(transaction.upstream) }
        transaction = nil
    }

    func runInTransaction(_ command: Command?, _ words: [Range<Int>], _ bytes: Span<UInt8>) -> Bool {
        guard var transaction, !transaction.isEnding else {
            hold = .order
            return false
        }
        // What tells or changes the state of the connection is for Redis to judge, on a connection nobody uses after.
        guard let command, command.lane != .session, command.lane != .takeover, command.lane != .refused else {
            return takeOwn(transaction.upstream)
        }
        // On another connection the rest would be carried out without what was watched and queued.
        guard transaction.upstream.isConnected else {
            isEnding = true
            client.closeWhenSent()
            return false
        }
        if command.has(.cacheable), relay.reader != nil { relay.metrics.bypassed(.transaction) }
        let before = relay.reader == nil ? Settlement.none : Settlement(command, words, in: bytes)
        let after = transaction.take(command, words, in: bytes, before)
        self.transaction = transaction
        pass(command, bytes, to: transaction.upstream, Pending(), before: before, after: after)
        return true
    }

    /// From here on the client has a connection of its own.
    ///
    /// - Parameter upstream: the one it has already; nil for another.
    /// - Returns: false, for what was read is to be passed on as it is.
    func takeOwn(_ upstream: Upstream? = nil, on node: RedisNode? = nil) -> Bool {
        guard order.inFlight == 0 else {
            hold = .order
            return false
        }
        let upstream = upstream ?? lane.lease(on: node ?? anyNode, naming: name)
        transaction = nil
        releaseClaim()
        guard upstream.isConnected else {
            lane.discard(upstream)
            endWhenAnswered()
            return false
        }
        own = OwnConnection(client, relay, lane, on: upstream, isGuarded: admission.isGuarded)
        own?.goOn = { [weak self] in self?.goOn() }
        // From here on it says itself when the client has to wait.
        client.resume()
        hold = .event
        let session = Returning(self)
        relay.loop.post { session.session.goOn() }
        return false
    }
}
