import LocalServers
import Network
import RedisTesting
import Runtime
import Testing

@testable import RedisProxy

@Suite struct ProxyAccessTests {
    private static let local = StreamPeer.internet(host: "127.0.0.1", port: 1, isLoopback: true)
    private static let remote = StreamPeer.internet(host: "10.0.0.7", port: 1, isLoopback: false)
    private static let neighbour = StreamPeer.internet(host: "10.0.0.8", port: 1, isLoopback: false)
    private static let unix = StreamPeer.unix(path: "")

    private static func users(_ users: (String, String)...) -> ProxyUsers {
        ProxyUsers(users.map { (name: $0.0, password: .digest(SHA256(of: Array($0.1.utf8)))) })
    }

    private func access(
        _ users: ProxyUsers, judge: AccessRule.Judge = .users, requiresPassword: Bool = false
    ) -> ProxyAccess {
        ProxyAccess(AccessRule(judge: judge, requiresPassword: requiresPassword), users)
    }

    private func judge(
        _ access: ProxyAccess, _ user: String?, _ password: String, from peer: StreamPeer = Self.local,
        at now: ContinuousClock.Instant = .now
    ) -> ProxyAccess.Verdict {
        access.judge(
            user: user.map { Array($0.utf8) }, password: Array(password.utf8), from: peer, at: now)
    }

    // who; TLS; users are set; Redis judges; all need a password; what is asked
    private static let demands: [(StreamPeer, Bool, Bool, Bool, Bool, AccessRule.Demand)] = [
        (local, false, false, false, false, .nothing),
        (local, false, true, false, false, .nothing),
        (local, false, true, false, true, .password),
        (local, true, true, false, true, .password),
        (local, false, false, true, false, .nothing),
        (local, false, false, true, true, .password),
        (unix, false, false, false, false, .nothing),
        (unix, false, true, false, true, .password),
        (remote, false, false, false, false, .refusal(AccessRule.needsTLS)),
        (remote, false, true, false, true, .refusal(AccessRule.needsTLS)),
        (remote, true, false, false, false, .refusal(AccessRule.needsUsers)),
        (remote, true, true, false, false, .password),
        (remote, true, false, true, false, .password),
    ]

    @Test(arguments: demands.indices)
    func whatIsAskedOfAClient(_ index: Int) {
        let (peer, usesTLS, hasUsers, redisJudges, requiresPassword, demand) = Self.demands[index]
        let rule = AccessRule(judge: redisJudges ? .redis : .users, requiresPassword: requiresPassword)
        #expect(rule.demand(of: peer, usesTLS: usesTLS, hasUsers: hasUsers) == demand)
    }

    private func admits(_ access: ClientAccess, _ verb: String) -> Bool {
        let bytes = Array(verb.utf8)
        return access.admits(bytes.span)
    }

    @Test func onlyAFewCommandsComeBeforeThePassword() {
        for verb in ["auth", "HELLO", "quit", "Reset"] { #expect(admits(.mustAuthenticate, verb)) }
        for verb in ["get", "ping", "client", "subscribe", "multi", "command", ""] {
            #expect(!admits(.mustAuthenticate, verb))
            #expect(admits(.free, verb) && admits(.authenticated(user: [1]), verb))
        }
    }

    @Test func passwordsAreJudged() {
        let access = access(Self.users(("default", "one"), ("app", "two")))
        let accepted = { (name: String) in ProxyAccess.Verdict.accepted(user: Array(name.utf8)) }
        #expect(judge(access, nil, "one") == accepted("default"))
        #expect(judge(access, "default", "one") == accepted("default"))
        #expect(judge(access, "app", "two") == accepted("app"))
        for (user, password) in [("app", "one"), ("default", "two"), ("App", "two"), ("", "one"), ("nobody", "")] {
            #expect(judge(access, user, password) == .refused(ProxyAccess.wrong))
        }
        #expect(judge(access, nil, "two") == .refused(ProxyAccess.wrong))
        #expect(judge(self.access(ProxyUsers(), judge: .redis), nil, "two") == .askRedis)
    }

    @Test func whoeverGuessesIsSlowedDownAndNobodyElse() {
        let access = access(Self.users(("default", "right"), ("app", "secret")))
        let start = ContinuousClock.now
        let pauses = (0..<12).map { guess in
            judge(access, nil, "\(guess)", from: Self.remote, at: start)
        }
        let wanted = [0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4, 8].map {
            ProxyAccess.Verdict.refused(ProxyAccess.wrong, after: .seconds($0))
        }
        #expect(pauses == wanted)
        // Not those at the same address who are another user, not those elsewhere, and not who knows the password.
        #expect(judge(access, "app", "wrong", from: Self.remote, at: start) == .refused(ProxyAccess.wrong))
        #expect(judge(access, nil, "wrong", from: Self.neighbour, at: start) == .refused(ProxyAccess.wrong))
        #expect(judge(access, nil, "right", from: Self.remote, at: start) == .accepted(user: ProxyUsers.standard))
    }

    @Test func redisRefusalsCountAsWell() {
        let access = access(ProxyUsers(), judge: .redis)
        let start = ContinuousClock.now
        func refused(_ user: UInt8, _ guess: Int) -> Duration {
            access.refusedByRedis(user: [user], password: Array("\(guess)".utf8), from: Self.remote, at: start)
        }
        #expect((0..<10).map { refused(97, $0) } == [0, 0, 0, 0, 0, 0, 0, 0, 1, 2].map { .seconds($0) })
        #expect(refused(98, 0) == .zero)
        #expect(judge(access, "a", "x", from: Self.remote, at: start) == .askRedis)
    }

    /// RFC 7677's password, salt and rounds, as Postgres would keep them.
    private static let pencil =
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="

    @Test func aSlowVerifierIsCheckedOnceForTheRightPassword() async throws {
        let verifier = try #require(SCRAMVerifier(Self.pencil))
        let access = access(ProxyUsers([(name: "app", password: .scram(verifier))]))
        let app = Array("app".utf8)
        func check(_ user: String, _ password: String) async -> ProxyAccess.Verdict {
            await access.check(user: Array(user.utf8), password: Array(password.utf8), from: Self.local)
        }
        #expect(judge(access, "app", "pencil") == .unsure)
        #expect(await check("app", "pen") == .refused(ProxyAccess.wrong))
        #expect(await check("app", "pencil") == .accepted(user: app))
        #expect(judge(access, "app", "pencil") == .accepted(user: app))
        #expect(judge(access, "app", "pen") == .unsure)
        // One cannot tell from the time taken that there is no such user.
        #expect(judge(access, "nobody", "pencil") == .unsure)
        #expect(await check("nobody", "pencil") == .refused(ProxyAccess.wrong))
    }

    @Test func onlyWholeVerifiersAreRead() {
        #expect(SCRAMVerifier(Self.pencil) != nil)
        for (part, other) in [
            ("SHA-256", "SHA-1"), ("4096", "0"), ("4096", "99999999999999999999"), ("4096", "2000000"), ("==$", "=$"),
            (":", ";"),
        ] {
            #expect(SCRAMVerifier(Self.pencil.replacing(part, with: other)) == nil, "\(part) \(other)")
        }
    }

    /// What a real Redis replies to the same, with a password and without.
    @Test(arguments: [false, true])
    func theRepliesAreThoseOfRedis(_ hasPassword: Bool) async throws {
        let redis = try await LocalRedis.start(hasPassword ? ["--requirepass", "secret"] : [])
        let access = access(hasPassword ? Self.users(("default", "secret")) : ProxyUsers())
        let lines = [
            "AUTH", "AUTH x", "AUTH secret", "AUTH default x", "AUTH default secret", "AUTH bob secret", "AUTH a b c",
            "HELLO 9", "HELLO x", "HELLO 3 AUTH default", "HELLO 2 AUTH bob secret", "HELLO 2 FOO",
            "HELLO 2 AUTH default secret SETNAME \u{1}", "HELLO 2 AUTH default secret SETNAME",
        ]
        for line in lines {
            let words = line.split(separator: " ").map { Array($0.utf8) }
            let real = try RawClient(port: redis.port).ask(words)
            #expect(String(decoding: real, as: UTF8.self) == reply(to: words, access), "\(line)")
        }
        if hasPassword {
            let real = try RawClient(port: redis.port)
            #expect(try real.ask("GET", "x") == "-\(ClientAccess.required)\r\n")
            #expect(try real.ask("HELLO", "3") == "-\(HelloRequest.needsCredentials)\r\n")
        }
        await redis.stop()
    }

    private func reply(to words: [[UInt8]], _ access: ProxyAccess) -> String {
        var verdict = ProxyAccess.Verdict.refused("no credentials")
        do throws(HelloRequest.Fault) {
            if words[0] == Array("AUTH".utf8) {
                let request = try AuthRequest(words)
                verdict = access.judge(user: request.user, password: request.password, from: Self.local)
            } else if let credentials = try HelloRequest(words).credentials {
                verdict = access.judge(user: credentials.user, password: credentials.password, from: Self.local)
            }
        } catch {
            return "-\(error.reply)\r\n"
        }
        guard case .refused(let reply, _) = verdict else { return "+OK\r\n" }
        return "-\(reply)\r\n"
    }
}
