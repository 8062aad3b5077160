import Network
import Runtime

/// A JSON Web Token in compact form, taken apart; nothing of it is believed yet (RFC 7515 §7.1).
struct Token {
    enum Fault: String, Error, CaseIterable, Sendable {
        /// Not three parts of base64url, or not JSON.
        case malformed
        case algorithm
        case critical
        case unknownKey = "unknown_key"
        case signature
        case expired
        case notYet = "not_yet"
        case issuer
        case audience
        case missingClaim = "missing_claim"
    }

    let algorithm: SignatureKey.Algorithm
    let keyID: String?
    let claims: JSON
    /// What was signed.
    let message: [UInt8]
    let signature: [UInt8]

    private static let limits = JSON.Limits(bytes: 16 << 10, depth: 16, values: 1000)

    init(_ text: [UInt8]) throws(Fault) {
        let parts = text.split(separator: 0x2E, omittingEmptySubsequences: false)
        guard parts.count == 3, let header = Base64URL.bytes(parts[0]), let body = Base64URL.bytes(parts[1]),
            let signature = Base64URL.bytes(parts[2]), !signature.isEmpty
        else { throw .malformed }
        guard let header = Self.object(header), let claims = Self.object(body) else { throw .malformed }
        // What must be understood is not; what names a key of its own (jku, x5u, jwk, x5c) is not listened to.
        guard header["crit"] == nil, header["b64"] == nil else { throw .critical }
        guard header["enc"] == nil, header["zip"] == nil else { throw .algorithm }
        guard let name = header["alg"]?.string, let algorithm = SignatureKey.Algorithm(rawValue: name) else {
            throw .algorithm
        }
        if let id = header["kid"] {
            guard let id = id.string, id.utf8.count <= 256 else { throw .malformed }
            keyID = id
        } else {
            keyID = nil
        }
        (self.algorithm, self.claims, self.signature) = (algorithm, claims, signature)
        message = Array(text[..<(parts[2].startIndex - 1)])
    }

    /// An object in which no name stands twice: readers differ on which of two counts.
    private static func object(_ bytes: [UInt8]) -> JSON? {
        guard let json = try? JSON.parse(bytes, limits: limits), let members = json.members,
            Set(members.map(\.key)).count == members.count
        else { return nil }
        return json
    }
}

/// RFC 4648 §5 without padding, and only in the one form that each text of bytes has.
enum Base64URL {
    static func bytes(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        guard text.count % 4 != 1 else { return nil }
        var result: [UInt8] = []
        result.reserveCapacity(text.count * 3 / 4)
        var (bits, count): (UInt32, UInt32) = (0, 0)
        for byte in text {
            guard let value = value(byte) else { return nil }
            bits = bits << 6 | value
            count += 6
            if count >= 8 {
                count -= 8
                result.append(UInt8(truncatingIfNeeded: bits >> count))
                bits &= (1 << count) - 1
            }
        }
        return bits == 0 ? result : nil
    }

    static func bytes(_ text: String) -> [UInt8]? { bytes(Array(text.utf8)[...]) }

    static func text(_ bytes: [UInt8]) -> String {
        String(
            bytes.base64.filter { $0 != "=" }.map { $0 == "+" ? "-" : $0 == "/" ? "_" : $0 })
    }

    private static func value(_ byte: UInt8) -> UInt32? {
        switch byte {
        case 0x41...0x5A: UInt32(byte - 0x41)
        case 0x61...0x7A: UInt32(byte - 0x61 + 26)
        case 0x30...0x39: UInt32(byte - 0x30 + 52)
        case 0x2D: 62
        case 0x5F: 63
        default: nil
        }
    }
}
