import Runtime
import Testing

@testable import Network

@Suite struct TLSSessionTests {
    private let authority: TestAuthority
    private let local: TestAuthority.Identity

    init() async throws {
        authority = try await TestAuthority()
        local = try await authority.signLocal()
    }

    /// Two sessions that face each other, without sockets.
    private final class Pair {
        let client: TLSSession
        let server: TLSSession
        private(set) var heard: (client: [UInt8], server: [UInt8]) = ([], [])
        private(set) var failures: (client: StreamFailure?, server: StreamFailure?)
        private let space = UnsafeMutableRawBufferPointer.allocate(byteCount: 16 << 10, alignment: 16)

        init(_ client: TLSClient, _ server: TLSServer) {
            self.client = client.session()
            self.server = server.session()
        }

        deinit { space.deallocate() }

        /// What a session has to send.
        func sealed(_ session: TLSSession) -> [UInt8] {
            var bytes: [UInt8] = []
            session.drain {
                bytes.append(contentsOf: $0)
                return $0.count
            }
            return bytes
        }

        func feed(_ bytes: [UInt8], to session: TLSSession, inPiecesOf size: Int) {
            for start in stride(from: 0, to: bytes.count, by: size) {
                var opened: [UInt8] = []
                let progress = bytes[start..<min(start + size, bytes.count)].withUnsafeBytes {
                    session.take($0, working: space, into: &opened)
                }
                if session === client { heard.client += opened } else { heard.server += opened }
                guard case .failed(let failure) = progress else { continue }
                if session === client { failures.client = failure } else { failures.server = failure }
                return
            }
        }

        /// Passes on what both say until neither says anything.
        func talk(inPiecesOf size: Int = 1 << 20) {
            while true {
                let fromClient = sealed(client)
                feed(fromClient, to: server, inPiecesOf: size)
                let fromServer = sealed(server)
                feed(fromServer, to: client, inPiecesOf: size)
                if fromClient.isEmpty && fromServer.isEmpty { return }
            }
        }

        func say(_ text: String, from session: TLSSession) -> Int {
            let sealed = Array(text.utf8).withUnsafeBytes { session.seal($0) }
            return (try? sealed.get()) ?? -1
        }
    }

    private func server(_ identity: TestAuthority.Identity? = nil, clientsFrom: TestAuthority? = nil) throws
        -> TLSServer
    {
        let identity = identity ?? local
        return try TLSServer(
            certificateFile: identity.certificate, keyFile: identity.key, clientAuthorityFile: clientsFrom?.file)
    }

    private func client(_ name: String = "localhost", _ identity: TestAuthority.Identity? = nil) throws -> TLSClient {
        try TLSClient(
            serverName: name, authorityFile: authority.file, certificateFile: identity?.certificate,
            keyFile: identity?.key)
    }

    @Test(arguments: [1, 2, 7, 1000, 1 << 20])
    func whatIsSaidArrivesHoweverItIsCut(_ size: Int) throws {
        let pair = Pair(try client(), try server())
        #expect(pair.say("too early", from: pair.client) == 0)
        pair.talk(inPiecesOf: size)
        #expect(pair.client.isOpen && pair.server.isOpen)
        #expect(pair.say("PING", from: pair.client) == 4)
        #expect(pair.say("PONG", from: pair.server) == 4)
        pair.talk(inPiecesOf: size)
        #expect(pair.heard.server == Array("PING".utf8) && pair.heard.client == Array("PONG".utf8))
        #expect(!pair.client.isMidway && !pair.server.isMidway)
    }

    @Test func aRecordThatIsCutShortIsNotShown() throws {
        let pair = Pair(try client(), try server())
        pair.talk()
        _ = pair.say("SET key value", from: pair.client)
        let record = pair.sealed(pair.client)
        for cut in 1..<record.count {
            pair.feed([record[cut - 1]], to: pair.server, inPiecesOf: 1)
            #expect(pair.heard.server.isEmpty && pair.server.isMidway)
        }
        pair.feed([record[record.count - 1]], to: pair.server, inPiecesOf: 1)
        #expect(pair.heard.server == Array("SET key value".utf8) && !pair.server.isMidway)
    }

    @Test func aChangedByteEndsTheConnection() throws {
        let pair = Pair(try client(), try server())
        pair.talk()
        _ = pair.say("SET key value", from: pair.client)
        var record = pair.sealed(pair.client)
        record[record.count - 3] ^= 1
        pair.feed(record, to: pair.server, inPiecesOf: 1000)
        #expect(pair.heard.server.isEmpty)
        guard case .broken = pair.failures.server else {
            Issue.record("accepted")
            return
        }
    }

    @Test func noMoreIsSealedThanMayWait() throws {
        let pair = Pair(try client(), try server())
        pair.talk()
        let large = [UInt8](repeating: 7, count: 1 << 20)
        var left = large[...]
        while !left.isEmpty {
            let taken = try left.withUnsafeBytes { pair.client.seal($0) }.get()
            #expect(taken > 0 && pair.client.unsentBytes < 100_000)
            #expect(try left.dropFirst(taken).withUnsafeBytes { pair.client.seal($0) }.get() == 0)
            left = left.dropFirst(taken)
            pair.talk()
        }
        #expect(pair.heard.server == large)
    }

    @Test func whatWasSentIsForgottenThoughSomethingIsAlwaysLeft() throws {
        let pair = Pair(try client(), try server())
        pair.talk()
        let large = [UInt8](repeating: 7, count: 100_000)
        for _ in 0..<100 {
            #expect(try large.withUnsafeBytes { pair.client.seal($0) }.get() > 0)
            var isAsked = false
            pair.client.drain { bytes in
                defer { isAsked = true }
                return isAsked ? 0 : bytes.count - 1000
            }
            #expect(pair.client.unsentBytes == 1000 && pair.client.sealed.count < 200_000)
        }
    }

    @Test(arguments: [
        ("localhost", nil), ("127.0.0.1", nil), ("elsewhere", "hostname mismatch"),
        ("127.0.0.2", "IP address mismatch"),
        ("localhost.evil.example", "hostname mismatch"),
    ])
    func theCertificateMustBearTheName(_ name: String, _ refusal: String?) throws {
        let pair = Pair(try client(name), try server())
        pair.talk()
        #expect(pair.client.isOpen == (refusal == nil) && pair.server.isOpen == (refusal == nil))
        #expect(
            pair.failures.client == refusal.map { .handshake("certificate verify failed: \($0)") })
    }

    @Test func anExpiredCertificateIsRefused() async throws {
        let expired = try await authority.sign("expired", for: "DNS:localhost", days: -1)
        let pair = Pair(try client(), try server(expired))
        pair.talk()
        #expect(pair.failures.client == .handshake("certificate verify failed: certificate has expired"))
        #expect(!pair.server.isOpen)
        guard case .handshake(let reason)? = pair.failures.server else {
            Issue.record("open")
            return
        }
        #expect(reason.contains("alert certificate expired"))
    }

    @Test func anotherAuthorityIsNotTrusted() async throws {
        let stranger = try await TestAuthority()
        let pair = Pair(try TLSClient(serverName: "localhost", authorityFile: stranger.file), try server())
        pair.talk()
        #expect(!pair.client.isOpen && pair.failures.client != nil)
    }

    @Test func theSystemDoesNotTrustIt() throws {
        let pair = Pair(try TLSClient(serverName: "localhost"), try server())
        pair.talk()
        #expect(
            pair.failures.client == .handshake("certificate verify failed: unable to get local issuer certificate"))
    }

    @Test func whoeverAsksForNoProofGetsNone() throws {
        let pair = Pair(try TLSClient(serverName: "elsewhere", isUnverified: true), try server())
        pair.talk()
        #expect(pair.client.isOpen && pair.server.isOpen)
    }

    @Test func aServerThatAsksForCertificatesTakesOnlyItsOwn() async throws {
        let stranger = try await TestAuthority()
        let own = try await authority.sign("client", for: "DNS:client")
        let foreign = try await stranger.sign("client", for: "DNS:client")
        for (identity, isWelcome) in [(own, true), (foreign, false), (nil, false)] {
            let pair = Pair(try client("localhost", identity), try server(clientsFrom: authority))
            pair.talk()
            _ = pair.say("PING", from: pair.client)
            pair.talk()
            #expect(pair.server.isOpen == isWelcome)
            #expect(pair.heard.server == (isWelcome ? Array("PING".utf8) : []))
        }
    }

    @Test func whatCannotWorkIsRefusedAtTheStart() async throws {
        let other = try await authority.sign("other", for: "DNS:other")
        let garbage = authority.folder.path + "/garbage"
        try Files.write("no PEM", to: garbage)
        #expect(throws: TLSError.keyMismatch(certificate: local.certificate, key: other.key)) {
            try TLSServer(certificateFile: local.certificate, keyFile: other.key)
        }
        #expect(throws: TLSError.unusable(what: "key", path: "/none", reason: "No such file or directory")) {
            try TLSServer(certificateFile: local.certificate, keyFile: "/none")
        }
        #expect(throws: TLSError.unusable(what: "certificate", path: garbage, reason: "no start line")) {
            try TLSServer(certificateFile: garbage, keyFile: local.key)
        }
        #expect(throws: TLSError.self) {
            try TLSServer(
                certificateFile: local.certificate, keyFile: local.key, clientAuthorityFile: garbage)
        }
        #expect(throws: TLSError.incomplete(missing: "key")) {
            try TLSClient(serverName: "localhost", certificateFile: local.certificate)
        }
        #expect(throws: TLSError.namelessServer) { try TLSClient(serverName: "") }
    }

    @Test func aRenewedCertificateIsShownAndABrokenOneIsNot() async throws {
        let changing = try await authority.sign("changing", for: "DNS:localhost", days: -1)
        let server = try server(changing)
        let refused = Pair(try client(), server)
        refused.talk()
        #expect(!refused.client.isOpen)
        _ = try await authority.sign("changing", for: "DNS:localhost")
        try server.reload()
        let welcome = Pair(try client(), server)
        welcome.talk()
        #expect(welcome.client.isOpen)
        try Files.write("no PEM", to: changing.certificate)
        #expect(throws: TLSError.self) { try server.reload() }
        let still = Pair(try client(), server)
        still.talk()
        #expect(still.client.isOpen && welcome.client.isOpen)
    }

    @Test func aKeyBehindAPassphraseIsRefusedInsteadOfAskedFor() async throws {
        let locked = authority.folder.path + "/locked.key"
        try await openssl(["ec", "-in", local.key, "-aes256", "-passout", "pass:secret", "-out", locked])
        #expect(throws: TLSError.self) { try TLSServer(certificateFile: local.certificate, keyFile: locked) }
    }

    private func openssl(_ arguments: [String]) async throws {
        let process = try ChildProcess("openssl", arguments)
        #expect(try await process.exited(within: .seconds(120)) == 0)
    }
}
