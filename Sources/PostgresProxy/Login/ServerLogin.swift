import Runtime

/// A login to Postgres, from the first packet to the first ReadyForQuery. It is fed message by message, and says what to
/// send; it never touches a socket.
struct ServerLogin {
    enum Step: Equatable {
        case goOn
        case send([UInt8])
        /// Salt the password, then call `proceed`.
        case salt(SCRAM.Salting)
        case done
        /// With the body of the server's ErrorResponse, to be told to clients as it is.
        case refused([UInt8])
        case failed(Complaint)
    }

    /// What the server said about itself.
    struct Welcome {
        /// In the order in which they came.
        var parameters: [(name: [UInt8], value: [UInt8])] = []
        var pid: Int32 = 0
        var secret: [UInt8] = []
    }

    private enum Stage {
        case authenticating
        case salting(SCRAMClient)
        case proving(SCRAMClient)
        case proven, admitted
    }

    private let user: [UInt8]
    private let password: [UInt8]?
    private let usesTLS: Bool
    /// For SCRAM-SHA-256-PLUS; nil where there is none.
    private let certificateHash: [UInt8]?
    private var stage = Stage.authenticating
    private(set) var welcome = Welcome()

    /// Bounds of what a server may say about itself.
    private static let mostParameters = 256

    init(user: [UInt8], password: [UInt8]?, usesTLS: Bool, certificateHash: [UInt8]? = nil) {
        (self.user, self.password, self.usesTLS) = (user, password, usesTLS)
        self.certificateHash = certificateHash
    }

    /// The first packet.
    static func request(user: [UInt8], database: [UInt8], _ parameters: [LoginRequest.Parameter]) -> [UInt8] {
        var packet: [UInt8] = []
        packet.append(int32: 0)
        packet.append(int32: 3 << 16)
        for (name, value) in [(Array("user".utf8), user), (Array("database".utf8), database)]
            + parameters.map({ ($0.name, $0.value) })
        {
            packet.append(zeroTerminated: name)
            packet.append(zeroTerminated: value)
        }
        packet.append(0)
        var head: [UInt8] = []
        head.append(int32: packet.count)
        packet.replaceSubrange(0..<4, with: head)
        return packet
    }

    /// - Parameter body: what follows the length.
    mutating func take(_ type: UInt8, _ body: Span<UInt8>) -> Step {
        switch type {
        case FromServer.error: return .refused(body.array(0..<body.count))
        case FromServer.notice, FromServer.negotiate: return .goOn
        case FromServer.authentication: return authenticate(body)
        default: break
        }
        guard case .admitted = stage else { return violation("message \(type) before the login is done") }
        switch type {
        case FromServer.parameterStatus:
            guard let nameEnd = body.zero(from: 0, before: body.count),
                let valueEnd = body.zero(from: nameEnd + 1, before: body.count),
                welcome.parameters.count < Self.mostParameters
            else { return violation("a parameter that cannot be read") }
            welcome.parameters.append((body.array(0..<nameEnd), body.array(nameEnd + 1..<valueEnd)))
            return .goOn
        case FromServer.backendKey:
            guard (8...260).contains(body.count) else { return violation("a key that cannot be read") }
            welcome.pid = Int32(truncatingIfNeeded: body.int32(at: 0))
            welcome.secret = body.array(4..<body.count)
            return .goOn
        case FromServer.readyForQuery: return .done
        default: return violation("message \(type) within the login")
        }
    }

    /// Goes on with the salted password.
    mutating func proceed(salted: [UInt8]) -> Step {
        guard case .salting(var scram) = stage else { return .goOn }
        let final = scram.final(salted: salted)
        stage = .proving(scram)
        return .send(Self.message { $0.append(contentsOf: final) })
    }

    private mutating func authenticate(_ body: Span<UInt8>) -> Step {
        guard body.count >= 4 else { return violation("an authentication request that cannot be read") }
        let rest = body.array(4..<body.count)
        switch (body.int32(at: 0), stage) {
        case (0, .authenticating), (0, .proven):
            stage = .admitted
            return .goOn
        case (3, .authenticating):
            guard let password else { return lacksPassword }
            // Whoever listens would have it.
            guard usesTLS || isHarmlessInPlain else {
                return .failed(.fatal("28000", "the server wants the password in clear text, without TLS"))
            }
            return .send(Self.message { $0.append(zeroTerminated: password) })
        case (5, .authenticating):
            guard let password else { return lacksPassword }
            guard rest.count == 4, let inner = MD5.hexadecimal(of: password + user),
                let outer = MD5.hexadecimal(of: Array(inner.utf8) + rest)
            else { return violation("an md5 request that cannot be answered") }
            return .send(Self.message { $0.append(zeroTerminated: "md5\(outer)".utf8) })
        case (10, .authenticating): return beginSCRAM(rest)
        case (11, .salting(var scram)):
            guard let password else { return lacksPassword }
            do throws(SCRAMClient.Fault) {
                let (salt, iterations) = try scram.take(challenge: rest)
                stage = .salting(scram)
                return .salt(SCRAM.Salting(password: password, salt: salt, iterations: iterations))
            } catch {
                return violation("SCRAM: \(error)")
            }
        case (12, .proving(let scram)):
            do throws(SCRAMClient.Fault) { try scram.check(final: rest) } catch { return violation("SCRAM: \(error)") }
            stage = .proven
            return .goOn
        case (let kind, _): return .failed(.fatal("28000", "the server asks for authentication of kind \(kind)"))
        }
    }

    /// Set where the way to the server never leaves this machine.
    var isHarmlessInPlain = false

    private mutating func beginSCRAM(_ mechanisms: [UInt8]) -> Step {
        guard password != nil else { return lacksPassword }
        let offered = mechanisms.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
        let binding: SCRAMClient.Binding
        switch (certificateHash, offered.contains(SCRAM.bound)) {
        case (let hash?, true): binding = .certificate(hash)
        case (.some, false): binding = .notOffered
        case (nil, _): binding = .none
        }
        let scram = SCRAMClient(binding)
        guard offered.contains(scram.mechanism) else {
            return .failed(.fatal("28000", "the server offers no SASL mechanism that is known"))
        }
        stage = .salting(scram)
        let first = scram.first
        return .send(
            Self.message {
                $0.append(zeroTerminated: scram.mechanism.utf8)
                $0.append(int32: first.count)
                $0.append(contentsOf: first)
            })
    }

    private static func message(_ write: (inout [UInt8]) -> Void) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(frame: FromClient.password, write)
        return bytes
    }

    private var lacksPassword: Step {
        .failed(
            .fatal(
                "28P01",
                "the server wants a password of user \"\(String(decoding: user, as: UTF8.self))\", and none is known",
                hint: "Name it in the connection string, .pgpass, or postgres_proxy.users."))
    }

    private func violation(_ what: String) -> Step { .failed(.fatal("08P01", "the server sent \(what)")) }
}
