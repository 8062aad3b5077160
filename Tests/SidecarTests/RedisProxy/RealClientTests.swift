import Glibc
import LocalServers
import RedisTesting
import Runtime
import TestTools
import Testing

/// Programs that know nothing of the proxy, as their packages ship them.
@Suite(.tags(.proof)) struct RedisProxyRealClientTests {
    private func withProxy(_ variant: ProxyVariant, _ body: (ProxyUnderTest) async throws -> Void) async throws {
        let proxy = try await ProxyUnderTest.start(variant)
        try await body(proxy)
        await proxy.stop()
    }

    /// Runs a line of shell in which `$PORT` is the proxy's and `$DIRECT` that of the Redis behind it.
    private func shell(_ line: String, _ proxy: ProxyUnderTest) async throws -> String {
        try await LocalServer.run(
            "bash", ["-euo", "pipefail", "-c", line], folder: proxy.outrigger.folder,
            environment: ["PORT": "\(proxy.port)", "DIRECT": "\(proxy.redis.port)"])
    }

    @Test(arguments: ProxyVariant.all) func redisCLI(_ variant: ProxyVariant) async throws {
        try await withProxy(variant) { proxy in
            #expect(
                try await shell(
                    "redis-cli -p $PORT set a 1; redis-cli -p $PORT -3 -n 2 set a 2; redis-cli -p $DIRECT get a", proxy)
                    == "OK\nOK\n1\n")
            #expect(
                try await shell("printf 'SET x 5\\nINCR x\\nMULTI\\nINCR x\\nEXEC\\n' | redis-cli -p $PORT", proxy)
                    == "OK\n6\nOK\nQUEUED\n7\n")
            let mass = try await shell(
                "for i in $(seq 20000); do printf 'SET mass:%d %d\\r\\n' $i $i; done | redis-cli -p $PORT --pipe", proxy
            )
            #expect(mass.contains("errors: 0, replies: 20000"), "\(mass)")
            #expect(try await shell("redis-cli -p $PORT --scan --pattern 'mass:*' | wc -l", proxy) == "20000\n")
            #expect(try await shell("redis-cli -p $PORT --bigkeys | grep -c 'strings with'", proxy) == "1\n")
            #expect(try await shell("redis-cli -p $PORT -r 3 -i 0 incr counted | tail -1", proxy) == "3\n")
            #expect(
                try await shell("redis-cli -p $PORT --no-raw eval 'return {1,{ok=\"fine\"},ARGV[1]}' 0 x", proxy)
                    .contains("2) fine"))
            #expect(
                try await shell(
                    "echo -n value | redis-cli -p $PORT -x set fromstdin; redis-cli -p $PORT get fromstdin", proxy)
                    == "OK\nvalue\n")
        }
    }

    @Test(arguments: ProxyVariant.all) func redisCLIListens(_ variant: ProxyVariant) async throws {
        try await withProxy(variant) { proxy in
            let folder = proxy.outrigger.folder
            let monitor = try ChildProcess(
                "redis-cli", ["-p", "\(proxy.port)", "MONITOR"], output: folder.path + "/monitor")
            let subscriber = try ChildProcess(
                "redis-cli", ["-p", "\(proxy.port)", "PSUBSCRIBE", "n*"], output: folder.path + "/subscriber")
            try await eventually("it is told") { try await shell("redis-cli -p $DIRECT pubsub numpat", proxy) == "1\n" }
            try await eventually("it is told") { try Files.readText(folder.path + "/monitor").contains("OK") }
            #expect(try await shell("redis-cli -p $PORT publish news hello", proxy) == "1\n")
            try await eventually("it is told") { try Files.readText(folder.path + "/subscriber").contains("hello") }
            try await eventually("it is told") {
                try Files.readText(folder.path + "/monitor").contains("\"publish\" \"news\" \"hello\"")
            }
            await monitor.stop()
            await subscriber.stop()
            // Redis hears that they have gone.
            try await eventually("it is told") { try await shell("redis-cli -p $DIRECT pubsub numpat", proxy) == "0\n" }
        }
    }

    @Test(arguments: ProxyVariant.all) func redisBenchmark(_ variant: ProxyVariant) async throws {
        try await withProxy(variant) { proxy in
            let all = [
                "PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "LPUSH", "RPUSH", "LPOP", "RPOP", "SADD", "HSET",
                "SPOP",
                "ZADD", "ZPOPMIN", "LRANGE_100", "LRANGE_600", "MSET",
            ]
            let runs = [
                ("-c 20 -P 1", all), ("-c 20 -P 16", all), ("-c 50 -P 64 --threads 2", all), ("-c 10 -k 0", all),
                ("-c 5 -d 20000 -r 100 -t set,get,lpush,mset", ["SET", "GET", "LPUSH", "MSET"]),
            ]
            for (options, tests) in runs {
                let told = try await shell(
                    "redis-benchmark -p $PORT -q -n 400 \(options) 2>&1 | tr '\\r' '\\n' | grep -v rps=", proxy)
                let done = told.split(separator: "\n").filter { $0.contains("requests per second") }
                for test in tests {
                    #expect(done.contains { $0.contains(test) }, "\(options): no \(test) in \(done)")
                }
                #expect(!told.lowercased().contains("error"), "\(options): \(told.suffix(600))")
            }
        }
    }

    private func python(_ script: String, _ proxy: ProxyUnderTest) async throws -> String {
        let program = try #require(Environment.current["TEST_PYTHON"], "made by make")
        let path = proxy.outrigger.folder.path + "/client.py"
        try Files.write("port, direct = \(proxy.port), \(proxy.redis.port)\n" + script, to: path)
        return try await LocalServer.run(program, [path], folder: proxy.outrigger.folder)
    }

    /// redis-py and its fork for Valkey have the same face.
    @Test(arguments: ProxyVariant.all, ["redis", "valkey"]) func pythonLibraries(
        _ variant: ProxyVariant, _ library: String
    )
        async throws
    {
        let script = """
            import asyncio, threading, time
            import \(library) as lib
            import \(library).asyncio as aio
            Client, AsyncClient = (lib.Redis, aio.Redis) if hasattr(lib, 'Redis') else (lib.Valkey, aio.Valkey)
            Error = getattr(lib, 'RedisError', None) or lib.ValkeyError
            for protocol in (2, 3):
                r = Client(port=port, protocol=protocol, decode_responses=True, client_name='me')
                r.flushall()
                assert r.client_getname() == 'me'
                with r.pipeline(transaction=False) as p:
                    for i in range(500): p.set(f'k{i}', i).get(f'k{i}')
                    assert p.execute() == [v for i in range(500) for v in (True, str(i))]
                with r.pipeline() as p:
                    p.incr('n').hset('h', mapping={'a': 1}).hgetall('h').zadd('z', {'m': 1.5}).zscore('z', 'm')
                    p.lpush('n', 'x')
                    results = p.execute(raise_on_error=False)
                    assert results[:5] == [1, 1, {'a': '1'}, 1, 1.5] and isinstance(results[5], Error), results
                def add(p):
                    value = int(p.get('t') or 0)
                    p.multi()
                    p.set('t', value + 1)
                def work():
                    c = Client(port=port, protocol=protocol, decode_responses=True)
                    for _ in range(20): c.transaction(add, 't')
                threads = [threading.Thread(target=work) for _ in range(4)]
                [t.start() for t in threads]; [t.join() for t in threads]
                assert r.get('t') == '80', r.get('t')
                script = r.register_script("return redis.call('incrby', KEYS[1], ARGV[1])")
                assert script(keys=['s'], args=[5]) == 5
                r.script_flush()
                assert script(keys=['s'], args=[5]) == 10
                s = r.pubsub(ignore_subscribe_messages=True)
                s.subscribe('a'); s.psubscribe('b*')
                deadline = time.time() + 10
                while Client(port=direct).pubsub_numpat() == 0 and time.time() < deadline: time.sleep(0.01)
                assert (r.publish('a', 1), r.publish('b1', 2)) == (1, 1)
                got = []
                while len(got) < 2 and time.time() < deadline:
                    m = s.get_message(timeout=1)
                    if m: got.append((m['channel'], m['data']))
                assert got == [('a', '1'), ('b1', '2')], got
                s.close()
                lock = r.lock('l', timeout=10)
                assert lock.acquire() and not r.lock('l', timeout=10).acquire(blocking=False)
                lock.extend(5); lock.release()
                assert [k for k in r.scan_iter('k1*', count=50)] and len(list(r.scan_iter('k*'))) == 500
                r.xadd('x', {'f': 'v'}); r.xgroup_create('x', 'g', id='0')
                assert len(r.xreadgroup('g', 'c', {'x': '>'}, count=5, block=10)) == 1
                assert r.blpop('none', timeout=1) is None
                assert r.set('b', b'\\x00\\xff') and Client(port=port, protocol=protocol).get('b') == b'\\x00\\xff'
            async def many():
                a = AsyncClient(connection_pool=aio.BlockingConnectionPool(
                    port=port, decode_responses=True, max_connections=50))
                async def one(i):
                    await a.set(f'async{i}', i)
                    return await a.get(f'async{i}')
                assert await asyncio.gather(*(one(i) for i in range(300))) == [str(i) for i in range(300)]
                # Cancelled while the reply is under way.
                for i in range(100):
                    task = asyncio.create_task(a.get(f'async{i}'))
                    await asyncio.sleep(0)
                    task.cancel()
                    try: await task
                    except asyncio.CancelledError: pass
                    assert await a.get('async7') == '7'
                await a.aclose()
            asyncio.run(many())
            print('fine')
            """
        try await withProxy(variant) { proxy in
            let told = try await python(script, proxy)
            #expect(told == "fine\n")
        }
    }

    @Test(arguments: ProxyVariant.all) func coredis(_ variant: ProxyVariant) async throws {
        let script = """
            import asyncio, coredis
            async def main():
                async with coredis.Redis(host='127.0.0.1', port=port, decode_responses=True) as r:
                    assert await r.set('a', 1) and await r.get('a') == '1'
                    assert await r.hset('h', {'x': '1', 'y': '2'}) == 2
                    assert await r.hgetall('h') == {'x': '1', 'y': '2'}
                    assert await r.mget(['a', 'none']) == ('1', None)
                    assert await r.zadd('z', {'m': 1.5}) == 1 and await r.zscore('z', 'm') == 1.5
                    values = await asyncio.gather(*(r.incr('n') for _ in range(200)))
                    assert sorted(values) == list(range(1, 201))
                    assert await r.eval('return ARGV[1]', args=['x']) == 'x'
                    try:
                        await r.lpush('a', ['x'])
                        assert False
                    except coredis.exceptions.WrongTypeError: pass
                    async with r.pipeline(transaction=True) as p:
                        first, second = p.set('t', 1), p.incr('t')
                    assert (await first, await second) == (True, 2)
            asyncio.run(main())
            print('fine')
            """
        try await withProxy(variant) { proxy in
            let told = try await python(script, proxy)
            #expect(told == "fine\n")
        }
    }

    /// Synchronous, pipelined, blocking and with a time-out that loses replies.
    private static let cProgram = """
        #include <hiredis/hiredis.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #define must(what) do { if (!(what)) { printf("line %d: %s\\n", __LINE__, #what); return 1; } } while (0)

        int main(int count, char **words) {
            redisContext *c = redisConnect("127.0.0.1", atoi(words[count - 1]));
            must(c && !c->err);
            redisReply *r = redisCommand(c, "SET %s %b", "k", "a\\0b", (size_t)3);
            must(r && r->type == REDIS_REPLY_STATUS && !strcmp(r->str, "OK"));
            freeReplyObject(r);
            r = redisCommand(c, "GET k");
            must(r && r->type == REDIS_REPLY_STRING && r->len == 3 && !memcmp(r->str, "a\\0b", 3));
            freeReplyObject(r);
            for (int i = 0; i < 10000; i++) redisAppendCommand(c, "ECHO %d", i);
            for (int i = 0; i < 10000; i++) {
                must(redisGetReply(c, (void **)&r) == REDIS_OK && atoi(r->str) == i);
                freeReplyObject(r);
            }
            redisAppendCommand(c, "MULTI");
            redisAppendCommand(c, "INCR n");
            redisAppendCommand(c, "LPUSH k x");
            redisAppendCommand(c, "EXEC");
            for (int i = 0; i < 3; i++) {
                must(redisGetReply(c, (void **)&r) == REDIS_OK);
                freeReplyObject(r);
            }
            must(redisGetReply(c, (void **)&r) == REDIS_OK && r->type == REDIS_REPLY_ARRAY && r->elements == 2);
            must(r->element[0]->integer == 1 && r->element[1]->type == REDIS_REPLY_ERROR);
            freeReplyObject(r);
            struct timeval short_while = {0, 50000};
            redisContext *hasty = redisConnect("127.0.0.1", atoi(words[count - 1]));
            must(redisSetTimeout(hasty, short_while) == REDIS_OK);
            must(!redisCommand(hasty, "BLPOP nothing 0") && hasty->err == REDIS_ERR_IO);
            redisFree(hasty);
            r = redisCommand(c, "GET n");
            must(r && !strcmp(r->str, "1"));
            freeReplyObject(r);
            redisFree(c);
            puts("fine");
            return 0;
        }
        """

    @Test(arguments: ProxyVariant.all) func hiredis(_ variant: ProxyVariant) async throws {
        try await withProxy(variant) { proxy in
            let path = proxy.outrigger.folder.path + "/client"
            try Files.write(Self.cProgram, to: path + ".c")
            #expect(try await shell("cc -Wall -o \(path) \(path).c -lhiredis && \(path) $PORT", proxy) == "fine\n")
        }
    }
}
