import LocalServers
import Runtime
import Testing

@testable import RedisProxy

@Suite struct RealSentinelTests {
    private let probe = TopologyProbe()

    @Test func aFailoverIsSeenWithTheSentinelsThatWereNotNamedToo() async throws {
        let master = try await LocalRedis.start(["--requirepass", "deep", "--masterauth", "deep"])
        let replica = try await LocalRedis.start([
            "--requirepass", "deep", "--masterauth", "deep", "--replicaof", "127.0.0.1 \(master.port)",
        ])
        var sentinels: [LocalSentinel] = []
        for _ in 0..<3 {
            sentinels.append(
                try await LocalSentinel.start(
                    "main", master: master.port, quorum: 2,
                    ["sentinel auth-pass main deep", "requirepass watch", "sentinel sentinel-pass watch"]))
        }
        for sentinel in sentinels {
            try await waitForOthers(of: sentinel)
        }
        let changes = Happenings<SentinelWatch.Change>()
        let soon = TopologyProbe.timer(on: probe.loop)
        let watch = SentinelWatch(
            SentinelSettings(
                master: "main", addresses: [NodeAddress("127.0.0.1", FreePort.next()), sentinels[0].address],
                login: TopologyLogin(password: "watch")),
            login: TopologyLogin(password: "deep"), client: probe.client,
            // Rounds that nobody asks for never come, so that it takes a message to learn of the second failover.
            after: { if $0 < 5000 { soon($0, $1) } }
        ) { changes.add($0) }
        probe.loop.post { watch.start() }
        try await changes.wait("the master") { $0 == [.use(master.address)] }

        await master.stop()
        let probe = probe
        try await changes.wait("the failover") { all in
            // As sessions would, which cannot reach the master.
            probe.loop.post { watch.masterDoubted() }
            return all == [.use(master.address), .drop(master.address), .use(replica.address)]
        }

        // The one that was named goes; the others have been found, and tell that the old master is back as a replica.
        await sentinels[0].stop()
        let back = try await master.restarted()
        try await changes.wait("the old master's new role") { _ in
            // It has only just begun, and may not talk yet.
            (try? await back.command("-a", "deep", "--no-auth-warning", "ROLE").hasPrefix("slave\n")) == true
        }
        // On a slow machine one of them may have been asked in vain, and counts as gone until the next round.
        try await changes.wait("subscriptions to both") { _ in
            probe.loop.post { watch.masterDoubted() }
            for sentinel in sentinels[1...] {
                let clients = try await sentinel.command("-a", "watch", "--no-auth-warning", "CLIENT", "LIST")
                guard clients.contains(" sub=1 ") else { return false }
            }
            return true
        }
        try await changes.wait("the order to fail over") { _ in
            try await sentinels[1].command("-a", "watch", "--no-auth-warning", "SENTINEL", "FAILOVER", "main") == "OK\n"
        }
        try await changes.wait("the failover back") { all in all.last == .use(master.address) }
        #expect(changes.all.suffix(2) == [.drop(replica.address), .use(master.address)])

        probe.loop.post { watch.stop() }
        for sentinel in sentinels { await sentinel.stop() }
        await back.stop()
        await replica.stop()
    }

    /// Until a Sentinel knows the two others and the replica.
    private func waitForOthers(of sentinel: LocalSentinel) async throws {
        let login = TopologyLogin(password: "watch")
        let deadline = Deadline.after(.seconds(180))
        while true {
            let replies = try await probe.asks(
                [["SENTINEL", "SENTINELS", "main"], ["SENTINEL", "REPLICAS", "main"]], of: sentinel.address, as: login)
            let others = try SentinelReplies.sentinels(replies[0])
            if others.count == 2, replies[1].elements?.count == 1 { return }
            try #require(!deadline.hasPassed, "the Sentinels never found each other: \(replies)")
            try await Task.sleep(for: .milliseconds(100))
        }
    }
}
