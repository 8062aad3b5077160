import LocalServers
import Runtime
import Testing

/// The real binary in front of a master that Sentinels watch.
@Suite struct RedisProxySentinelTests {
    @Test func clientsGoOnWithTheNewMasterAndHaveWhatWasAcknowledged() async throws {
        try await withSentinel { watched, outrigger, port in
            try await Python.run(
                Self.failover, [port, watched.master.port, watched.replica.port],
                processes: [watched.master.server.process.pid], in: outrigger.folder)
            #expect(try await outrigger.localHits() > 0)
            #expect(outrigger.log.contains(watched.isFollowed))
        }
    }

    @Test func theNewMasterGetsWhatIsPending() async throws {
        let flags = ["--cache.write=behind", "--state.dir=state", "--redis-proxy.write-behind.flush-interval=1h"]
        try await withSentinel(flags) { watched, outrigger, port in
            func ask(_ words: String...) async throws -> String {
                try await LocalServer.run("redis-cli", ["-p", "\(port)"] + words, folder: outrigger.folder)
            }
            let deadline = Deadline.after(.seconds(60))
            while try await ask("SET", "before", "1") != "OK\n" { try #require(!deadline.hasPassed) }
            // Waits until the master has it: from here on there is a connection to it.
            while try await ask("DBSIZE") != "1\n" { try #require(!deadline.hasPassed) }
            while try await watched.replica.command("EXISTS", "before") != "1\n" { try #require(!deadline.hasPassed) }
            #expect(try await ask("SET", "pending", "2") == "OK\n")
            try await watched.sentinel.command("SENTINEL", "FAILOVER", "main")
            while !outrigger.log.contains(watched.isFollowed) {
                try #require(!deadline.hasPassed, "\(outrigger.log.suffix(2000))")
                try await Task.sleep(for: .milliseconds(50))
            }
            #expect(try await ask("GET", "pending") == "2\n")
            #expect(try await watched.replica.command("EXISTS", "pending") == "0\n")
            // Waits until the new master has it.
            var size = try await ask("DBSIZE")
            while size != "2\n" {
                try #require(!deadline.hasPassed, "\(size)\n\(outrigger.log.suffix(2000))")
                size = try await ask("DBSIZE")
            }
            #expect(try await watched.replica.command("GET", "pending") == "2\n")
        }
    }

    /// A master with a replica, and the Sentinel that watches them.
    private struct Watched {
        let master: LocalRedis
        let replica: LocalRedis
        let sentinel: LocalSentinel

        /// What the log says once the replica is the master.
        var isFollowed: String { "Sentinels name the master\" master=127.0.0.1:\(replica.port)" }
    }

    private func withSentinel(
        _ flags: [String] = [], _ body: (Watched, RunningOutrigger, _ port: UInt16) async throws -> Void
    ) async throws {
        let master = try await LocalRedis.start(["--repl-diskless-sync-delay", "0"])
        let replica = try await LocalRedis.start(["--replicaof", "127.0.0.1 \(master.port)"])
        let deadline = Deadline.after(.seconds(120))
        while try await !replica.command("INFO", "replication").contains("master_link_status:up") {
            try #require(!deadline.hasPassed, "the replica never copied its master")
            try await Task.sleep(for: .milliseconds(50))
        }
        let sentinel = try await LocalSentinel.start("main", master: master.port, quorum: 1)
        while try await !sentinel.command("SENTINEL", "REPLICAS", "main").contains("\(replica.port)") {
            try #require(!deadline.hasPassed, "the Sentinel never found the replica")
            try await Task.sleep(for: .milliseconds(50))
        }
        let port = FreePort.next()
        let outrigger = try await RunningOutrigger.start(
            [
                "--redis-proxy.listen-address=127.0.0.1:\(port)", "--redis-proxy.sentinel.master=main",
                "--redis-proxy.sentinel.addresses=127.0.0.1:\(sentinel.port)",
            ] + flags)
        try await body(Watched(master: master, replica: replica, sentinel: sentinel), outrigger, port)
        await outrigger.stop()
        await sentinel.stop()
        await replica.stop()
        await master.stop()
    }

    private static let failover = #"""
        import redis, sys, threading, time, os, signal
        proxy, first, second, pid = map(int, sys.argv[1:5])
        r = redis.Redis(port=proxy, decode_responses=True)
        deadline = time.time() + 60
        def going():
            try: return r.ping()
            except redis.RedisError: return False
        while not going(): assert time.time() < deadline; time.sleep(0.02)
        stop = threading.Event()
        acknowledged = {}
        def work(n):
            c = redis.Redis(port=proxy, decode_responses=True)
            i = 0
            while not stop.is_set():
                i += 1
                try:
                    assert c.set(f'w{n}', i)
                    acknowledged[n] = i
                    got = c.get(f'w{n}')
                    assert got is not None and (int(got) >= i or killed.is_set()), (got, i)
                except redis.RedisError: time.sleep(0.01)
        killed = threading.Event()
        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        [t.start() for t in threads]
        time.sleep(1)
        # Cut off from writes for a moment, so that the replica has all that was acknowledged.
        a, b = redis.Redis(port=first), redis.Redis(port=second, decode_responses=True)
        a.execute_command('CLIENT', 'PAUSE', 100000, 'WRITE')
        while a.info('replication')['master_repl_offset'] != b.info('replication')['slave_repl_offset']: time.sleep(0.01)
        before = dict(acknowledged)
        killed.set()
        os.kill(pid, signal.SIGKILL)
        killedAt = time.time()
        while b.role()[0] != 'master': assert time.time() < killedAt + 30; time.sleep(0.01)
        for n, i in before.items(): assert int(b.get(f'w{n}')) >= i, (n, i, b.get(f'w{n}'))
        marks = dict(acknowledged)
        while any(acknowledged[n] < marks[n] + 50 for n in range(4)): assert time.time() < killedAt + 40, 'clients never go on'; time.sleep(0.01)
        stop.set(); [t.join() for t in threads]
        for n in range(4): assert int(b.get(f'w{n}')) == acknowledged[n] == int(r.get(f'w{n}')), n
        # The local level is in use again, and outside writes to the new master are seen.
        b.set('outside', 0)
        for i in range(200):
            b.set('outside', i)
            until = time.time() + 5
            while r.get('outside') != str(i): assert time.time() < until, i
        print('fine')
        """#
}
