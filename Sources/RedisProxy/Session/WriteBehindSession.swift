import Runtime

/// What a client writes that is acknowledged before Redis has it, and what has to wait for that.
extension RelaySession {
    enum Admission {
        /// The command goes its way.
        case go
        case done
        /// It will be looked at again.
        case wait
    }

    /// What has to happen before a command goes its way, because writes are acknowledged before Redis has them.
    func admit(
        _ command: Command?, _ words: [Range<Int>], _ bytes: Span<UInt8>, _ gate: WriteGate
    ) -> Admission {
        if let refusal { return refuse(refusal) }
        guard claim == nil else { return .go }
        if let transaction { return admit(command, words, bytes, in: transaction, gate) }
        guard let command, !command.has(.container), relay.features.isOn(.pipelining) else { return .go }
        switch command.lane {
        case .shared, .slow, .blocking: break
        case .transaction:
            transactionScope = WriteScope(command, words, in: bytes)
            return flush(transactionScope, gate)
        case .session, .takeover, .refused: return .go
        }
        let writes = gate.writes(of: command, words, in: bytes, identity)
        if let writes {
            // What is under way at Redis may touch the same keys.
            guard order.unanswered == accepting else { return waitForReplies() }
            if accept(writes, command, gate) { return .done }
        }
        let isRead = command.has(.read) && !command.has(.write) && !command.has(.flushes)
        if isRead, accepting == 0, gate.isIdle { return .go }
        let scope = WriteScope(command, words, in: bytes)
        if accepting > 0, !command.has(.cacheable) || acceptingMask & scope.mask != 0 { return waitForReplies() }
        if isRead {
            guard !gate.isIdle else { return .go }
            switch overlay(command, words, bytes, gate) {
            case .none: return .go
            case .answered: return .done
            case .unknown: break
            }
        }
        if let supersession = gate.supersession(by: command, words, in: bytes, identity),
            let admission = supersede(supersession, scope, gate)
        {
            return admission
        }
        guard case .everything = scope else { return flush(scope, gate) }
        return flush(scope, gate, mayDoWithout: gate.mayDoWithout(command, words, in: bytes, identity))
    }

    /// Has the keys' removal take the place of what is pending, and waits until it is at Redis, which takes that even when it
    /// has no room. Then the command finds nothing there, and what it did not count is added to its reply.
    ///
    /// - Returns: nil where that does not work now.
    private func supersede(
        _ supersession: WriteGate.Supersession, _ scope: WriteScope, _ gate: WriteGate
    ) -> Admission? {
        // Nothing of its keys is in the way, whatever else is pending.
        guard !supersession.removals.isEmpty else {
            claim = gate.claim(scope)
            return .go
        }
        let keys = supersession.removals.map(\.key)
        let session = Returning(self)
        let (writeBehind, loop) = (gate.writeBehind, relay.loop)
        let claimed = gate.claim(scope)
        let refusal = writeBehind.accept(supersession.removals, on: loop) { end in
            if case .failed(let reply) = end {
                session.session.refusal = reply
                return session.session.goOn()
            }
            let waits = writeBehind.whenFlushed(keys, on: loop) { end in
                if case .failed(let reply) = end { session.session.refusal = reply }
                session.session.goOn()
            }
            if !waits { session.session.goOn() }
        }
        guard refusal == nil else {
            gate.release(claimed)
            return nil
        }
        (claim, superseded) = (claimed, supersession.count)
        hold = .event
        return .wait
    }

    private func admit(
        _ command: Command?, _ words: [Range<Int>], _ bytes: Span<UInt8>, in transaction: Transaction,
        _ gate: WriteGate
    ) -> Admission {
        guard !transaction.isEnding, let command, command.lane != .session, command.lane != .takeover else {
            return .go
        }
        if bytes.isWord("exec", words[0]) { return flush(transactionScope, gate) }
        let scope = WriteScope(command, words, in: bytes)
        if transaction.isQueueing || bytes.isWord("watch", words[0]) { transactionScope.merge(scope) }
        return transaction.isQueueing ? .go : flush(scope, gate)
    }

    private func waitForReplies() -> Admission {
        hold = .order
        return .wait
    }

    /// - Returns: whether the writes were taken.
    private func accept(_ writes: [PlannedWrite], _ command: Command, _ gate: WriteGate) -> Bool {
        let settlement =
            writes.count == 1 ? Settlement.key(writes[0].key.bytes) : .keys(writes.map(\.key.bytes))
        let number = order.next
        let acceptedNs = relay.loop.nowNs
        let session = Returning(self)
        gate.local.apply(settlement)
        let refusal = gate.writeBehind.accept(writes, on: relay.loop) { end in
            session.session.acknowledge(number, command, settlement, acceptedNs, end)
        }
        guard refusal == nil else { return false }
        _ = order.begin()
        accepting += 1
        acceptingMask |= settlement.mask
        relay.metrics.received(command.family)
        return true
    }

    private func acknowledge(
        _ number: Int, _ command: Command, _ settlement: Settlement, _ acceptedNs: Int,
        _ end: WriteBehind.Acknowledgement
    ) {
        // What was fetched meanwhile is old.
        relay.reader?.local.apply(settlement)
        accepting -= 1
        if accepting == 0 { acceptingMask = 0 }
        relay.metrics.answered(from: .pending)
        var reply: [UInt8] = []
        switch end {
        case .logged: reply.append(status: "OK")
        case .failed(let text): reply.append(error: text)
        }
        relay.monitor?.note(
            command.family, durationNs: relay.loop.nowNs - acceptedNs, isError: end != .logged)
        answer(number, reply.span)
    }

    /// Answers a read from what is pending.
    private func overlay(
        _ command: Command, _ words: [Range<Int>], _ bytes: Span<UInt8>, _ gate: WriteGate
    ) -> WriteGate.Overlay {
        var reply: [UInt8] = []
        let found = gate.overlay(command, words, bytes, identity, into: &reply)
        guard case .answered = found else { return found }
        relay.metrics.received(command.family)
        relay.metrics.answered(from: .pending)
        relay.noteQuick(command.family)
        answer(order.begin(), reply.span)
        return found
    }

    /// Claims what the command touches, and waits until nothing of it is pending.
    ///
    /// - Parameter mayDoWithout: it is carried out all the same where Redis has no room for what is pending.
    private func flush(_ scope: WriteScope, _ gate: WriteGate, mayDoWithout: Bool = false) -> Admission {
        claim = gate.claim(scope)
        let session = Returning(self)
        let writeBehind = gate.writeBehind
        let waits = gate.whenFlushed(scope, database: identity.database, on: relay.loop) { end in
            if case .failed(let reply) = end, !mayDoWithout || !writeBehind.hasNoRoom {
                session.session.refusal = reply
            }
            session.session.goOn()
        }
        guard waits else { return .go }
        hold = .event
        return .wait
    }

    private func refuse(_ reply: String) -> Admission {
        (refusal, superseded) = (nil, 0)
        releaseClaim()
        if reply == RelayText.unreachable {
            answerUnreachable(order.begin())
        } else {
            answer { $0.append(error: reply) }
        }
        // Redis has been told a part of it.
        if transaction != nil { endWhenAnswered() }
        return .done
    }

    func releaseClaim() {
        if let claim { relay.gate?.release(claim) }
        claim = nil
    }
}
