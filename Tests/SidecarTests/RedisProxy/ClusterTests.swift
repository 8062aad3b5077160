import LocalServers
import RedisTesting
import Runtime
import Testing

/// Clients that know of one Redis, in front of a whole cluster, through the real binary.
@Suite struct RedisProxyClusterTests {
    private func withCluster(
        replicas: Int = 0, _ body: (LocalRedisCluster, RunningOutrigger, _ port: UInt16) async throws -> Void
    ) async throws {
        let cluster = try await LocalRedisCluster.start(replicas: replicas)
        let port = FreePort.next()
        let outrigger = try await RunningOutrigger.start([
            "--redis-proxy.listen-address=127.0.0.1:\(port)",
            "--redis-proxy.cluster.addresses=127.0.0.1:\(cluster.nodes[0].port)",
            "--collect.min-age=0s",
        ])
        try await body(cluster, outrigger, port)
        #expect(outrigger.process.exitCode == nil, "the proxy has ended: \(outrigger.log.suffix(2000))")
        await outrigger.stop()
        await cluster.stop()
    }

    @Test func aPlainClientMayUseCommandsOfAllKindsOverAllSlots() async throws {
        try await withCluster { cluster, outrigger, port in
            try await Python.run(Self.kinds, [outrigger.port, port] + cluster.nodes.map(\.port), in: outrigger.folder)
        }
    }

    @Test func nothingIsLostOrReorderedWhileASlotMoves() async throws {
        try await withCluster { cluster, outrigger, port in
            try await Python.run(Self.migration, [port] + cluster.nodes.map(\.port), in: outrigger.folder)
            #expect(try await outrigger.localHits() > 0)
        }
    }

    @Test func t10ReplicasAreNeverReadFrom() async throws {
        try await withCluster(replicas: 1) { cluster, outrigger, port in
            try await OwnThread().run {
                let clients = try (0..<6).map { _ in try RawClient(port: port) }
                for key in 0..<100 { try clients[0].ask("SET", "k\(key)", "v\(key)") }
                for turn in 0..<600 {
                    let (key, value) = ("k\(turn % 100)", "v\(turn % 100)")
                    let reply = try clients[turn % clients.count].ask("GET", key)
                    #expect(reply == "$\(value.utf8.count)\r\n\(value)\r\n")
                }
                // Not even who would take what is old from a replica is sent to one.
                for _ in 0..<6 {
                    let client = try RawClient(port: port)
                    #expect(try client.ask("READONLY") == "+OK\r\n")
                    for key in 0..<20 { try client.ask("GET", "k\(key)") }
                }
            }
            #expect(try await outrigger.localHits() > 0)
            var replicas = 0
            for node in cluster.nodes where try await node.command("ROLE").hasPrefix("slave") {
                replicas += 1
                let calls = try await node.command("INFO", "commandstats")
                #expect(!calls.contains("cmdstat_get:") && !calls.contains("cmdstat_readonly:"), "\(calls)")
            }
            #expect(replicas == 3)
        }
    }

    @Test func aReplicaTakesOverFromAMasterThatDies() async throws {
        try await withCluster(replicas: 1) { cluster, outrigger, port in
            let victim = cluster.nodes[1]
            try await Python.run(
                Self.failover, [port, victim.port], processes: [victim.server.process.pid],
                then: cluster.nodes.map(\.port), in: outrigger.folder)
        }
    }

    @Test(arguments: [
        ("redis://127.0.0.1:7000/2", "", "a cluster has database 0 only"),
        ("redis://127.0.0.1:7000", "--cache.write=behind", "write: behind, which does not work in front of a cluster"),
    ]) func whatAClusterDoesNotHaveStopsTheStart(_ url: String, _ flag: String, _ problem: String) async throws {
        let (status, output) = try await RunningOutrigger.run(
            [
                "check-config", "--redis-proxy.listen-address=127.0.0.1:6390",
                "--redis-proxy.cluster.addresses=127.0.0.1:7000",
            ] + (flag.isEmpty ? [] : [flag]), environment: ["REDIS_URL": url])
        #expect(status == 2)
        #expect(output.contains(problem), "\(output)")
    }

    private static let kinds = #"""
        import redis, re, sys, threading, time, urllib.request
        pages, proxy, nodes = int(sys.argv[1]), int(sys.argv[2]), list(map(int, sys.argv[3:]))
        def local_hits():
            page = urllib.request.urlopen(f'http://127.0.0.1:{pages}/metrics').read().decode()
            return int(re.search(r'^outrigger_redis_proxy_replies_total{source="local"} (\d+)', page, re.M)[1])
        def fails(words, *command):
            try: r.execute_command(*command)
            except redis.RedisError as error: assert words in str(error), (command, error)
            else: assert False, command
        # Some slots of every node.
        masters = [n for n in nodes if redis.Redis(port=n).role()[0] == b'master']
        for protocol in (2, 3):
            r = redis.Redis(port=proxy, protocol=protocol, decode_responses=True)
            assert r.flushall() and r.dbsize() == 0
            with r.pipeline(transaction=False) as p:
                for i in range(2000): p.set(f'k{i}', i).get(f'k{i}').incr(f'n{i % 7}')
                replies = p.execute()
                assert replies == [x for i in range(2000) for x in (True, str(i), i // 7 + 1)]
            assert r.dbsize() == 2007 and len(r.keys('k*')) == 2000
            assert sorted(r.scan_iter('k*', count=77)) == sorted(f'k{i}' for i in range(2000))
            assert sum(redis.Redis(port=n).dbsize() for n in masters) == 2007
            assert all(redis.Redis(port=n).dbsize() > 300 for n in masters)
            assert r.mset({'{t}a': 1, '{t}b': 2}) and r.mget('{t}a', '{t}b', '{t}c') == ['1', '2', None]
            fails('hash to the same slot', 'MGET', 'a', 'b'); fails('hash to the same slot', 'DEL', 'a', 'b', 'c'); fails('not allowed', 'SELECT', 1)
            assert r.execute_command('SELECT', 0)
            fails('single node', 'CLUSTER', 'MEET', '127.0.0.1', 1); fails('unknown', 'NOSUCH', 'x'); fails('wrong number', 'GET')
            assert r.get('k7') == '7'
            r.hset('h', mapping={'a': 1}); r.lpush('l', 1, 2, 3); r.sadd('s', 'x'); r.zadd('z', {'m': 1.5}); r.xadd('x', {'f': 'v'})
            assert (r.hgetall('h'), r.lrange('l', 0, -1), r.smembers('s'), r.zscore('z', 'm'), r.xlen('x')) == ({'a': '1'}, ['3', '2', '1'], {'x'}, 1.5, 1)
            assert r.eval("return redis.call('incrby', KEYS[1], ARGV[1])", 1, 'e', 5) == 5
            script = r.register_script("return redis.call('incrby', KEYS[1], ARGV[1])")
            assert [script(keys=[f'e{i}'], args=[i]) for i in range(50)] == list(range(50))
            assert r.script_exists(script.sha) == [True] and r.script_flush() and r.script_exists(script.sha) == [False]
            # Transactions: by the first key, in one slot, across slots, without keys.
            for i in range(60):
                with r.pipeline() as p: assert p.incr(f't{{{i}}}').get(f't{{{i}}}').incr(f'u{{{i}}}').execute() == [1, '1', 1]
            with r.pipeline() as p: assert p.ping().set('tt', 1).execute() == [True, True]
            with r.pipeline() as p: assert p.ping().echo('x').execute() == [True, 'x']
            for wrong in (lambda p: p.set('a', 1).set('b', 1), lambda p: p.dbsize().set('a', 1), lambda p: p.set('a', 1).dbsize(), lambda p: p.mget('a', 'b').set('a', 3)):
                r.delete('a')
                with r.pipeline() as p:
                    try: wrong(p).execute(); assert False
                    except redis.RedisError as error: pass
                assert r.get('a') is None
            r.execute_command('MULTI') and r.execute_command('DISCARD')
            def add(p):
                value = int(p.get('w') or 0); p.multi(); p.set('w', value + 1)
            def work():
                c = redis.Redis(port=proxy, protocol=protocol, decode_responses=True)
                for _ in range(10): c.transaction(add, 'w')
            threads = [threading.Thread(target=work) for _ in range(4)]
            [t.start() for t in threads]; [t.join() for t in threads]
            assert r.get('w') == '40'
            # Commands that wait.
            for i in range(12):
                got = []
                waiter = threading.Thread(target=lambda: got.append(redis.Redis(port=proxy, protocol=protocol, decode_responses=True).blpop([f'list{i}'], 10)))
                waiter.start(); r.rpush(f'list{i}', 'x'); waiter.join()
                assert list(got[0]) == [f'list{i}', 'x']
            assert r.blpop('none', timeout=1) is None
            # Messages, also of a slot's node.
            s = r.pubsub(ignore_subscribe_messages=True); s.subscribe('a'); s.psubscribe('b*')
            r2 = redis.Redis(port=proxy, decode_responses=True)
            deadline, seen = time.time() + 20, set()
            while len(seen) < 2 and time.time() < deadline:
                for n in nodes: redis.Redis(port=n).publish('a', 1)
                r2.publish('b1', 2)
                while m := s.get_message(timeout=0.1): seen.add((m['channel'], m['data']))
            assert seen == {('a', '1'), ('b1', '2')}, seen
            s.close()
            for i in range(9):
                q = r.pubsub(); q.ssubscribe(f'shard{i}')
                while not (m := q.get_message(timeout=5)): pass
                assert m['type'] == 'ssubscribe', m
                assert r.execute_command('SPUBLISH', f'shard{i}', 'hi') == 1
                while not (m := q.get_sharded_message(timeout=5)): pass
                assert m['data'] == 'hi'
                q.close()
            assert r.config_set('slowlog-max-len', 100 + protocol) and all(redis.Redis(port=n, decode_responses=True).config_get('slowlog-max-len') == {'slowlog-max-len': str(100 + protocol)} for n in nodes)
            assert r.object('encoding', 'k1') == 'int' and r.memory_usage('k1') > 0 and r.wait(0, 10) >= 0
            assert r.randomkey() is not None and r.time() and r.info('server')['redis_mode'] == 'cluster'
            assert r.set('k1', 'x', keepttl=True, get=True) == '1' and r.copy('{k}1', '{k}2') is False
        # Outside writes on every node are seen, from what was kept here.
        r = redis.Redis(port=proxy, decode_responses=True)
        for i in range(100): assert r.set(f'o{i}', 0)
        # Kept are they once the news of their own writes is through.
        until = time.time() + 30
        while True:
            before = local_hits()
            for i in range(100): assert r.get(f'o{i}') == '0'
            # Clients know before hits are counted.
            if local_hits() - before >= 90: break
            assert time.time() < until, local_hits() - before
        direct = redis.RedisCluster(host='127.0.0.1', port=masters[0], decode_responses=True)
        for i in range(100):
            direct.set(f'o{i}', 1)
            until = time.time() + 5
            while r.get(f'o{i}') != '1': assert time.time() < until, i
        print('fine')
        """#

    private static let migration = #"""
        import redis, sys, threading, time
        proxy, nodes = int(sys.argv[1]), list(map(int, sys.argv[2:]))
        r = redis.Redis(port=proxy, decode_responses=True)
        node = {n: redis.Redis(port=n, decode_responses=True) for n in nodes}
        masters = [n for n in nodes if node[n].role()[0] == 'master']
        ids = {n: node[n].execute_command('CLUSTER', 'MYID') for n in masters}
        tag = 'busy'
        slot = node[masters[0]].execute_command('CLUSTER', 'KEYSLOT', tag)
        def owner():
            for low, high, primary, *rest in node[masters[0]].execute_command('CLUSTER', 'SLOTS'):
                if low <= slot <= high: return primary[1]
        r.flushall()
        stop, failures, done = threading.Event(), [], [0] * 6
        def work(n):
            c = redis.Redis(port=proxy, decode_responses=True, protocol=2 + n % 2)
            own, i, at = [f'{{{tag}}}{n}:{k}' for k in range(40)], 0, None
            try:
                while not stop.is_set():
                    i += 1
                    with c.pipeline(transaction=False) as p:
                        for k in own[:30]: p.incr(k).get(k).append(k + 'log', f'{i},').incr(f'other{n}{k}')
                        replies = p.execute()
                    assert replies[0::4] == [i] * 30 and replies[1::4] == [str(i)] * 30, (i, replies)
                    assert replies[3::4] == [i] * 30, (i, replies)
                    for attempt in range(200):
                        # While only some of the keys have moved Redis says TRYAGAIN; it does nothing meanwhile.
                        try: c.mset({own[30]: i, own[31]: i}); break
                        except redis.exceptions.TryAgainError: time.sleep(0.01)
                    for attempt in range(200):
                        try: got = c.mget(own[30], own[31]); break
                        except redis.exceptions.TryAgainError: time.sleep(0.01)
                    assert got == [str(i)] * 2, (i, got)
                    assert c.get(own[0]) == str(i) and c.get(own[0]) == str(i)
                    done[n] = i
                for k in own[:30]: assert c.get(k + 'log') == ''.join(f'{j},' for j in range(1, i + 1)), k
            except BaseException as error: failures.append((n, i, error)); stop.set()
        threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
        [t.start() for t in threads]
        moves = 0
        deadline = time.time() + 60
        while moves < 6 and not stop.is_set():
            assert time.time() < deadline
            source = owner(); target = next(m for m in masters if m != source and (moves % 2 or m != masters[-1]))
            before = list(done)
            node[target].execute_command('CLUSTER', 'SETSLOT', slot, 'IMPORTING', ids[source])
            node[source].execute_command('CLUSTER', 'SETSLOT', slot, 'MIGRATING', ids[target])
            while keys := node[source].execute_command('CLUSTER', 'GETKEYSINSLOT', slot, 5):
                node[source].execute_command('MIGRATE', '127.0.0.1', target, '', 0, 5000, 'KEYS', *keys)
                time.sleep(0.002)
            time.sleep(0.2)
            for n in (target, source): node[n].execute_command('CLUSTER', 'SETSLOT', slot, 'NODE', ids[target])
            for n in masters: node[n].execute_command('CLUSTER', 'SETSLOT', slot, 'NODE', ids[target])
            while owner() != target: time.sleep(0.01)
            while not stop.is_set() and any(d < b + 2 for d, b in zip(done, before)): assert time.time() < deadline; time.sleep(0.01)
            # Seen from outside, where it is now.
            for i in range(20):
                node[target].set(f'{{{tag}}}outside', f'{moves}.{i}')
                until = time.time() + 5
                while r.get(f'{{{tag}}}outside') != f'{moves}.{i}': assert time.time() < until
            moves += 1
        stop.set(); [t.join() for t in threads]
        assert not failures, failures
        print('fine')
        """#

    private static let failover = #"""
        import redis, sys, threading, time, os, signal
        proxy, victim, pid, *nodes = map(int, sys.argv[1:])
        r = redis.Redis(port=proxy, decode_responses=True)
        node = {n: redis.Redis(port=n, decode_responses=True) for n in nodes}
        stop, failures, errors = threading.Event(), [], [0]
        acknowledged = [{} for _ in range(4)]
        def work(n):
            c = redis.Redis(port=proxy, decode_responses=True)
            i = 0
            while not stop.is_set():
                i += 1
                key = f'f{n}:{i % 50}'
                try:
                    assert c.set(key, i)
                    acknowledged[n][key] = i
                    got = c.get(key)
                    if got is None or int(got) != i: failures.append((key, i, got, time.time()))
                except redis.RedisError: errors[0] += 1; time.sleep(0.005)
        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        [t.start() for t in threads]
        time.sleep(1)
        replica = next(n for n in nodes if n != victim and node[n].role()[0] == 'slave' and node[n].role()[2] == victim)
        node[victim].execute_command('CLIENT', 'PAUSE', 100000, 'WRITE')
        while node[victim].info('replication')['master_repl_offset'] != node[replica].info('replication')['slave_repl_offset']: time.sleep(0.01)
        before = [dict(a) for a in acknowledged]
        os.kill(pid, signal.SIGKILL)
        killedAt = time.time()
        while node[replica].role()[0] != 'master': assert time.time() < killedAt + 30; time.sleep(0.01)
        def going():
            try: return all(r.set(f'g{i}', i) for i in range(100))
            except redis.RedisError: return False
        while not going(): assert time.time() < killedAt + 40; time.sleep(0.01)
        time.sleep(1)
        stop.set(); [t.join() for t in threads]
        assert not failures, failures[:5]
        for n in range(4):
            for key, i in before[n].items(): assert int(r.get(key)) >= i
            for key, i in acknowledged[n].items(): assert int(r.get(key)) >= i, (key, i, r.get(key))
        live = next(n for n in nodes if n not in (victim,))
        direct = redis.RedisCluster(host='127.0.0.1', port=live, decode_responses=True)
        for i in range(100): assert direct.get(f'g{i}') == r.get(f'g{i}') == str(i)
        for i in range(100):
            direct.set(f'g{i}', 'new')
            until = time.time() + 5
            while r.get(f'g{i}') != 'new': assert time.time() < until, i
        print('fine')
        """#
}
