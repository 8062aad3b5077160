import Glibc
import LocalServers
import Runtime
import Testing

/// The Redis proxy of the real binary, used by clients that know nothing of it.
@Suite struct RedisProxyServeTests {
    private func start(_ port: UInt16, redis: LocalRedis?) async throws -> RunningOutrigger {
        try await RunningOutrigger.start(
            ["--redis-proxy.listen-address=127.0.0.1:\(port)", "--collect.min-age=0s"],
            environment: redis.map { ["REDIS_URL": $0.url] } ?? [:])
    }

    /// Runs a script of redis-py, with `port` and `direct`, the port of the Redis behind the proxy.
    private func python(_ script: String, port: UInt16, direct: UInt16 = 0, _ folder: TemporaryFolder) async throws
        -> String
    {
        let program = try #require(Environment.current["TEST_PYTHON"], "made by make")
        try Files.write(
            "import redis, threading, random, time, sys\nport, direct = \(port), \(direct)\n" + script,
            to: folder.path + "/client.py")
        return try await LocalServer.run(program, [folder.path + "/client.py"], folder: folder)
    }

    private static let commonUse = """
        for protocol in (2, 3):
            r = redis.Redis(port=port, protocol=protocol, decode_responses=True)
            r.flushall()
            assert r.set('a', 1) and r.get('a') == '1' and r.incr('a') == 2
            assert r.hset('h', mapping={'x': 1, 'y': 2}) == 2 and r.hgetall('h') == {'x': '1', 'y': '2'}
            assert r.get('none') is None and r.mget('a', 'none') == ['2', None]
            with r.pipeline() as p:
                assert p.set('t', 1).incr('t').get('t').execute() == [True, 2, '2']
            with r.pipeline() as p:
                p.watch('t')
                r.set('t', 9)
                p.multi()
                p.set('t', 10)
                try:
                    p.execute()
                    assert False, 'a watched key changed'
                except redis.WatchError:
                    pass
            assert r.set('e', 1, px=30) and r.ttl('e') <= 1
            time.sleep(0.05)
            assert r.get('e') is None
            try:
                r.execute_command('NOSUCH', 'x')
                assert False
            except redis.ResponseError as error:
                assert str(error).startswith("unknown command 'NOSUCH'"), error
            try:
                r.hget('a', 'x')
                assert False
            except redis.ResponseError as error:
                assert str(error).startswith('WRONGTYPE') or 'wrong kind' in str(error), error
        print('fine')
        """

    @Test func aClientInFrontOfRedisNoticesNothing() async throws {
        let redis = try await LocalRedis.start()
        let port = FreePort.next()
        let outrigger = try await start(port, redis: redis)
        #expect(try await python(Self.commonUse, port: port, outrigger.folder) == "fine\n")
        let more = """
            r = redis.Redis(port=port, decode_responses=True)
            r.set('kept', 'here')
            for _ in range(50):
                assert r.get('kept') == 'here'
                time.sleep(0.01)
            s = r.pubsub()
            s.subscribe('news')
            assert s.get_message(timeout=5)['type'] == 'subscribe'
            assert r.publish('news', 'hello') == 1
            assert s.get_message(timeout=5)['data'] == 'hello'
            results = []
            waiter = threading.Thread(target=lambda: results.append(redis.Redis(port=port, decode_responses=True).blpop('list', 10)))
            waiter.start()
            while redis.Redis(port=direct).info('clients')['blocked_clients'] == 0: pass
            r.rpush('list', 'x')
            waiter.join()
            assert results == [('list', 'x')]
            with r.lock('mine', timeout=5): assert not r.lock('mine', blocking_timeout=0.05).acquire()
            assert r.eval('return redis.call("get", KEYS[1])', 1, 'nothing') is None
            other = redis.Redis(port=port, db=3, decode_responses=True)
            other.set('only', 'here')
            assert r.get('only') is None and other.get('only') == 'here'
            print('fine')
            """
        #expect(try await python(more, port: port, direct: redis.port, outrigger.folder) == "fine\n")
        let metrics = try await outrigger.get("/metrics").body
        #expect(metrics.contains("outrigger_redis_proxy_clients_accepted_total "))
        let hits = metrics.split(separator: "\n").first {
            $0.hasPrefix(#"outrigger_redis_proxy_replies_total{source="local"}"#)
        }
        #expect((hits?.split(separator: " ").last.flatMap { Int($0) } ?? 0) > 0, "the local level has answered")
        await outrigger.stop()
        await redis.stop()
    }

    @Test func withoutRedisTheProxyIsASmallOne() async throws {
        let port = FreePort.next()
        let outrigger = try await start(port, redis: nil)
        #expect(try await python(Self.commonUse, port: port, outrigger.folder) == "fine\n")
        await outrigger.stop()
    }

    /// Every value tells whose it is; clients vanish with their questions unanswered.
    @Test func noReplyEverReachesAnotherClient() async throws {
        let redis = try await LocalRedis.start()
        let port = FreePort.next()
        let outrigger = try await start(port, redis: redis)
        let script = """
            import socket
            seed = 20261124
            print('seed', seed)
            wrong, right = [], [0]
            def client(number):
                dice = random.Random(seed + number)
                for turn in range(60):
                    s = socket.create_connection(('127.0.0.1', port))
                    tokens = [b'%d-%d-%d' % (number, turn, index) for index in range(dice.randrange(1, 60))]
                    s.sendall(b''.join(b'*2\\r\\n$4\\r\\nECHO\\r\\n$%d\\r\\n%s\\r\\n' % (len(t), t) for t in tokens))
                    if dice.random() < 0.4:
                        s.close()
                        continue
                    wanted = b''.join(b'$%d\\r\\n%s\\r\\n' % (len(t), t) for t in tokens)
                    got = b''
                    while len(got) < len(wanted):
                        piece = s.recv(65536)
                        if not piece: break
                        got += piece
                    if got != wanted: wrong.append((wanted, got))
                    else: right[0] += len(tokens)
                    s.close()
            threads = [threading.Thread(target=client, args=(number,)) for number in range(16)]
            [t.start() for t in threads]
            [t.join() for t in threads]
            assert not wrong, wrong[0]
            assert right[0] > 5000, right
            """
        _ = try await python(script, port: port, outrigger.folder)
        await outrigger.stop()
        await redis.stop()
    }

    @Test func whenRedisGoesClientsAreToldAndWhenItIsBackTheyGoOn() async throws {
        let redis = try await LocalRedis.start()
        let port = FreePort.next()
        let outrigger = try await start(port, redis: redis)
        func ask(_ words: String...) async throws -> String {
            try await LocalServer.run("redis-cli", ["-p", "\(port)"] + words, folder: outrigger.folder)
        }
        #expect(try await ask("SET", "a", "1") == "OK\n")
        redis.server.process.signal(SIGKILL)
        _ = try await redis.server.process.exited(within: .seconds(120))
        #expect(try await ask("GET", "a").contains("ERR Redis cannot be reached"))
        let back = try await redis.restarted()
        #expect(try await ask("SET", "a", "2") == "OK\n")
        #expect(try await ask("GET", "a") == "2\n")
        await outrigger.stop()
        await back.stop()
    }

    @Test func whileRedisIsGoneClassesAreAnsweredAsTheyWant() async throws {
        let redis = try await LocalRedis.start()
        let port = FreePort.next()
        let outrigger = try await RunningOutrigger.start(
            yaml: """
                redis: {url: "\(redis.url)"}
                collect: {min_age: 0s}
                redis_proxy: {listen_address: "127.0.0.1:\(port)"}
                cache:
                  classes:
                    - {name: old, match: ["old:*"], on_failure: stale}
                    - {name: young, match: ["young:*"], on_failure: stale, stale_for: 0s}
                    - {name: session, match: ["session:*"], on_failure: memory}
                    - {name: count, match: ["count:*"], on_failure: memory, volatile_counters: true}
                """)
        func ask(_ words: String...) async throws -> String {
            try await LocalServer.run("redis-cli", ["-p", "\(port)"] + words, folder: outrigger.folder)
        }
        for key in ["old:1", "young:1", "session:1", "strict:1"] {
            #expect(try await ask("SET", key, "before") == "OK\n")
        }
        try await outrigger.untilLocalLevelAnswers { _ = try await ask("GET", "strict:1") }
        for key in ["old:1", "young:1", "session:1"] {
            for _ in 0..<2 { #expect(try await ask("GET", key) == "before\n") }
        }
        redis.server.process.signal(SIGKILL)
        _ = try await redis.server.process.exited(within: .seconds(120))
        #expect(try await ask("GET", "strict:1").contains("ERR Redis cannot be reached"))
        #expect(try await ask("GET", "old:1") == "before\n")
        #expect(try await ask("SET", "old:1", "x").contains("ERR Redis cannot be reached"))
        #expect(try await ask("GET", "young:1").contains("ERR Redis cannot be reached"))
        #expect(try await ask("GET", "session:1") == "before\n")
        #expect(try await ask("SET", "session:1", "during") == "OK\n")
        #expect(try await ask("GET", "session:1") == "during\n")
        #expect(try await ask("HSET", "session:2", "f", "v") == "1\n")
        #expect(try await ask("DEL", "session:1") == "1\n")
        #expect(try await ask("GET", "session:1") == "\n")
        #expect(try await ask("SET", "session:lock", "me", "NX").contains("ERR Redis cannot be reached"))
        #expect(try await ask("INCR", "session:n").contains("ERR Redis cannot be reached"))
        #expect(try await ask("LPUSH", "session:l", "x").contains("ERR Redis cannot be reached"))
        #expect(try await ask("INCR", "count:n") == "1\n")
        let page = try await outrigger.get("/metrics").body
        #expect(page.contains(#"outrigger_circuit_breaker_open{breaker="redis_proxy"} 1"#))
        #expect(!page.contains(#"outrigger_redis_proxy_replies_total{source="stale"} 0"#))
        #expect(!page.contains(#"outrigger_redis_proxy_replies_total{source="memory"} 0"#))
        let back = try await redis.restarted()
        let deadline = Deadline.after(.seconds(120))
        while try await ask("HGET", "session:2", "f") != "\n" {
            try #require(!deadline.hasPassed, "what was written in memory is discarded")
        }
        #expect(try await ask("GET", "old:1") == "\n")
        await outrigger.stop()
        await back.stop()
    }

    @Test func whatWasHotIsFetchedAtTheNextStart() async throws {
        let redis = try await LocalRedis.start()
        let port = FreePort.next()
        let folder = try TemporaryFolder("outrigger-state")
        func start() async throws -> RunningOutrigger {
            try await RunningOutrigger.start(
                [
                    "--redis-proxy.listen-address=127.0.0.1:\(port)", "--state.dir=\(folder.path)",
                    "--collect.min-age=0s",
                ], environment: ["REDIS_URL": redis.url])
        }
        func ask(_ words: String...) async throws -> String {
            try await LocalServer.run("redis-cli", ["-p", "\(port)"] + words, folder: folder)
        }
        let first = try await start()
        #expect(try await ask("SET", "hot", "value") == "OK\n")
        #expect(try await ask("HSET", "hot:hash", "field", "value") == "1\n")
        try await first.untilLocalLevelAnswers { _ = try await ask("GET", "hot") }
        for _ in 0..<3 { #expect(try await ask("HGETALL", "hot:hash") == "field\nvalue\n") }
        await first.stop()
        let second = try await start()
        let deadline = Deadline.after(.seconds(120))
        while try await !second.get("/metrics").body.contains(#"outrigger_cache_entries{class="default"} 2"#) {
            try #require(!deadline.hasPassed, "both are fetched")
        }
        #expect(try await ask("GET", "hot") == "value\n")
        #expect(try await ask("HGETALL", "hot:hash") == "field\nvalue\n")
        let page = try await second.get("/metrics").body
        #expect(page.contains(#"outrigger_redis_proxy_replies_total{source="local"} 2"#))
        await second.stop()
        await redis.stop()
    }

    @Test func rubbishIsAnsweredAsRedisAnswersIt() async throws {
        let redis = try await LocalRedis.start()
        let ports = (relay: FreePort.next(), memory: FreePort.next())
        let relay = try await start(ports.relay, redis: redis)
        let memory = try await start(ports.memory, redis: nil)
        let script = """
            import socket
            def answer(to, text):
                s = socket.create_connection(('127.0.0.1', to), timeout=10)
                s.sendall(text)
                got = b''
                while b'\\r\\n' not in got:
                    piece = s.recv(4096)
                    if not piece: break
                    got += piece
                s.close()
                return got
            for text in [b'*1\\r\\n:1\\r\\n', b'*1\\r\\n$-5\\r\\n', b'*99999999999\\r\\n', b'*2\\r\\n$3\\r\\nGET\\r\\n$99999999999\\r\\n',
                         b'GET "x\\r\\n', b'\\r\\nPING\\r\\n', b'ping hello\\r\\n', b'*1\\r\\n$4\\r\\nPING\\r\\n', b'x' * 70000]:
                wanted = answer(direct, text)
                for to in port:
                    got = answer(to, text)
                    assert got == wanted, (to, text[:40], got, wanted)
            """
        _ = try await python(
            "port = (\(ports.relay), \(ports.memory))\n" + script, port: 0, direct: redis.port, relay.folder)
        await relay.stop()
        await memory.stop()
        await redis.stop()
    }

    @Test func itListensBeyondLoopbackOnlyWithTLSAndPasswords() async throws {
        for (flags, missing) in [
            ([], "needs redis_proxy.users (or redis_proxy.auth: redis), and redis_proxy.tls.cert_file and key_file"),
            (["--redis-proxy.auth=redis"], "needs redis_proxy.tls.cert_file and key_file"),
        ] {
            let refused = try await RunningOutrigger.run(
                ["serve", "--redis-proxy.listen-address=:6380", "--redis-proxy.upstream-url=redis://127.0.0.1"] + flags)
            #expect(refused.status == 2 && refused.output.contains(missing), "\(refused.output)")
        }
    }
}

extension RunningOutrigger {
    /// Asks again until an answer has come from the local level, which is not served before Redis tells of changes.
    fileprivate func untilLocalLevelAnswers(_ ask: () async throws -> Void) async throws {
        let deadline = Deadline.after(.seconds(120))
        while try await get("/metrics").body.contains(#"outrigger_redis_proxy_replies_total{source="local"} 0"#) {
            try #require(!deadline.hasPassed, "the local level never answers")
            try await ask()
        }
    }
}
