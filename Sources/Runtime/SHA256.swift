import COpenSSL

/// SHA-256 (FIPS 180-4), computed by OpenSSL's libcrypto.
public struct SHA256: Sendable {
    /// 32 bytes.
    private let bytes: [UInt8]

    public init(of message: [UInt8]) {
        var digest = [UInt8](repeating: 0, count: 32)
        var length: UInt32 = 0
        let done = EVP_Digest(message, message.count, &digest, &length, EVP_sha256(), nil)
        precondition(done == 1 && length == 32, "SHA-256: out of memory")
        bytes = digest
    }

    /// Nil unless the text is 64 hexadecimal digits.
    public init?(hexadecimal text: String) {
        let digits = Array(text.utf8)
        guard digits.count == 64 else { return nil }
        var bytes: [UInt8] = []
        for start in stride(from: 0, to: 64, by: 2) {
            guard let high = Self.value(digits[start]), let low = Self.value(digits[start + 1]) else { return nil }
            bytes.append(high << 4 | low)
        }
        self.bytes = bytes
    }

    /// 32 bytes.
    public var digest: [UInt8] { bytes }

    public var hexadecimal: String { bytes.hexadecimal }

    /// The first eight bytes, to tell digests apart where a mistake does no harm.
    public var short: UInt64 { bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) } }

    /// Takes as long whether they differ early, late or nowhere.
    public func isEqualInConstantTime(to other: SHA256) -> Bool { CRYPTO_memcmp(bytes, other.bytes, 32) == 0 }

    private static func value(_ digit: UInt8) -> UInt8? {
        switch digit {
        case 48...57: digit - 48
        case 97...102: digit - 87
        case 65...70: digit - 55
        default: nil
        }
    }
}
