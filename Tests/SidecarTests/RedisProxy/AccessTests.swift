import Glibc
import LocalServers
import Runtime
import Testing

/// Who may use the Redis proxy of the real binary, and what each may see.
@Suite struct RedisProxyAccessTests {
    /// A certificate for this machine, which is its own authority, and the address by which clients are not local.
    private struct Site {
        let folder: TemporaryFolder
        /// Nil where the machine has no address but loopback.
        let address: String?

        var tls: String { "tls: {cert_file: \(folder.path)/cert.pem, key_file: \(folder.path)/key.pem}" }

        static func make() async throws -> Site {
            let folder = try TemporaryFolder("outrigger-access")
            let told = try await LocalServer.run("hostname", ["-I"], folder: folder)
            let address = told.split(whereSeparator: \.isWhitespace).first { !$0.contains(":") }.map { String($0) }
            let names = ["DNS:localhost", "IP:127.0.0.1"] + (address.map { ["IP:\($0)"] } ?? [])
            try await LocalServer.run(
                "openssl",
                [
                    "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=Test", "-addext", "subjectAltName=\(names.joined(separator: ","))", "-keyout",
                    "key.pem", "-out", "cert.pem",
                ], folder: folder)
            // Redis may run as another user.
            chmod(folder.path + "/key.pem", 0o644)
            return Site(folder: folder, address: address)
        }

        /// Runs a script of Python with words that speak to the proxy.
        func python(_ script: String, _ values: [(String, String)]) async throws -> String {
            let program = try #require(Environment.current["TEST_PYTHON"], "made by make")
            let known = values.map { "\($0.0) = \($0.1)\n" }.joined()
            let path = folder.path + "/client.\(UInt32.random(in: 0...UInt32.max)).py"
            try Files.write(
                "cert = '\(folder.path)/cert.pem'\n" + known + RedisProxyAccessTests.words + script, to: path)
            return try await LocalServer.run(program, [path], folder: folder)
        }
    }

    private static let words = """
        import redis, socket, ssl, time, urllib.request
        class Raw:
            def __init__(self, host, port, tls=True):
                self.s = socket.create_connection((host, port), timeout=20)
                if tls: self.s = ssl.create_default_context(cafile=cert).wrap_socket(self.s, server_hostname=host)
                self.f = self.s.makefile('rb')
            def send(self, *words):
                self.s.sendall(b'*%d\\r\\n' % len(words) + b''.join(b'$%d\\r\\n%s\\r\\n' % (len(w), w) for w in map(str.encode, words)))
            def line(self): return self.f.readline().decode().rstrip()
            def ask(self, *words):
                self.send(*words)
                line = self.line()
                return self.line() if line[:1] == '$' and line != '$-1' else line
        def fails(kind, body):
            try: body()
            except kind as error: return str(error)
            assert False, 'no ' + kind.__name__

        """

    private func start(_ yaml: String, port: UInt16, redis: String? = nil) async throws -> RunningOutrigger {
        try await RunningOutrigger.start(
            yaml: "redis_proxy: {listen_address: \"0.0.0.0:\(port)\", \(yaml)}\n",
            environment: redis.map { ["REDIS_URL": $0] } ?? [:])
    }

    private static let users = "users: [{name: app, password: secret}, {name: default, password: common}]"

    /// With a Redis behind the proxy, and without.
    @Test(arguments: [true, false]) func othersNeedTLSAndAPassword(_ hasRedis: Bool) async throws {
        let site = try await Site.make()
        guard let address = site.address else {
            print("skipped: this machine has no address but loopback")
            return
        }
        let redis = try await LocalRedis.start()
        let port = FreePort.next()
        let commands = try await redis.command("COMMAND", "LIST")
        let outrigger = try await start("\(Self.users), \(site.tls)", port: port, redis: hasRedis ? redis.url : nil)
        let script = """
            def client(host=host, **how):
                return redis.Redis(host=host, port=port, ssl=True, ssl_ca_certs=cert, decode_responses=True, **how)
            for protocol in (2, 3):
                for who in (dict(username='app', password='secret'), dict(password='common')):
                    r = client(protocol=protocol, client_name='me', **who)
                    assert r.set('a', protocol) and r.get('a') == str(protocol) and r.client_getname() == 'me'
                    with r.pipeline() as p: assert p.set('n', 1).incr('n').execute() == [True, 2]
                    if has_redis:
                        s = r.pubsub()
                        s.subscribe('news')
                        assert s.get_message(timeout=10)['type'] == 'subscribe'
                        s.close()
            # On this machine nothing is asked for.
            assert client('127.0.0.1').get('a') == '3'
            # Without TLS nothing is answered.
            s = socket.create_connection((host, port), timeout=20)
            s.sendall(b'PING\\r\\n')
            assert b'PONG' not in s.recv(100)
            r = Raw(host, port)
            names = commands.split()
            names += ['latency reset', 'nosuch', 'acl whoami', 'client getname']
            assert len(names) > 200
            for name in names:
                if name in ('auth', 'hello', 'quit', 'reset'): continue
                assert r.ask(*name.split(), 'x') == '-NOAUTH Authentication required.', name
            assert r.ask('HELLO', '3').startswith('-NOAUTH HELLO must be called')
            assert r.ask('AUTH', 'app', 'wrong').startswith('-WRONGPASS')
            assert r.ask('PING').startswith('-NOAUTH')
            assert r.ask('AUTH', 'app', 'secret') == '+OK' and r.ask('GET', 'a') == '3'
            assert r.ask('RESET') == '+RESET' and r.ask('GET', 'a').startswith('-NOAUTH')
            r.s.sendall(b'*2\\r\\n$6\\r\\nSELECT\\r\\n$1\\r\\n0\\r\\nPING\\r\\nMULTI\\r\\n')
            assert [r.line() for _ in range(3)] == ['-NOAUTH Authentication required.'] * 3
            r.send('HELLO', '3', 'AUTH', 'app', 'secret')
            assert r.line().startswith('%')
            # No rubbish reaches Redis, and nothing large is waited for.
            for rubbish in (b'*100\\r\\n', b'*2\\r\\n$4\\r\\nAUTH\\r\\n$100000\\r\\n', b'*1\\r\\n:1\\r\\n'):
                r = Raw(host, port)
                r.s.sendall(rubbish)
                assert r.line().startswith('-ERR Protocol error') and r.line() == '', rubbish
            if has_redis:
                # On a connection of the client's own, nobody becomes anybody else.
                for words in (('AUTH', 'x'), ('RESET',), ('HELLO', '2')):
                    r = Raw(host, port)
                    assert r.ask('AUTH', 'common') == '+OK'
                    r.send('SUBSCRIBE', 'x')
                    while r.line() != ':1': pass
                    r.send(*words)
                    assert r.line() == '', words
            # Who guesses is answered late. Nobody is ever refused a right one.
            r = Raw(host, port)
            told = [r.ask('AUTH', 'app', 'guess%d' % i) for i in range(8)]
            assert all(t.startswith('-WRONGPASS') for t in told), told
            for guess in ('nine', 'ten', 'eleven'): Raw(host, port).send('AUTH', 'app', guess)
            assert Raw(host, port).ask('AUTH', 'app', 'secret') == '+OK'
            assert Raw(host, port).ask('AUTH', 'common') == '+OK'
            assert client('127.0.0.1').get('a') == '3'
            print('fine')
            """
        #expect(
            try await site.python(
                script,
                [
                    ("host", "'\(address)'"), ("port", "\(port)"), ("commands", "\"\"\"\(commands)\"\"\""),
                    ("has_redis", hasRedis ? "True" : "False"),
                ]) == "fine\n")
        let cli = ["--tls", "--cacert", site.folder.path + "/cert.pem", "-h", "127.0.0.1", "-p", "\(port)"]
        #expect(
            try await LocalServer.run(
                "redis-cli", cli + ["--user", "app", "--pass", "secret", "--no-auth-warning", "get", "a"],
                folder: site.folder) == "3\n")
        let metrics = try await outrigger.get("/metrics").body
        #expect(metrics.contains("outrigger_redis_proxy_auth_failures_total{reason=\"throttled\"} "))
        #expect(metrics.contains("outrigger_redis_proxy_clients_waiting "))
        await outrigger.stop()
        await redis.stop()
    }

    @Test func whoSaysNothingHasToGo() async throws {
        let site = try await Site.make()
        let port = FreePort.next()
        let outrigger = try await start("\(Self.users), \(site.tls), require_auth: true", port: port)
        let script = """
            silent = socket.create_connection(('127.0.0.1', port), timeout=60)
            nobody = Raw('127.0.0.1', port)
            assert nobody.ask('PING').startswith('-NOAUTH')
            somebody = Raw('127.0.0.1', port)
            assert somebody.ask('AUTH', 'app', 'secret') == '+OK'
            nobody.s.settimeout(60)
            assert silent.recv(1) == b'' and nobody.line() == ''
            assert somebody.ask('PING') == '+PONG'
            # Of many that wait, the newest are served.
            crowd = [socket.create_connection(('127.0.0.1', port), timeout=60) for _ in range(600)]
            newest = Raw('127.0.0.1', port)
            assert newest.ask('AUTH', 'app', 'secret') == '+OK'
            assert crowd[0].recv(1) == b'' and somebody.ask('PING') == '+PONG'
            print('fine')
            """
        #expect(try await site.python(script, [("port", "\(port)")]) == "fine\n")
        await outrigger.stop()
    }

    /// Users of Redis through the proxy, which speaks TLS to it and is a user itself.
    @Test func aUserSeesOnlyWhatRedisLetsItSee() async throws {
        let site = try await Site.make()
        let tlsPort = FreePort.next()
        let redis = try await LocalRedis.start([
            "--tls-port", "\(tlsPort)", "--tls-cert-file", site.folder.path + "/cert.pem", "--tls-key-file",
            site.folder.path + "/key.pem", "--tls-ca-cert-file", site.folder.path + "/cert.pem", "--tls-auth-clients",
            "no", "--requirepass", "root",
        ])
        for user in ["alice", "bob"] {
            try await redis.command(
                "--no-auth-warning", "-a", "root", "ACL", "SETUSER", user, "on", ">\(user)pw", "~\(user):*", "&*",
                "+@all")
        }
        try await redis.command(
            "--no-auth-warning", "-a", "root", "ACL", "SETUSER", "proxy", "on", ">proxypw", "~*", "&*", "+@all")
        let port = FreePort.next()
        let outrigger = try await RunningOutrigger.start(
            [
                "--redis-proxy.listen-address=127.0.0.1:\(port)", "--redis-proxy.auth=redis",
                "--collect.min-age=0s",
                "--redis-proxy.upstream-url=rediss://proxy:proxypw@127.0.0.1:\(tlsPort)",
                "--redis-proxy.upstream-tls.ca-file=\(site.folder.path)/cert.pem",
            ])
        let script = """
            def hits():
                text = urllib.request.urlopen(web + '/metrics').read().decode()
                return float(text.split('outrigger_redis_proxy_replies_total{source="local"} ')[1].split()[0])
            own = Raw('127.0.0.1', port, tls=False)
            for key in ('alice:1', 'bob:1', 'k'): assert own.ask('SET', key, 'v-' + key) == '+OK'
            for _ in range(20):
                for key in ('alice:1', 'bob:1', 'k'): assert own.ask('GET', key) == 'v-' + key
            assert own.ask('ACL', 'WHOAMI') == 'proxy'
            assert hits() > 0
            users = {}
            for name, other in (('alice', 'bob'), ('bob', 'alice')):
                for login in (('AUTH', name, name + 'pw'), ('HELLO', '2', 'AUTH', name, name + 'pw')):
                    r = users[name] = Raw('127.0.0.1', port, tls=False)
                    first = r.ask(*login)
                    if login[0] == 'HELLO':
                        assert first == '*14', first
                        r.send('ECHO', 'end')
                        while r.line() != 'end': pass
                    else: assert first == '+OK', first
                    for _ in range(3):
                        assert r.ask('GET', name + ':1') == 'v-' + name + ':1'
                        for key in (other + ':1', 'k'):
                            assert r.ask('GET', key).startswith('-NOPERM'), key
                            assert r.ask('MGET', name + ':1', key).startswith('-NOPERM'), key
                    assert own.ask('GET', 'k') == 'v-k'
            # What one user writes, the others see.
            assert users['alice'].ask('SET', 'alice:1', 'new') == '+OK' and own.ask('GET', 'alice:1') == 'new'
            # A wrong password changes nothing.
            assert users['alice'].ask('AUTH', 'bob', 'wrong').startswith('-WRONGPASS')
            assert users['alice'].ask('GET', 'bob:1').startswith('-NOPERM')
            # The proxy's own user shares what is kept.
            same = Raw('127.0.0.1', port, tls=False)
            assert same.ask('AUTH', 'proxy', 'proxypw') == '+OK'
            before = hits()
            for _ in range(20): assert same.ask('GET', 'k') == 'v-k'
            assert hits() >= before + 18, (before, hits())
            before = hits()
            for _ in range(20): assert users['alice'].ask('GET', 'alice:1') == 'new'
            assert hits() == before
            # By the library, too.
            for protocol in (2, 3):
                r = redis.Redis(port=port, username='alice', password='alicepw', protocol=protocol, decode_responses=True)
                assert r.get('alice:1') == 'new'
                fails(redis.exceptions.NoPermissionError, lambda: r.get('k'))
                fails(redis.exceptions.AuthenticationError, lambda: redis.Redis(port=port, username='alice', password='no', protocol=protocol).ping())
            print('fine')
            """
        #expect(
            try await site.python(script, [("port", "\(port)"), ("web", "'\(outrigger.url)'")]) == "fine\n")
        await outrigger.stop()
        await redis.stop()
    }

    /// A user of Redis without a password is none for clients on other machines.
    @Test func whereRedisJudgesAPasswordIsStillNeeded() async throws {
        let site = try await Site.make()
        guard let address = site.address else {
            print("skipped: this machine has no address but loopback")
            return
        }
        let redis = try await LocalRedis.start()
        try await redis.command("ACL", "SETUSER", "alice", "on", ">alicepw", "~alice:*", "&*", "+@all")
        let port = FreePort.next()
        let outrigger = try await start("auth: redis, \(site.tls)", port: port, redis: redis.url)
        let script = """
            r = Raw(host, port)
            assert r.ask('AUTH', 'default', 'anything').startswith('-DENIED'), 'a user without a password'
            assert r.ask('HELLO', '2', 'AUTH', 'default', 'anything').startswith('-DENIED')
            assert r.ask('AUTH', 'anything').startswith('-ERR AUTH <password> called without')
            assert r.ask('PING').startswith('-NOAUTH')
            assert r.ask('AUTH', 'alice', 'alicepw') == '+OK'
            assert r.ask('SET', 'alice:1', 'x') == '+OK' and r.ask('GET', 'k').startswith('-NOPERM')
            r = Raw(host, port)
            told = [r.ask('AUTH', 'alice', 'guess%d' % i) for i in range(9)]
            assert all(t.startswith('-WRONGPASS') for t in told), told
            assert r.ask('AUTH', 'alice', 'alicepw') == '+OK'
            print('fine')
            """
        #expect(try await site.python(script, [("host", "'\(address)'"), ("port", "\(port)")]) == "fine\n")
        await outrigger.stop()
        await redis.stop()
    }

    @Test func aUnixSocketAloneIsEnough() async throws {
        let folder = try TemporaryFolder("outrigger-access")
        let path = folder.path + "/proxy.sock"
        let redis = try await LocalRedis.start()
        let outrigger = try await RunningOutrigger.start(
            ["--redis-proxy.unix-socket=\(path)", "--redis-proxy.unix-socket-mode=0770"],
            environment: ["REDIS_URL": redis.url])
        #expect(try await LocalServer.run("redis-cli", ["-s", path, "set", "a", "1"], folder: folder) == "OK\n")
        #expect(try await redis.command("GET", "a") == "1\n")
        #expect(try await LocalServer.run("stat", ["-c", "%a", path], folder: folder) == "770\n")
        await outrigger.stop()
        #expect(try await LocalServer.run("ls", [folder.path], folder: folder).contains("proxy.sock") == false)
        await redis.stop()
    }
}
