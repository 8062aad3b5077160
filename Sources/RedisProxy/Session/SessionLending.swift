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
        let upstream = lease(on: node)
        guard upstream.isConnected || !node.isFull(nowMs: relay.loop.nowMs) else {
            lane.discard(upstream)
            answer { $0 += Upstream.full + [13, 10] }
            return true
        }
        transaction = Transaction(on: upstream)
        return runInTransaction(command, words, bytes)
    }

    /// A command that Redis did not get, because it refused the connection. Redis answers `MULTI` whatever the matter is,
    /// refuses what is to be queued, and then `EXEC`; a client may have sent all of it at once, so nothing of it must be
    /// carried out by itself.
    func refused(_ pending: Pending, _ reply: [UInt8], by upstream: Upstream) {
        if transaction?.upstream === upstream { abandonTransaction() }
        guard upstream.use == .leased, let name = pending.name, Self.isOfTheMoment(reply) else {
            return answer(pending.sequence, reply.span)
        }
        var told: [UInt8] = []
        switch name {
        case TransactionCommands.multi where refusedTransaction != nil: told.append(error: Self.nested)
        case TransactionCommands.multi:
            refusedTransaction = reply
            told.append(status: "OK")
        case TransactionCommands.exec where refusedTransaction != nil:
            refusedTransaction = nil
            told.append(error: RelayText.spoiled)
        case TransactionCommands.discard where refusedTransaction != nil:
            refusedTransaction = nil
            told.append(status: "OK")
        default: told = reply
        }
        answer(pending.sequence, told.span)
    }

    /// Whether Redis refuses now what it may take the next moment. Whom it does not know it refuses whatever comes.
    private static func isOfTheMoment(_ reply: [UInt8]) -> Bool {
        reply.starts(with: "-BUSY".utf8) || reply.starts(with: "-LOADING".utf8) || reply.starts(with: Upstream.full)
    }

    /// What follows on a `MULTI` that Redis never got.
    func run(_ command: Command?, _ words: [Range<Int>], _ bytes: Span<UInt8>, insteadOf refusal: [UInt8]) -> Bool {
        guard mayStop() else { return false }
        switch command?.id {
        case TransactionCommands.exec:
            refusedTransaction = nil
            answer { $0.append(error: RelayText.spoiled) }
        case TransactionCommands.discard:
            refusedTransaction = nil
            answer { $0.append(status: "OK") }
        case TransactionCommands.multi: answer { $0.append(error: Self.nested) }
        case TransactionCommands.reset?, TransactionCommands.quit?:
            refusedTransaction = nil
            return command.map { runOfSession($0, words, bytes) } ?? true
        default: answer { $0 += refusal }
        }
        return true
    }

    private static let nested = "ERR MULTI calls can not be nested"

    private enum TransactionCommands {
        static let multi = id("multi")
        static let exec = id("exec")
        static let discard = id("discard")
        static let reset = id("reset")
        static let quit = id("quit")

        private static func id(_ name: String) -> Command.ID? {
            CommandTable.shared.find(name.utf8.span, in: nil)?.id
        }
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
            if upstream.node.isFull(nowMs: relay.loop.nowMs) { answer { $0 += Upstream.full + [13, 10] } }
            endWhenAnswered()
            return false
        }
        own = OwnConnection(client, relay, lane, on: upstream, isGuarded: admission.isGuarded)
        own?.goOn = { [weak self] in self?.goOn() }
        own?.session = self
        // From here on it says itself when the client has to wait.
        client.resume()
        hold = .event
        let session = Returning(self)
        relay.loop.post { session.session.goOn() }
        return false
    }
}
