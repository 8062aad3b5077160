import Glibc
import LocalServers
import RedisTesting
import Runtime
import Testing

/// TLS on both sides of the Redis proxy of the real binary: towards servers that speak nothing else, and towards clients.
@Suite(.timeLimit(.minutes(15))) struct RedisProxyTLSTests {
    private func start(_ flags: [String], trusting tls: LocalTLS) async throws -> (RunningOutrigger, UInt16) {
        let port = FreePort.next()
        let own = [
            "--redis-proxy.listen-address=127.0.0.1:\(port)", "--collect.min-age=0s",
            "--redis-proxy.upstream-tls.ca-file=\(tls.certificateFile)",
        ]
        return (try await RunningOutrigger.start(own + flags), port)
    }

    /// Writes and reads keys until that works, and then all of them.
    private static func use(_ port: UInt16) throws {
        let client = try RawClient(port: port)
        try client.expect("+OK\r\n", "SET", "k0", "v0")
        for key in 1..<50 { #expect(try client.ask("SET", "k\(key)", "v\(key)") == "+OK\r\n") }
        for _ in 0..<4 {
            for key in 0..<50 { #expect(try client.ask("GET", "k\(key)").hasSuffix("\r\nv\(key)\r\n")) }
        }
        #expect(try client.ask("DBSIZE") == ":50\r\n")
    }

    @Test func sentinelsAndTheMasterThatTheyNameAreSpokenToInTLS() async throws {
        let tls = try await LocalTLS.make()
        let master = try await LocalRedis.start(tls: tls)
        let sentinel = try await LocalSentinel.start("main", master: master.port, quorum: 1, tls: tls)
        let (outrigger, port) = try await start(
            [
                "--redis-proxy.sentinel.master=main", "--redis-proxy.sentinel.addresses=127.0.0.1:\(sentinel.port)",
                "--redis-proxy.upstream-url=rediss://main",
            ], trusting: tls)
        try await OwnThread().run { try Self.use(port) }
        #expect(try await master.command("GET", "k7") == "v7\n")
        #expect(try await outrigger.localHits() > 0)
        await outrigger.stop()
        await sentinel.stop()
        await master.stop()
    }

    @Test func theNodesOfAClusterAreSpokenToInTLS() async throws {
        let tls = try await LocalTLS.make()
        let cluster = try await LocalRedisCluster.start(tls: tls)
        let (outrigger, port) = try await start(
            [
                "--redis-proxy.cluster.addresses=127.0.0.1:\(cluster.nodes[1].port)",
                "--redis-proxy.upstream-url=rediss://cluster",
            ], trusting: tls)
        try await OwnThread().run { try Self.use(port) }
        for node in cluster.nodes { #expect(try await node.command("DBSIZE") != "0\n") }
        #expect(try await outrigger.localHits() > 0)
        await outrigger.stop()
        await cluster.stop()
    }

    /// Of a proxy without a Redis that speaks TLS to its clients.
    private static func cli(
        _ port: UInt16, _ tls: LocalTLS, _ options: [String] = [], in folder: TemporaryFolder
    ) async throws -> String {
        try await LocalServer.run(
            "redis-cli", ["--tls", "--cacert", tls.certificateFile, "-p", "\(port)"] + options + ["PING"],
            folder: folder)
    }

    @Test func clientsShowACertificateWhereTheyHaveTo() async throws {
        let (server, trusted, stranger) = (
            try await LocalTLS.make(), try await LocalTLS.make(), try await LocalTLS.make()
        )
        let port = FreePort.next()
        let outrigger = try await RunningOutrigger.start([
            "--redis-proxy.listen-address=127.0.0.1:\(port)", "--redis-proxy.tls.cert-file=\(server.certificateFile)",
            "--redis-proxy.tls.key-file=\(server.keyFile)",
            "--redis-proxy.tls.client-ca-file=\(trusted.certificateFile)",
        ])
        func identity(_ tls: LocalTLS) -> [String] { ["--cert", tls.certificateFile, "--key", tls.keyFile] }
        #expect(try await Self.cli(port, server, identity(trusted), in: outrigger.folder) == "PONG\n")
        for options in [[], identity(stranger)] {
            let said = try? await Self.cli(port, server, options, in: outrigger.folder)
            #expect(said?.contains("PONG") != true, "\(options)")
        }
        await outrigger.stop()
    }

    @Test func aRenewedCertificateIsShownAfterAReloadAndNobodyIsCutOff() async throws {
        let tls = try await LocalTLS.make()
        let former = try Files.readText(tls.certificateFile)
        let port = FreePort.next()
        let outrigger = try await RunningOutrigger.start([
            "--redis-proxy.listen-address=127.0.0.1:\(port)", "--redis-proxy.tls.cert-file=\(tls.certificateFile)",
            "--redis-proxy.tls.key-file=\(tls.keyFile)",
        ])
        let program = try #require(Environment.current["TEST_PYTHON"], "made by make")
        let script = outrigger.folder.path + "/client.py"
        try Files.write(Self.reloading, to: script)
        try Files.write(former, to: outrigger.folder.path + "/former.pem")
        // The script says what has to be done and waits for its being done.
        try await tls.renew()
        #expect(
            try await LocalServer.run(
                program, [script, "\(port)", "\(outrigger.process.pid)", tls.certificateFile, tls.keyFile],
                folder: outrigger.folder) == "fine\n")
        #expect(outrigger.log.contains("reload refused"))
        await outrigger.stop()
    }

    private static let reloading = #"""
        import os, signal, socket, ssl, sys, time
        port, pid, cert, key = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
        def connect(authority):
            s = socket.create_connection(('127.0.0.1', port), timeout=20)
            return ssl.create_default_context(cafile=authority).wrap_socket(s, server_hostname='127.0.0.1')
        def ping(s):
            s.sendall(b'PING\r\n')
            assert s.recv(100) == b'+PONG\r\n'
        def shows(authority):
            try: connect(authority).close(); return True
            except ssl.SSLError: return False
        def reload(isDone):
            os.kill(pid, signal.SIGHUP)
            deadline = time.time() + 20
            while not isDone():
                assert time.time() < deadline
                time.sleep(0.05)
        # The files are others by now, but nobody has said so.
        old = connect('former.pem')
        ping(old)
        assert not shows(cert)
        reload(lambda: shows(cert))
        assert not shows('former.pem')
        ping(old)
        # Files of no use change nothing.
        whole = open(key).read()
        open(key, 'w').write('nothing')
        reload(lambda: 'reload refused' in open('log').read())
        assert shows(cert)
        open(key, 'w').write(whole)
        ping(old)
        print('fine')
        """#
}
