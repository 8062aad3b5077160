import Runtime

/// What a client asks of a cluster as if it were one Redis.
extension RelaySession {
    // MARK: Finding the node

    /// - Returns: false when the command has to wait; it will be looked at again.
    func run(_ command: Command?, _ words: [Range<Int>], _ bytes: Span<UInt8>, in cluster: ClusterNodes) -> Bool {
        let target = ClusterTarget(command, words, in: bytes, scratch: &places)
        if held != nil { return runInHeldTransaction(command, words, bytes, target, cluster) }
        if transaction != nil { return runInClusterTransaction(command, words, bytes, target, cluster) }
        var slot: UInt16?
        switch target {
        case .refused where command?.lane != .refused: return refuse(command)
        case .crossSlot:
            answer { $0.append(error: ClusterTarget.crossSlot) }
            return true
        case .everyMaster(let merge): return fanOut(command, bytes, merge, cluster.masters)
        case .everyNode(let merge): return fanOut(command, bytes, merge, cluster.all)
        case .scan:
            if let scan = ClusterScan(cursor: bytes.extracting(words[1]), in: cluster.map),
                let name = scan.node(in: cluster.map)
            {
                return self.scan(scan, command, words, bytes, cluster.node(at: name), cluster)
            }
        case .slot(let named): slot = named
        case .anyNode, .oneNode, .connection, .refused: break
        }
        let node = self.node(for: target, cluster)
        let errand = ClusterErrand(command, bytes, slot: slot)
        // What the table does not know may change the state of its connection, which nobody uses after it.
        guard let command, !command.has(.container) else { return askOnce(command, words, bytes, errand, node) }
        switch command.lane {
        case .shared, .slow: return ask(command, words, bytes, on: node, errand)
        case .blocking:
            return mayWait(command, words, bytes)
                ? wait(command, words, bytes, on: node, errand) : ask(command, words, bytes, on: node, errand)
        case .transaction:
            if bytes.isWord("multi", words[0]), command.takes(words: words.count) { return hold(bytes) }
            guard Transaction.begins(with: command, words, in: bytes), slot != nil else {
                return ask(command, words, bytes, on: node, errand)
            }
            return beginTransaction(command, words, bytes, on: node)
        case .session: return runOfSession(command, words, bytes)
        case .takeover: return takeOwn(on: node)
        case .refused:
            closeClient()
            return true
        }
    }

    private func node(for target: ClusterTarget, _ cluster: ClusterNodes) -> RedisNode {
        switch target {
        case .slot(let slot), .crossSlot(let slot): cluster.node(of: slot)
        case .oneNode: cluster.oneNode
        default: cluster.anyNode(for: number)
        }
    }

    private func refuse(_ command: Command?) -> Bool {
        answer { $0.append(error: command.map { ClusterRoute.refusal(of: $0) } ?? "ERR unknown command") }
        return true
    }

    /// Whether a command may follow those under way without overtaking one that concerns the same key: they went where the
    /// same map sent them, and none of them has to go elsewhere.
    func mayFollow(on upstream: Upstream, in cluster: ClusterNodes) -> Bool {
        detours.isEmpty && !isExclusive && sentVersion == cluster.version
            && (current === upstream || current?.use == .fast && upstream.use == .fast)
    }

    // MARK: Of several nodes

    private func fanOut(
        _ command: Command?, _ bytes: Span<UInt8>, _ merge: FanOut.Merge, _ nodes: [RedisNode]
    ) -> Bool {
        guard let command, mayStop() else { return false }
        let nodes = nodes.isEmpty ? [relay.home] : nodes
        let flushes = command.has(.write) || command.has(.flushes) || command.has(.arbitrary)
        if flushes { relay.reader?.local.apply(.everything) }
        let number = beginEvent(command)
        var merged = FanOut(merge, of: nodes.count, pick: relay.loop.nowNs)
        let whole = bytes.copy(0..<bytes.count)
        for node in nodes {
            let connections = lane.connections(to: node)
            let lease = command.lane == .blocking ? connections.lease() : nil
            var pending = pending(for: command)
            pending.taken = { [self] reply, _ in
                if let reply { merged.add(reply.span) } else { merged.add(failure: RelayText.nodeUnreachable) }
                if let lease { connections.giveBack(lease) }
                guard merged.isComplete else { return }
                if flushes { relay.reader?.local.apply(.everything) }
                var output: [UInt8] = []
                merged.append(to: &output)
                endEvent(number, command, output, sentNs: pending.sentNs)
            }
            (lease ?? (command.lane == .slow ? connections.slow : connections.fast[0])).ask(whole.span, pending)
        }
        return true
    }

    private func scan(
        _ scan: ClusterScan, _ command: Command?, _ words: [Range<Int>], _ bytes: Span<UInt8>, _ node: RedisNode,
        _ cluster: ClusterNodes
    ) -> Bool {
        guard let command, mayStop() else { return false }
        let number = beginEvent(command)
        var rewritten: [UInt8] = []
        scan.append(words, of: bytes, to: &rewritten)
        var pending = pending(for: command)
        pending.taken = { [self] reply, _ in
            var output: [UInt8] = []
            if let reply {
                scan.append(reply.span, in: cluster.map, to: &output)
            } else {
                output.append(error: RelayText.nodeUnreachable)
            }
            endEvent(number, command, output, sentNs: pending.sentNs)
        }
        let connections = lane.connections(to: node)
        connections.fast[self.number % connections.fast.count].ask(rewritten.span, pending)
        return true
    }

    private func pending(for command: Command) -> Pending {
        var pending = Pending()
        (pending.family, pending.name, pending.sentNs) = (command.family, command.id, relay.loop.nowNs)
        return pending
    }

    private func endEvent(_ number: Int, _ command: Command, _ reply: [UInt8], sentNs: Int) {
        var pending = pending(for: command)
        pending.sentNs = sentNs
        relay.note(pending, replyBytes: reply.count, isError: reply.first == UInt8(ascii: "-"))
        if reply.dropFirst().starts(with: RelayText.nodeUnreachable.utf8) {
            answerUnreachable(number, RelayText.nodeUnreachable)
        } else {
            answer(number, reply.span)
        }
        goOn()
    }

    // MARK: Transactions

    /// Answers a `MULTI`, which waits for the first key.
    private func hold(_ bytes: Span<UInt8>) -> Bool {
        guard mayStop() else { return false }
        var fresh = HeldTransaction()
        fresh.add(bytes, .none)
        held = fresh
        answer { $0.append(status: "OK") }
        return true
    }

    private func runInHeldTransaction(
        _ command: Command?, _ words: [Range<Int>], _ bytes: Span<UInt8>, _ target: ClusterTarget,
        _ cluster: ClusterNodes
    ) -> Bool {
        guard mayStop() else { return false }
        if command?.lane == .transaction {
            if bytes.isWord("exec", words[0]), held?.isSpoiled == true {
                held = nil
                answer { $0.append(error: RelayText.spoiled) }
                return true
            }
            if bytes.isWord("discard", words[0]), command?.takes(words: words.count) == true {
                held = nil
                answer { $0.append(status: "OK") }
                return true
            }
        }
        switch target {
        case .crossSlot:
            held?.isSpoiled = true
            answer { $0.append(error: ClusterTarget.crossSlot) }
            return true
        case .refused, .everyMaster, .everyNode, .scan:
            held?.isSpoiled = true
            return refuseInTransaction(command)
        case .slot, .anyNode, .oneNode, .connection: break
        }
        if target == .anyNode || target == .oneNode, let command, command.takes(words: words.count),
            command.lane == .shared || command.lane == .slow, !command.has(.container),
            let count = held?.commands.count,
            count < HeldTransaction.mostCommands
        {
            held?.add(bytes, relay.reader == nil ? .none : Settlement(command, words, in: bytes))
            answer { $0.append(status: "QUEUED") }
            return true
        }
        guard held?.isSpoiled == false else {
            // It will not be carried out, but Redis would still say that it queues it.
            answer { $0.append(status: "QUEUED") }
            return true
        }
        open(on: node(for: target, cluster))
        return runInTransaction(command, words, bytes)
    }

    /// Says to a node what was held.
    private func open(on node: RedisNode) {
        guard let held else { return }
        self.held = nil
        let upstream = lease(on: node)
        for command in held.commands { upstream.ask(command) { _, _ in } }
        transaction = Transaction(on: upstream, queued: held.settlement)
    }

    private func runInClusterTransaction(
        _ command: Command?, _ words: [Range<Int>], _ bytes: Span<UInt8>, _ target: ClusterTarget,
        _ cluster: ClusterNodes
    ) -> Bool {
        guard let node = transaction?.upstream.node else { return false }
        switch target {
        case .refused, .everyMaster, .everyNode, .scan:
            spoil()
            return refuseInTransaction(command)
        case .slot(let slot), .crossSlot(let slot):
            guard cluster.node(of: slot) !== node else { break }
            spoil()
            answer { $0.append(error: "CROSSSLOT Keys of the transaction are on several nodes of the cluster") }
            return true
        case .anyNode, .oneNode, .connection: break
        }
        guard transaction?.isSpoiled == true, command?.lane == .transaction, bytes.isWord("exec", words[0]) else {
            return runInTransaction(command, words, bytes)
        }
        guard mayStop() else { return false }
        // With the connection ends what it has queued.
        abandonTransaction()
        answer { $0.append(error: RelayText.spoiled) }
        return true
    }

    private func spoil() { if transaction?.isQueueing == true { transaction?.isSpoiled = true } }

    private func refuseInTransaction(_ command: Command?) -> Bool {
        let name = command.map { CommandTable.shared.fullName(of: $0).uppercased() } ?? "the command"
        answer { $0.append(error: "ERR \(name) concerns several nodes of the cluster, and a transaction one") }
        return true
    }

    // MARK: Detours

    /// A node did not carry a command out, but says who might.
    ///
    /// - Returns: false when that is the client's answer.
    func wasTurnedAway(_ pending: Pending, _ errand: ClusterErrand, _ reply: Span<UInt8>, by node: RedisNode) -> Bool {
        guard let cluster = relay.cluster, isClientOpen, let redirect = Redirect(reply, from: node.name) else {
            return false
        }
        let step = errand.policy.next(after: redirect, knowing: cluster.map)
        switch step {
        case .resend: if case .moved(let slot, let address) = redirect { cluster.moved(slot, to: address) }
        case .retry:
            cluster.doubted()
            // What the client sent after it may be carried out before it.
            guard order.next - 1 - pending.sequence == detours.count(behind: pending.sequence) else { return false }
        case .deliver: return false
        }
        detour(ClusterDetours.Detour(pending: pending, errand: errand, step: step))
        return true
    }

    /// The connection was lost under a command.
    ///
    /// - Returns: false when the client has to be told.
    func wasLost(_ pending: Pending, _ errand: ClusterErrand, on node: RedisNode, hasLeft: Bool) -> Bool {
        guard let cluster = relay.cluster, isClientOpen, node.breaker.isClosed,
            RedirectPolicy.mayRepeat(errand.command, hasLeft: hasLeft)
        else { return false }
        let step = errand.policy.next(after: .clusterDown, knowing: cluster.map)
        guard step != .deliver else { return false }
        cluster.doubted()
        detour(ClusterDetours.Detour(pending: pending, errand: errand, step: step))
        return true
    }

    private func detour(_ detour: ClusterDetours.Detour) {
        if detours.add(detour) { goOnDetour() }
    }

    /// Sends the command whose turn it is.
    func goOnDetour() {
        guard let cluster = relay.cluster, let detour = detours.first else { return }
        switch detour.step {
        case .resend(let name, let asking): send(detour, to: cluster.node(at: name), asking: asking)
        case .retry(let milliseconds):
            relay.loop.after(milliseconds: milliseconds) { [weak self] in
                guard let self, isClientOpen, detours.first?.pending.sequence == detour.pending.sequence else { return }
                let node = detour.errand.slot.map { cluster.node(of: $0) } ?? cluster.anyNode(for: number)
                send(detour, to: node, asking: false)
            }
        case .deliver: return
        }
    }

    private func send(_ detour: ClusterDetours.Detour, to node: RedisNode, asking: Bool) {
        var pending = detour.pending
        (pending.fetches, pending.hasParts, pending.sentNs) = ([], false, relay.loop.nowNs)
        let connections = lane.connections(to: node)
        var upstream = connections.fast[number % connections.fast.count]
        if lease != nil {
            upstream = changeLease(to: node)
        } else if detour.errand.command?.lane == .slow {
            upstream = connections.slow
        }
        if asking { upstream.ask(Array("*1\r\n$6\r\nASKING\r\n".utf8)) { _, _ in } }
        let bytes = detour.errand.bytes
        upstream.ask(bytes.span, pending)
    }
}
