import COpenSSL

/// HMAC-SHA-256 (RFC 2104, FIPS 180-4), computed by OpenSSL's libcrypto, which libpq loads anyway.
public enum HMAC {
    /// 32 bytes.
    public static func sha256(key: [UInt8], _ message: [UInt8]) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: 32)
        var length: UInt32 = 0
        // An empty key is allowed, a null pointer is not.
        let key = key.isEmpty ? [0] : key
        let done = COpenSSL.HMAC(EVP_sha256(), key, Int32(key.count), message, message.count, &digest, &length)
        precondition(done != nil && length == 32, "HMAC: out of memory")
        return digest
    }
}

extension Array where Element == UInt8 {
    /// Two lower-case digits a byte.
    public var hexadecimal: String {
        var text: [UInt8] = []
        text.reserveCapacity(count * 2)
        let digits = [UInt8]("0123456789abcdef".utf8)
        for byte in self {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// RFC 4648, with padding.
    public var base64: String {
        let alphabet = [UInt8]("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var text: [UInt8] = []
        for start in stride(from: 0, to: count, by: 3) {
            let group = self[start..<Swift.min(start + 3, count)]
            var bits = group.reduce(0) { $0 << 8 | UInt32($1) }
            bits <<= UInt32((3 - group.count) * 8)
            for place in 0..<4 {
                let index = Int(bits >> UInt32((3 - place) * 6)) & 63
                text.append(place <= group.count ? alphabet[index] : UInt8(ascii: "="))
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}
