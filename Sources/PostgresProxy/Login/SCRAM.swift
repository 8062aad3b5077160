import Runtime

/// SCRAM-SHA-256 (RFC 5802, RFC 7677), both halves. Whoever holds one does the sending, and the slow part: salting the
/// password.
enum SCRAM {
    static let plain = "SCRAM-SHA-256"
    static let bound = "SCRAM-SHA-256-PLUS"
    /// Of one message. Postgres' own have about a hundred bytes.
    static let mostBytes = 2048
    /// A server that wants more is refused: it would have us compute for seconds.
    static let mostIterations = 1_000_000

    /// The password after its salt and all iterations.
    struct Salting: Hashable, Sendable {
        let password: [UInt8]
        let salt: [UInt8]
        let iterations: Int

        /// Slow.
        func compute() -> [UInt8] { PBKDF2.sha256(password: password, salt: salt, iterations: iterations) }
    }

    /// What the server keeps in place of a password: it can check one, and no more.
    struct Verifier: Equatable, Sendable {
        let salt: [UInt8]
        let iterations: Int
        let storedKey: [UInt8]
        let serverKey: [UInt8]

        init(salt: [UInt8], iterations: Int, salted: [UInt8]) {
            (self.salt, self.iterations) = (salt, iterations)
            storedKey = SHA256(of: HMAC.sha256(key: salted, Array("Client Key".utf8))).digest
            serverKey = HMAC.sha256(key: salted, Array("Server Key".utf8))
        }

        /// As Postgres stores it: `SCRAM-SHA-256$4096:salt$stored:server`. Nil for anything else.
        init?(_ text: String) {
            let parts = text.split(separator: "$", omittingEmptySubsequences: false)
            guard parts.count == 3, parts[0] == SCRAM.plain else { return nil }
            let salting = parts[1].split(separator: ":", omittingEmptySubsequences: false)
            let keys = parts[2].split(separator: ":", omittingEmptySubsequences: false)
            guard salting.count == 2, keys.count == 2, let iterations = Int(salting[0]),
                (1...SCRAM.mostIterations).contains(iterations), let salt = [UInt8](base64: Array(salting[1].utf8)),
                let storedKey = [UInt8](base64: Array(keys[0].utf8)), storedKey.count == 32,
                let serverKey = [UInt8](base64: Array(keys[1].utf8)), serverKey.count == 32
            else { return nil }
            (self.salt, self.iterations, self.storedKey, self.serverKey) = (salt, iterations, storedKey, serverKey)
        }
    }

    /// Fields of a message, split at commas.
    static func fields(_ bytes: [UInt8]) -> [ArraySlice<UInt8>] {
        bytes.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
    }

    /// The value of `name=value`; nil where the field has another name.
    static func value(_ name: Character, of field: ArraySlice<UInt8>) -> [UInt8]? {
        guard let letter = name.asciiValue, field.count >= 2, field.first == letter,
            field[field.startIndex + 1] == UInt8(ascii: "=")
        else { return nil }
        return Array(field.dropFirst(2))
    }
}

/// The side that knows a password and wants in.
struct SCRAMClient {
    enum Fault: Error, Equatable {
        case malformed(String)
        case tooManyIterations(Int)
        /// The other side does not know the password either.
        case notTheServer
    }

    /// What ties the login to the TLS under it.
    enum Binding: Equatable {
        /// There is no TLS, or this side cannot.
        case none
        /// This side could, and the server did not offer it.
        case notOffered
        /// The hash of the server's certificate (`tls-server-end-point`).
        case certificate([UInt8])

        var header: String {
            switch self {
            case .none: "n,,"
            case .notOffered: "y,,"
            case .certificate: "p=tls-server-end-point,,"
            }
        }
    }

    private let binding: Binding
    private let nonce: [UInt8]
    private var serverFirst: [UInt8] = []
    private var combinedNonce: [UInt8] = []
    private var expected: [UInt8] = []

    /// - Parameter nonce: printable, without commas.
    init(_ binding: Binding, nonce: [UInt8] = Array(Secrets.random(18).base64.utf8)) {
        (self.binding, self.nonce) = (binding, nonce)
    }

    private var firstBare: [UInt8] { Array("n=,r=".utf8) + nonce }

    var mechanism: String { if case .certificate = binding { SCRAM.bound } else { SCRAM.plain } }

    var first: [UInt8] { Array(binding.header.utf8) + firstBare }

    /// Takes the server's first message; the salt and the iterations are what it asks for.
    mutating func take(challenge: [UInt8]) throws(Fault) -> (salt: [UInt8], iterations: Int) {
        let fields = SCRAM.fields(challenge)
        guard challenge.count <= SCRAM.mostBytes, fields.count >= 3, let nonce = SCRAM.value("r", of: fields[0]),
            let saltText = SCRAM.value("s", of: fields[1]), let salt = [UInt8](base64: saltText), !salt.isEmpty,
            let countText = SCRAM.value("i", of: fields[2]),
            let iterations = Int(String(decoding: countText, as: UTF8.self)), iterations > 0
        else { throw .malformed("challenge") }
        guard nonce.count > self.nonce.count, nonce.starts(with: self.nonce) else { throw .malformed("nonce") }
        guard iterations <= SCRAM.mostIterations else { throw .tooManyIterations(iterations) }
        (serverFirst, combinedNonce) = (challenge, nonce)
        return (salt, iterations)
    }

    /// The proof that this side knows the password.
    mutating func final(salted: [UInt8]) -> [UInt8] {
        var bound = Array(binding.header.utf8)
        if case .certificate(let hash) = binding { bound += hash }
        let withoutProof = Array("c=\(bound.base64),r=".utf8) + combinedNonce
        let message = firstBare + [UInt8(ascii: ",")] + serverFirst + [UInt8(ascii: ",")] + withoutProof
        let clientKey = HMAC.sha256(key: salted, Array("Client Key".utf8))
        let signature = HMAC.sha256(key: SHA256(of: clientKey).digest, message)
        let proof = zip(clientKey, signature).map { $0 ^ $1 }
        expected = HMAC.sha256(key: HMAC.sha256(key: salted, Array("Server Key".utf8)), message)
        return withoutProof + Array(",p=\(proof.base64)".utf8)
    }

    /// Checks that the server knows the password, too.
    func check(final: [UInt8]) throws(Fault) {
        guard final.count <= SCRAM.mostBytes, let field = SCRAM.fields(final).first,
            let text = SCRAM.value("v", of: field), let signature = [UInt8](base64: text)
        else { throw .malformed("final message") }
        guard !expected.isEmpty, Secrets.areEqual(signature, expected) else { throw .notTheServer }
    }
}

/// The side that lets somebody in.
struct SCRAMServer {
    enum Fault: Error, Equatable {
        /// With the words that Postgres has for it.
        case malformed(String)
        case wrongPassword
    }

    private let verifier: SCRAM.Verifier
    /// The hash of our own certificate, where the client may bind to it.
    private let certificate: [UInt8]?
    /// The login is for show: there is no such user, which nobody shall learn from it.
    private let isDoomed: Bool
    private let ownNonce: [UInt8]
    private var firstBare: [UInt8] = []
    private var header: [UInt8] = []
    private var isBound = false
    private var serverFirst: [UInt8] = []
    private var nonce: [UInt8] = []

    init(
        _ verifier: SCRAM.Verifier, certificate: [UInt8]? = nil, isDoomed: Bool = false,
        nonce: [UInt8] = Array(Secrets.random(18).base64.utf8)
    ) {
        (self.verifier, self.certificate, self.isDoomed, ownNonce) = (verifier, certificate, isDoomed, nonce)
    }

    /// Takes the client's first message, and answers with the challenge.
    mutating func take(first: [UInt8], mechanism: [UInt8]) throws(Fault) -> [UInt8] {
        guard first.count <= SCRAM.mostBytes else { throw .malformed("message is too long") }
        let isPlus = mechanism.elementsEqual(SCRAM.bound.utf8)
        guard isPlus ? certificate != nil : mechanism.elementsEqual(SCRAM.plain.utf8) else {
            throw .malformed("client selected an invalid SASL authentication mechanism")
        }
        let fields = SCRAM.fields(first)
        // The header: how it is bound, and whom to act for, which Postgres has no use for.
        guard fields.count >= 4, fields[1].isEmpty else { throw .malformed("malformed SCRAM message") }
        switch fields[0] {
        case let flag where flag.elementsEqual("n".utf8):
            guard !isPlus else { throw .malformed("malformed SCRAM message") }
        case let flag where flag.elementsEqual("y".utf8):
            // The client could bind and believes that we cannot: somebody in between took the offer away.
            guard !isPlus, certificate == nil else { throw .malformed("SCRAM channel binding negotiation error") }
        case let flag where flag.elementsEqual("p=tls-server-end-point".utf8):
            guard isPlus else { throw .malformed("malformed SCRAM message") }
            isBound = true
        default: throw .malformed("malformed SCRAM message")
        }
        guard SCRAM.value("n", of: fields[2]) != nil, let clientNonce = SCRAM.value("r", of: fields[3]),
            (1...256).contains(clientNonce.count), clientNonce.allSatisfy({ (0x21...0x7E).contains($0) })
        else { throw .malformed("malformed SCRAM message") }
        header = Array(first[..<fields[2].startIndex])
        firstBare = Array(first[fields[2].startIndex...])
        nonce = clientNonce + ownNonce
        serverFirst = Array("r=".utf8) + nonce + Array(",s=\(verifier.salt.base64),i=\(verifier.iterations)".utf8)
        return serverFirst
    }

    /// Takes the client's proof, and answers with ours.
    func take(final: [UInt8]) throws(Fault) -> [UInt8] {
        guard final.count <= SCRAM.mostBytes else { throw .malformed("message is too long") }
        let fields = SCRAM.fields(final)
        guard !nonce.isEmpty, fields.count >= 3, let last = fields.last, let bound = SCRAM.value("c", of: fields[0]),
            let given = SCRAM.value("r", of: fields[1]), let proofText = SCRAM.value("p", of: last),
            let proof = [UInt8](base64: proofText), proof.count == 32
        else { throw .malformed("malformed SCRAM message") }
        guard given == nonce else { throw .malformed("invalid SCRAM response") }
        guard Array((header + (isBound ? certificate ?? [] : [])).base64.utf8) == bound else {
            throw .malformed("SCRAM channel binding check failed")
        }
        let withoutProof = Array(final[..<(last.startIndex - 1)])
        let message = firstBare + [UInt8(ascii: ",")] + serverFirst + [UInt8(ascii: ",")] + withoutProof
        let signature = HMAC.sha256(key: verifier.storedKey, message)
        let clientKey = zip(proof, signature).map { $0 ^ $1 }
        guard Secrets.areEqual(SHA256(of: clientKey).digest, verifier.storedKey), !isDoomed else {
            throw .wrongPassword
        }
        return Array("v=\(HMAC.sha256(key: verifier.serverKey, message).base64)".utf8)
    }
}
