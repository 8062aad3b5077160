import LocalServers
import Runtime
import Testing

/// The real binary in front of a master that Sentinels watch.
@Suite struct RedisProxySentinelTests {
    @Test func clientsGoOnWithTheNewMasterAndHaveWhatWasAcknowledged() async throws {
        let master = try await LocalRedis.start(["--repl-diskless-sync-delay", "0"])
        let replica = try await LocalRedis.start(["--replicaof", "127.0.0.1 \(master.port)"])
        let deadline = Deadline.after(.seconds(30))
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
        let outrigger = try await RunningOutrigger.start([
            "--redis-proxy.listen-address=127.0.0.1:\(port)", "--redis-proxy.sentinel.master=main",
            "--redis-proxy.sentinel.addresses=127.0.0.1:\(sentinel.port)",
        ])
        try await Python.run(
            Self.failover, [port, master.port, replica.port], processes: [master.server.process.pid],
            in: outrigger.folder)
        #expect(try await outrigger.localHits() > 0)
        #expect(outrigger.log.contains("Sentinels name the master\" master=127.0.0.1:\(replica.port)"))
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
