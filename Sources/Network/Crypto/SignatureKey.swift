import COpenSSL
import Runtime

/// A key that signatures of JSON Web Tokens are checked with, for one algorithm and no other (RFC 7518, RFC 8037). Every
/// cryptographic step is OpenSSL's; this is the one owner of its keys.
public final class SignatureKey: Sendable {
    /// As tokens name it.
    public enum Algorithm: String, Sendable, CaseIterable {
        case hs256 = "HS256"
        case hs384 = "HS384"
        case hs512 = "HS512"
        case rs256 = "RS256"
        case rs384 = "RS384"
        case rs512 = "RS512"
        case ps256 = "PS256"
        case ps384 = "PS384"
        case ps512 = "PS512"
        case es256 = "ES256"
        case es384 = "ES384"
        case es512 = "ES512"
        case edDSA = "EdDSA"

        public var isShared: Bool { self == .hs256 || self == .hs384 || self == .hs512 }
        var isRSA: Bool { rawValue.hasPrefix("RS") || rawValue.hasPrefix("PS") }

        /// Bits of the digest.
        fileprivate var bits: Int { Int(rawValue.suffix(3)) ?? 0 }

        fileprivate var digest: OpaquePointer? {
            switch bits {
            case 256: EVP_sha256()
            case 384: EVP_sha384()
            case 512: EVP_sha512()
            default: nil
            }
        }

        /// Bytes of each half of an ECDSA signature.
        fileprivate var half: Int {
            switch self {
            case .es256: 32
            case .es384: 48
            default: 66
            }
        }
    }

    public struct Unusable: Error, CustomStringConvertible {
        public let description: String
        public init(_ description: String) { self.description = description }
    }

    public let algorithm: Algorithm
    private enum Material: @unchecked Sendable {
        case secret([UInt8])
        case key(OpaquePointer)
    }
    private let material: Material

    /// A secret that both sides have: at least as long as the digest.
    public init(_ algorithm: Algorithm, secret: [UInt8]) throws(Unusable) {
        guard algorithm.isShared else { throw Unusable("a secret is for HS256, HS384 and HS512") }
        guard secret.count >= algorithm.bits / 8 else {
            throw Unusable(
                "a secret for \(algorithm.rawValue) has at least \(algorithm.bits / 8) bytes, not \(secret.count)")
        }
        (self.algorithm, material) = (algorithm, .secret(secret))
    }

    /// RSA, by modulus and exponent as big-endian numbers; 2048 bits at least.
    public convenience init(_ algorithm: Algorithm, modulus: [UInt8], exponent: [UInt8]) throws(Unusable) {
        guard algorithm.isRSA else { throw Unusable("an RSA key is not for \(algorithm.rawValue)") }
        let numbers = DER.sequence(DER.integer(modulus) + DER.integer(exponent))
        // rsaEncryption, without parameters.
        let kind = DER.sequence([0x06, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, 1, 0x05, 0])
        try self.init(algorithm, publicKey: DER.sequence(kind + DER.bits(numbers)))
    }

    /// A point on the curve of the algorithm.
    public convenience init(_ algorithm: Algorithm, x: [UInt8], y: [UInt8]) throws(Unusable) {
        let curve: [UInt8]
        switch algorithm {
        case .es256: curve = [0x06, 8, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 3, 1, 7]
        case .es384: curve = [0x06, 5, 0x2B, 0x81, 4, 0, 0x22]
        case .es512: curve = [0x06, 5, 0x2B, 0x81, 4, 0, 0x23]
        default: throw Unusable("a point is not for \(algorithm.rawValue)")
        }
        guard x.count == algorithm.half, y.count == algorithm.half else {
            throw Unusable("x and y of \(algorithm.rawValue) have \(algorithm.half) bytes each")
        }
        let kind = DER.sequence([0x06, 7, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 2, 1] + curve)
        try self.init(algorithm, publicKey: DER.sequence(kind + DER.bits([4] + x + y)))
    }

    /// Ed25519 (32 bytes) or Ed448 (57 bytes).
    public convenience init(edwards x: [UInt8]) throws(Unusable) {
        guard x.count == 32 || x.count == 57 else {
            throw Unusable("x of Ed25519 has 32 bytes, of Ed448 57, not \(x.count)")
        }
        let kind = DER.sequence([0x06, 3, 0x2B, 0x65, x.count == 32 ? 0x70 : 0x71])
        try self.init(.edDSA, publicKey: DER.sequence(kind + DER.bits(x)))
    }

    /// - Parameter publicKey: SubjectPublicKeyInfo in DER.
    private convenience init(_ algorithm: Algorithm, publicKey: [UInt8]) throws(Unusable) {
        let key = publicKey.withUnsafeBufferPointer { bytes -> OpaquePointer? in
            var next = bytes.baseAddress
            return d2i_PUBKEY(nil, &next, bytes.count)
        }
        guard let key else {
            ERR_clear_error()
            throw Unusable("no key for \(algorithm.rawValue)")
        }
        try self.init(algorithm, owning: key)
    }

    /// A public key, or a certificate's, in PEM.
    public convenience init(_ algorithm: Algorithm, pem: [UInt8]) throws(Unusable) {
        let key = pem.withUnsafeBytes { bytes -> OpaquePointer? in
            guard let source = BIO_new_mem_buf(bytes.baseAddress, Int32(clamping: bytes.count)) else { return nil }
            defer { BIO_free(source) }
            return PEM_read_bio_PUBKEY(source, nil, nil, nil)
        }
        guard let key else {
            ERR_clear_error()
            throw Unusable("there is no public key in PEM")
        }
        try self.init(algorithm, owning: key)
    }

    private init(_ algorithm: Algorithm, owning key: OpaquePointer) throws(Unusable) {
        (self.algorithm, material) = (algorithm, .key(key))
        let kind = EVP_PKEY_get_base_id(key)
        let suits =
            if algorithm.isRSA {
                kind == EVP_PKEY_RSA
            } else if algorithm == .edDSA {
                kind == EVP_PKEY_ED25519 || kind == EVP_PKEY_ED448
            } else {
                kind == EVP_PKEY_EC && (EVP_PKEY_get_bits(key) + 7) / 8 == algorithm.half
            }
        guard suits else { throw Unusable("the key is not one for \(algorithm.rawValue)") }
        guard !algorithm.isRSA || EVP_PKEY_get_bits(key) >= 2048 else {
            throw Unusable("an RSA key has at least 2048 bits, not \(EVP_PKEY_get_bits(key))")
        }
    }

    deinit { if case .key(let key) = material { EVP_PKEY_free(key) } }

    /// Whether whoever has the key signed this message.
    public func verifies(_ message: [UInt8], _ signature: [UInt8]) -> Bool {
        switch material {
        case .secret(let secret):
            var digest = [UInt8](repeating: 0, count: 64)
            var length: UInt32 = 0
            guard
                COpenSSL.HMAC(
                    algorithm.digest, secret, Int32(clamping: secret.count), message, message.count, &digest, &length)
                    != nil,
                Int(length) == signature.count
            else { return false }
            return CRYPTO_memcmp(digest, signature, signature.count) == 0
        case .key(let key):
            let proof: [UInt8]
            if algorithm.isRSA || algorithm == .edDSA {
                proof = signature
            } else {
                // Two numbers of fixed length here, a sequence of two integers there.
                guard signature.count == algorithm.half * 2 else { return false }
                proof = DER.sequence(
                    DER.integer(Array(signature[..<algorithm.half])) + DER.integer(Array(signature[algorithm.half...])))
            }
            return verify(key, message, proof)
        }
    }

    private func verify(_ key: OpaquePointer, _ message: [UInt8], _ proof: [UInt8]) -> Bool {
        guard let context = EVP_MD_CTX_new() else { return false }
        defer {
            EVP_MD_CTX_free(context)
            ERR_clear_error()
        }
        var details: OpaquePointer?
        guard EVP_DigestVerifyInit(context, &details, algorithm.digest, nil, key) == 1 else { return false }
        if algorithm.rawValue.hasPrefix("PS") {
            guard EVP_PKEY_CTX_set_rsa_padding(details, RSA_PKCS1_PSS_PADDING) == 1,
                // As long as the digest (RFC 7518 §3.5).
                EVP_PKEY_CTX_set_rsa_pss_saltlen(details, -1) == 1
            else { return false }
        }
        return EVP_DigestVerify(context, proof, proof.count, message, message.count) == 1
    }
}

/// As much of ASN.1 as keys and signatures need.
private enum DER {
    static func sequence(_ content: [UInt8]) -> [UInt8] { [0x30] + length(content.count) + content }
    static func bits(_ content: [UInt8]) -> [UInt8] { [0x03] + length(content.count + 1) + [0] + content }

    /// A number that is not negative, big-endian.
    static func integer(_ number: [UInt8]) -> [UInt8] {
        var digits = Array(number.drop { $0 == 0 })
        if digits.first.map({ $0 >= 0x80 }) ?? true { digits.insert(0, at: 0) }
        return [0x02] + length(digits.count) + digits
    }

    private static func length(_ count: Int) -> [UInt8] {
        if count < 0x80 { return [UInt8(truncatingIfNeeded: count)] }
        var digits: [UInt8] = []
        var rest = count
        while rest > 0 {
            digits.insert(UInt8(truncatingIfNeeded: rest), at: 0)
            rest >>= 8
        }
        return [0x80 | UInt8(truncatingIfNeeded: digits.count)] + digits
    }
}
