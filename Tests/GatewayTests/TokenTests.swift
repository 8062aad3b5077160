import LocalServers
import Network
import Runtime
import Testing

@testable import Gateway

/// Tokens: good ones of every algorithm, made by the openssl program, and every forged shape.
@Suite struct TokenTests {
    static let secret = Array("0123456789abcdef0123456789abcdef".utf8)

    static func signed(_ header: String, _ claims: String, secret: [UInt8] = secret) -> String {
        let message = Base64URL.text(Array(header.utf8)) + "." + Base64URL.text(Array(claims.utf8))
        return message + "." + Base64URL.text(HMAC.sha256(key: secret, Array(message.utf8)))
    }

    static func check() throws -> TokenCheck {
        TokenCheck(try TokenKeys([(nil, try SignatureKey(.hs256, secret: secret))]))
    }

    static func fault(_ token: String, _ change: (inout TokenRules) -> Void = { _ in }, now: Double = 1000) throws
        -> String
    {
        var rules = TokenRules()
        change(&rules)
        switch try check().judge(Array(token.utf8), rules, now: now) {
        case .good: return "good"
        case .bad(let fault): return fault.rawValue
        case .absent: return "absent"
        case .malformed: return "no bearer"
        }
    }

    private static let header = #"{"alg":"HS256","typ":"JWT"}"#
    private static let claims = #"{"sub":"joe","exp":2000}"#

    /// RFC 7515 A.1, whose secret and token are in the text.
    @Test func theExampleOfTheRFCIsGood() throws {
        let secret = try #require(
            Base64URL.bytes("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"))
        let token =
            "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
        let check = TokenCheck(try TokenKeys([(nil, try SignatureKey(.hs256, secret: secret))]))
        var rules = TokenRules()
        rules.issuer = "joe"
        guard case .good(let claims) = check.judge(Array(token.utf8), rules, now: 1_300_819_000) else {
            Issue.record("refused")
            return
        }
        #expect(claims["http://example.com/is_root"]?.bool == true)
        guard case .bad(.expired) = check.judge(Array(token.utf8), rules, now: 1_300_819_411) else {
            Issue.record("a token that is remembered expires, too")
            return
        }
    }

    @Test func forgedShapesAreRefused() throws {
        let good = Self.signed(Self.header, Self.claims)
        #expect(try Self.fault(good) == "good")
        let parts = good.split(separator: ".").map(String.init)
        func header(_ text: String) throws -> String { try Self.fault(Self.signed(text, Self.claims)) }
        // Algorithms.
        for name in ["none", "None", "NONE", "nOnE", "", "hs256", "HS256 ", "HS1", "RS256x", "HMAC"] {
            #expect(try header("{\"alg\":\"\(name)\"}") == "algorithm", "\(name)")
        }
        for name in ["RS256", "ES256", "PS256", "EdDSA", "HS384", "HS512"] {
            #expect(try header("{\"alg\":\"\(name)\"}") == "unknown_key", "\(name)")
        }
        for text in [#"{"alg":null}"#, #"{"alg":["HS256"]}"#, #"{"typ":"JWT"}"#, #"{"alg":{"a":1}}"#] {
            #expect(try header(text) == "algorithm", "\(text)")
        }
        for text in [
            "", "[]", "\"HS256\"", "{", #"{"alg":"HS256","alg":"none"}"#, #"{"alg":"HS256","kid":1}"#,
            "{\"alg\":\"HS256\"}x",
        ] {
            #expect(try header(text) == "malformed", "\(text)")
        }
        // What must be understood, and keys of its own.
        #expect(try header(#"{"alg":"HS256","crit":["exp"],"exp":1}"#) == "critical")
        #expect(try header(#"{"alg":"HS256","crit":[]}"#) == "critical")
        #expect(try header(#"{"alg":"HS256","b64":false}"#) == "critical")
        #expect(try header(#"{"alg":"HS256","zip":"DEF"}"#) == "algorithm")
        #expect(try header(#"{"alg":"HS256","enc":"A128GCM"}"#) == "algorithm")
        let own = Self.signed(
            #"{"alg":"HS256","jwk":{"kty":"oct","k":"YWFh"},"jku":"http://e/","x5u":"http://e/"}"#, Self.claims,
            secret: Array("aaa".utf8))
        #expect(try Self.fault(own) == "signature")
        // Signatures.
        #expect(try Self.fault(Self.signed(Self.header, Self.claims, secret: [1])) == "signature")
        #expect(try Self.fault(parts[0] + "." + parts[1] + ".") == "malformed")
        #expect(try Self.fault(parts[0] + "." + parts[1]) == "malformed")
        #expect(try Self.fault(good + ".") == "malformed")
        #expect(try Self.fault("." + good) == "malformed")
        #expect(try Self.fault(good + "=") == "malformed")
        #expect(try Self.fault(good + "A") != "good")
        #expect(try Self.fault(String(good.dropLast())) != "good")
        let other = Base64URL.text(Array(#"{"sub":"root","exp":2000}"#.utf8))
        #expect(try Self.fault(parts[0] + "." + other + "." + parts[2]) == "signature")
        // The other spelling of the last byte's spare bits.
        let last = parts[2].last.map { $0 == "A" ? "B" : "A" } ?? ""
        #expect(try Self.fault(parts[0] + "." + parts[1] + "." + parts[2].dropLast() + last) != "good")
    }

    @Test func claimsAreChecked() throws {
        func fault(_ claims: String, now: Double = 1000, _ change: (inout TokenRules) -> Void = { _ in }) throws
            -> String
        {
            try Self.fault(Self.signed(Self.header, claims), change, now: now)
        }
        #expect(try fault(#"{"sub":"joe"}"#) == "missing_claim")
        #expect(try fault(#"{"exp":null}"#) == "missing_claim")
        #expect(try fault(#"{"exp":"2000"}"#) == "malformed")
        #expect(try fault(#"{"exp":2000}"#, now: 2029) == "good")
        #expect(try fault(#"{"exp":2000}"#, now: 2030) == "expired")
        #expect(try fault(#"{"exp":2000,"exp":9000}"#) == "malformed")
        #expect(try fault(#"{"exp":1e3}"#, now: 2000) == "expired")
        #expect(try fault(#"{"exp":2000,"nbf":1031}"#) == "not_yet")
        #expect(try fault(#"{"exp":2000,"nbf":1030}"#) == "good")
        #expect(try fault(#"{"exp":2000,"nbf":[]}"#) == "malformed")
        #expect(try fault(#"{"exp":2000,"iss":"a"}"#) { $0.issuer = "b" } == "issuer")
        #expect(try fault(#"{"exp":2000}"#) { $0.issuer = "b" } == "issuer")
        #expect(try fault(#"{"exp":2000,"iss":["b"]}"#) { $0.issuer = "b" } == "issuer")
        #expect(try fault(#"{"exp":2000,"aud":"us"}"#) { $0.audiences = ["us"] } == "good")
        #expect(try fault(#"{"exp":2000,"aud":["x","us"]}"#) { $0.audiences = ["us"] } == "good")
        #expect(try fault(#"{"exp":2000,"aud":"them"}"#) { $0.audiences = ["us"] } == "audience")
        #expect(try fault(#"{"exp":2000}"#) { $0.audiences = ["us"] } == "audience")
        #expect(try fault(#"{"exp":2000,"aud":"them"}"#) == "audience")
        #expect(try fault(#"{"exp":2000,"aud":{"us":1}}"#) { $0.audiences = ["us"] } == "audience")
    }

    @Test func whatATokenAllowsIsAskedFor() throws {
        var rules = TokenRules()
        rules.wanted = [("scope", "write"), ("role", "admin")]
        func allows(_ text: String) throws -> Bool { rules.allows(try JSON.parse(Array(text.utf8))) }
        #expect(try allows(#"{"scope":"read write","role":["user","admin"]}"#))
        #expect(try !allows(#"{"scope":"read writes","role":"admin"}"#))
        #expect(try !allows(#"{"scope":"write"}"#))
    }

    @Test func secretsThatAreTooShortAreNone() {
        #expect(throws: SignatureKey.Unusable.self) { try SignatureKey(.hs256, secret: Array(Self.secret.dropLast())) }
        #expect(throws: SignatureKey.Unusable.self) { try SignatureKey(.hs512, secret: Self.secret) }
        #expect(throws: SignatureKey.Unusable.self) { try SignatureKey(.rs256, secret: Self.secret) }
    }

    /// Keys and signatures of a program that is not ours.
    @Test(arguments: [
        ("RS256", "rsa -pkeyopt rsa_keygen_bits:2048", ""), ("PS256", "rsa -pkeyopt rsa_keygen_bits:2048", "pss"),
        ("RS512", "rsa -pkeyopt rsa_keygen_bits:2048", ""), ("PS384", "rsa -pkeyopt rsa_keygen_bits:2048", "pss"),
        ("ES256", "ec -pkeyopt ec_paramgen_curve:P-256", "ec"), ("ES384", "ec -pkeyopt ec_paramgen_curve:P-384", "ec"),
        ("ES512", "ec -pkeyopt ec_paramgen_curve:P-521", "ec"), ("EdDSA", "ed25519", "raw"), ("EdDSA", "ed448", "raw"),
    ])
    func signaturesOfOpenSSLAreGood(_ name: String, _ kind: String, _ form: String) async throws {
        let folder = try TemporaryFolder("outrigger-jwt")
        let algorithm = try #require(SignatureKey.Algorithm(rawValue: name))
        func openssl(_ words: String) async throws {
            try await LocalServer.run("openssl", words.split(separator: " ").map(String.init), folder: folder)
        }
        try await openssl("genpkey -algorithm \(kind) -out key.pem")
        try await openssl("pkey -in key.pem -pubout -out public.pem")
        let message =
            Base64URL.text(Array("{\"alg\":\"\(name)\"}".utf8)) + "." + Base64URL.text(Array(Self.claims.utf8))
        try Files.write(message, to: folder.path + "/message")
        if form == "raw" {
            try await openssl("pkeyutl -sign -inkey key.pem -rawin -in message -out signature")
        } else {
            let padding = form == "pss" ? " -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest" : ""
            try await openssl("dgst -sha\(name.suffix(3)) -sign key.pem\(padding) -out signature message")
        }
        var signature = try Files.read(folder.path + "/signature")
        if form == "ec" {
            signature = Self.halves(of: signature, each: ["ES256": 32, "ES384": 48, "ES512": 66][name] ?? 0)
        }
        let key = try SignatureKey(algorithm, pem: try Files.read(folder.path + "/public.pem"))
        #expect(key.verifies(Array(message.utf8), signature))
        var broken = signature
        broken[broken.count / 2] ^= 1
        #expect(!key.verifies(Array(message.utf8), broken))
        #expect(!key.verifies(Array(message.utf8), Array(signature.dropLast())))
        #expect(!key.verifies(Array(message.utf8) + [0x61], signature))
        #expect(!key.verifies(Array(message.utf8), [UInt8](repeating: 0, count: signature.count)))
        let check = TokenCheck(try TokenKeys([(nil, key)]))
        let token = Array((message + "." + Base64URL.text(signature)).utf8)
        guard case .good = check.judge(token, TokenRules(), now: 1000) else {
            Issue.record("refused")
            return
        }
        // The public key as a secret, which is the oldest trick.
        let forged = Self.signed(Self.header, Self.claims, secret: try Files.read(folder.path + "/public.pem"))
        guard case .bad(.unknownKey) = check.judge(Array(forged.utf8), TokenRules(), now: 1000) else {
            Issue.record("taken for a secret")
            return
        }
    }

    /// The two numbers of a DER sequence.
    private static func halves(of signature: [UInt8], each count: Int) -> [UInt8] {
        var place = signature[1] & 0x80 != 0 ? 3 : 2
        var result: [UInt8] = []
        for _ in 0..<2 {
            let length = Int(signature[place + 1])
            let digits = Array(signature[place + 2..<place + 2 + length].drop { $0 == 0 })
            result += [UInt8](repeating: 0, count: count - digits.count) + digits
            place += 2 + length
        }
        return result
    }

    @Test func keySetsGiveEachKeyOneAlgorithm() throws {
        let text = """
            {"keys": [
              {"kty": "oct", "kid": "a", "alg": "HS256", "k": "\(Base64URL.text(Self.secret))"},
              {"kty": "EC", "kid": "b", "crv": "P-256", "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"},
              {"kty": "OKP", "kid": "c", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
              {"kty": "oct", "kid": "short", "alg": "HS256", "k": "YWFh"}, {"kty": "RSA", "use": "enc", "n": "x", "e": "y"},
              {"kty": "EC", "kid": "off", "crv": "P-256", "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4"}
            ]}
            """
        let keys = try TokenKeys.keys(in: Array(text.utf8), from: "here")
        #expect(keys.map(\.id) == ["a", "b", "c"])
        #expect(keys.map(\.key.algorithm) == [.hs256, .es256, .edDSA])
        // RFC 8037 A.4.
        let signature = try #require(
            Base64URL.bytes("hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"))
        #expect(keys[2].key.verifies(Array("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc".utf8), signature))
        #expect(throws: TokenKeys.Unusable.self) { try TokenKeys.keys(in: Array("{\"keys\":[]}".utf8), from: "here") }
    }
}
