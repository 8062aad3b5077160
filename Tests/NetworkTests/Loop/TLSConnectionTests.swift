import LocalServers
import Runtime
import Synchronization
import Testing

@testable import Network

@Suite struct TLSConnectionTests {
    private let loop = EventLoop("test-tls")
    private let authority: TestAuthority
    private let local: TestAuthority.Identity
    private let anywhere = ListenAddress(host: "127.0.0.1", port: 0)

    init() async throws {
        authority = try await TestAuthority()
        local = try await authority.signLocal()
    }

    private func server() throws -> TLSServer {
        try TLSServer(certificateFile: local.certificate, keyFile: local.key)
    }

    private func client() throws -> TLSClient {
        try TLSClient(serverName: "localhost", authorityFile: authority.file)
    }

    private func address(_ port: UInt16) throws -> StreamAddress { try StreamAddress(host: "127.0.0.1", port: port) }

    /// Bytes that tell their place.
    private func pattern(_ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: $0 ^ $0 >> 8 ^ $0 >> 16) }
    }

    @Test func tenMegabytesGoThereAndBackThoughTheReaderIsSlow() async throws {
        let echo = Echo()
        let listener = try StreamListener(anywhere, tls: try server(), on: loop) { echo.accept($0) }
        let bytes = pattern(10 << 20)
        let recorder = Recorder(to: try address(listener.address.port), tls: try client(), on: loop, saying: bytes)
        // A reader that stops whenever it has something.
        for _ in 0..<20 {
            recorder.act { $0.pause() }
            let known = recorder.seen.bytes.count
            recorder.act { $0.resume() }
            try await until { recorder.seen.bytes.count > known || known == bytes.count }
        }
        // While nobody reads, the echo stops, too: what waits has a limit.
        recorder.act { $0.pause() }
        try await until { recorder.seen.bytes.count == bytes.count || echo.mostUnsent > 200 << 10 }
        recorder.act { $0.resume() }
        try await until { recorder.seen.bytes.count >= bytes.count }
        #expect(recorder.seen.bytes == bytes)
        #expect(recorder.seen.isSecured && recorder.seen.hasDrained && echo.mostUnsent < 1 << 20)
        recorder.act { $0.close() }
        try await until { recorder.seen.isClosed }
        #expect(recorder.seen.failure == nil && echo.failures.isEmpty)
        listener.stop()
    }

    @Test func whatWasSaidBeforeTheGoodbyeIsAnswered() async throws {
        let echo = Echo()
        let listener = try StreamListener(anywhere, tls: try server(), on: loop) { echo.accept($0) }
        let session = try client().session()
        let recorder = Recorder(to: try address(listener.address.port), on: loop, saying: sealed(session))
        var (opened, known): ([UInt8], Int) = ([], 0)
        func hear(until isEnough: () -> Bool) async throws {
            while !isEnough() {
                try await until { recorder.seen.bytes.count > known }
                let fresh = recorder.seen.bytes[known...]
                known += fresh.count
                let space = UnsafeMutableRawBufferPointer.allocate(byteCount: 16 << 10, alignment: 16)
                defer { space.deallocate() }
                _ = fresh.withUnsafeBytes { session.take($0, working: space, into: &opened) }
            }
        }
        try await hear { session.isOpen }
        // The client's last words of the handshake, a command and the goodbye, all at once.
        let saying = Array("PING".utf8)
        #expect(try saying.withUnsafeBytes { session.seal($0) }.get() == 4)
        session.sayGoodbye()
        let last = sealed(session)
        recorder.act { $0.send { $0 += last } }
        try await hear { opened.count == 4 }
        #expect(opened == saying)
        try await until { recorder.seen.isClosed }
        #expect(echo.failures.isEmpty)
        listener.stop()
    }

    private func sealed(_ session: TLSSession) -> [UInt8] {
        var bytes: [UInt8] = []
        session.drain {
            bytes.append(contentsOf: $0)
            return $0.count
        }
        return bytes
    }

    @Test func opensslTurnsRound() async throws {
        let port = FreePort.next()
        let folder = try TemporaryFolder()
        let server = try await LocalServer.start(
            "openssl",
            [
                "s_server", "-rev", "-quiet", "-accept", "127.0.0.1:\(port)", "-cert", local.certificate, "-key",
                local.key,
            ], folder: folder, port: port, isReady: { FreePort.isOpen(port) })
        for version in 0..<2 {
            let recorder = Recorder(
                to: try address(port), tls: try client(), on: loop, saying: Array("hello \(version)\n".utf8))
            try await until { recorder.seen.text == "\(version) olleh\n" }
            recorder.act { $0.close() }
        }
        await server.process.stop()
    }

    @Test func redisIsAskedUnderTLSWithACertificateOfOurs() async throws {
        let own = try await authority.sign("client", for: "DNS:client")
        let port = FreePort.next()
        let redis = try await LocalRedis.start([
            "--tls-port", "\(port)", "--tls-cert-file", local.certificate, "--tls-key-file", local.key,
            "--tls-ca-cert-file", authority.file, "--tls-auth-clients", "yes",
        ])
        let tls = try TLSClient(
            serverName: "127.0.0.1", authorityFile: authority.file, certificateFile: own.certificate, keyFile: own.key)
        let known = Recorder(to: try address(port), tls: tls, on: loop, saying: Array("PING\r\n".utf8))
        try await until { known.seen.text == "+PONG\r\n" }
        #expect(known.seen.isSecured && !known.seen.isClosed)
        let unknown = Recorder(to: try address(port), tls: try client(), on: loop, saying: Array("PING\r\n".utf8))
        try await until { unknown.seen.isClosed }
        #expect(unknown.seen.bytes.isEmpty)
        guard case .broken(let reason)? = unknown.seen.failure else {
            Issue.record("\(unknown.seen)")
            return
        }
        #expect(reason.contains("certificate required"))
        await redis.stop()
    }

    @Test func ofSeveralServersEachHasToBearItsOwnName() async throws {
        let answering = Answering([1])
        let listener = try StreamListener(anywhere, tls: try server(), on: loop) { answering.accept($0) }
        let first = try TLSClient(serverName: "elsewhere", authorityFile: authority.file)
        let (own, one) = (TLSClients(first, isOneName: false), TLSClients(try client(), isOneName: true))
        let expectations: [(TLSClient?, isRight: Bool)] = [
            (own.client(for: "127.0.0.1"), true), (own.client(for: "localhost"), true),
            (own.client(for: "127.0.0.2"), false), (own.client(for: "other"), false), (own.client(for: ""), false),
            (one.client(for: "other"), true),
        ]
        for (client, isRight) in expectations {
            let tls = try #require(client)
            let recorder = Recorder(to: try address(listener.address.port), tls: tls, on: loop, saying: [1])
            try await until { recorder.seen.isSecured || recorder.seen.isClosed }
            #expect(recorder.seen.isSecured == isRight)
            recorder.act { $0.close() }
        }
        #expect(own.client(for: String(repeating: "n", count: 256)) == nil)
        listener.stop()
    }

    @Test func redisCliAsksUsUnderTLS() async throws {
        let pong = Answering(Array("+PONG\r\n".utf8))
        let listener = try StreamListener(anywhere, tls: try server(), on: loop) { pong.accept($0) }
        for protocols in ["", "--tls-ciphersuites TLS_AES_128_GCM_SHA256"] {
            let text = try await shell(
                "redis-cli --tls --sni localhost --cacert \(authority.file) \(protocols) -p \(listener.address.port) PING"
            )
            #expect(text == "PONG\n")
        }
        listener.stop()
    }

    @Test(arguments: ["-tls1_2", "-tls1_3", "-tls1_1 -cipher DEFAULT@SECLEVEL=0"])
    func versionsFrom12OnAreSpoken(_ version: String) async throws {
        let echo = Echo(endsAfterOne: true)
        let tls = try server()
        let listener = try StreamListener(anywhere, tls: tls, on: loop) { echo.accept($0) }
        let text = try await shell(
            "printf 'hello\\n' | openssl s_client -quiet \(version) -connect \(listener.address) 2>/dev/null; true")
        #expect(text == (version.hasPrefix("-tls1_1") ? "" : "hello\n"))
        if version.hasPrefix("-tls1_1") { try await until { tls.failures == 1 } }
        listener.stop()
    }

    @Test func renegotiationIsRefused() async throws {
        let echo = Echo()
        let listener = try StreamListener(anywhere, tls: try server(), on: loop) { echo.accept($0) }
        // The client ends with its input, which has to wait for the answer.
        for seconds in [1, 4, 16] {
            let text = try await shell(
                "(printf 'R\\n'; sleep \(seconds)) | openssl s_client -tls1_2 -connect \(listener.address) 2>&1; true")
            if text.contains("no renegotiation") { return listener.stop() }
        }
        Issue.record("renegotiated")
        listener.stop()
    }

    @Test func garbageInsteadOfAHandshakeIsNeverShown() async throws {
        let echo = Echo()
        let tls = try server()
        let listener = try StreamListener(anywhere, tls: tls, on: loop) { echo.accept($0) }
        for garbage in [
            "PING\r\n", "*1\r\n$4\r\nPING\r\n", "GET / HTTP/1.1\r\n\r\n", String(repeating: "x", count: 70_000),
        ] {
            let recorder = Recorder(to: try address(listener.address.port), on: loop, saying: Array(garbage.utf8))
            try await until { recorder.seen.isClosed }
        }
        try await until { echo.failures.count == 4 }
        #expect(echo.receivedBytes == 0 && tls.failures == 4)
        listener.stop()
    }

    @Test func anEndWithinTheHandshakeIsAFailureAndAnEndBeforeItIsNot() async throws {
        let echo = Echo()
        let tls = try server()
        let listener = try StreamListener(anywhere, tls: tls, on: loop) { echo.accept($0) }
        let hello = sealed(try client().session())
        for cut in [0, 1, 5, 100, hello.count] {
            let recorder = Recorder(
                to: try address(listener.address.port), on: loop, saying: Array(hello.prefix(cut)))
            recorder.act { $0.closeWhenSent() }
            try await until { recorder.seen.isClosed }
        }
        try await until { echo.failures.count == 4 }
        #expect(echo.receivedBytes == 0 && echo.failures == [.cutShort, .cutShort, .cutShort, .cutShort])
        listener.stop()
    }

    @Test func aHandshakeThatNeverEndsCanBeEnded() async throws {
        // Nobody answers here.
        let silent = Answering([])
        let listener = try StreamListener(anywhere, on: loop) { silent.accept($0) }
        let recorder = Recorder(to: try address(listener.address.port), tls: try client(), on: loop, saying: [1])
        try await until { silent.acceptedCount == 1 }
        recorder.act { connection in
            #expect(!connection.isReady && connection.isOpen && connection.unsentBytes > 0)
            connection.close()
        }
        try await until { recorder.seen.isClosed }
        #expect(recorder.seen.failure == nil && !recorder.seen.isSecured)
        listener.stop()
    }

    // MARK: TLS that begins later

    @Test func tlsBeginsAfterAQuestionInPlain() async throws {
        let asked = Asked(try server(), early: false)
        let listener = try StreamListener(anywhere, on: loop) { asked.accept($0) }
        let text = try await shell(
            "printf 'hello\\n' | openssl s_client -quiet -starttls postgres -connect \(listener.address) 2>/dev/null; true"
        )
        #expect(text == "hello\n")
        listener.stop()
    }

    @Test(arguments: [false, true])
    func whatComesAheadOfTheHandshakeClosesTheConnection(_ early: Bool) async throws {
        let tls = try server()
        let asked = Asked(tls, early: early)
        let listener = try StreamListener(anywhere, on: loop) { asked.accept($0) }
        let question: [UInt8] = [0, 0, 0, 8, 4, 210, 22, 47]
        let recorder = Recorder(
            to: try address(listener.address.port), on: loop, saying: question + Array("SELECT 1".utf8))
        try await until { recorder.seen.isClosed }
        #expect(tls.failures == 1 && !recorder.seen.text.contains("SELECT"))
        listener.stop()
    }

    /// The output of a shell's line.
    private func shell(_ line: String) async throws -> String {
        let folder = try TemporaryFolder()
        return try await LocalServer.run("sh", ["-c", line], folder: folder)
    }
}

/// Gives one answer to everything.
private final class Answering: StreamOwner, @unchecked Sendable {
    private let answer: [UInt8]
    // For the loop's thread.
    private var connections: [StreamConnection] = []
    var acceptedCount: Int { count.withLock { $0 } }
    private let count = Mutex(0)

    init(_ answer: [UInt8]) { self.answer = answer }

    func accept(_ connection: StreamConnection) {
        connections.append(connection)
        connection.owner = self
        count.withLock { $0 += 1 }
    }

    func received(_ connection: StreamConnection) {
        connection.takeInput { $0.count }
        connection.send { $0 += answer }
    }

    func drained(_ connection: StreamConnection) {}
    func closed(_ connection: StreamConnection) {}
}

/// Answers a Postgres client's question for TLS with `S`, begins it, and is an echo from there on.
private final class Asked: StreamOwner, @unchecked Sendable {
    private let tls: TLSServer
    /// Whether TLS begins while the input is still being looked at.
    private let early: Bool
    // For the loop's thread.
    private var connections: [StreamConnection] = []
    private let echo = Echo(endsAfterOne: true)

    init(_ tls: TLSServer, early: Bool) {
        self.tls = tls
        self.early = early
    }

    func accept(_ connection: StreamConnection) {
        connections.append(connection)
        connection.owner = self
    }

    func received(_ connection: StreamConnection) {
        var isAsked = false
        connection.takeInput { input in
            guard input.count >= 8 else { return 0 }
            isAsked = true
            connection.send { $0.append(UInt8(ascii: "S")) }
            if early { connection.secure(tls) }
            return 8
        }
        guard isAsked else { return }
        if !early { connection.secure(tls) }
        if connection.isOpen { echo.accept(connection) }
    }

    func drained(_ connection: StreamConnection) {}
    func closed(_ connection: StreamConnection) {}
}
