import COpenSSL

/// What must not be guessed.
public enum Secrets {
    /// Bytes from the system's generator, for keys and nonces.
    public static func random(_ count: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        precondition(RAND_bytes(&bytes, Int32(count)) == 1, "OpenSSL: no random bytes")
        return bytes
    }

    /// Takes as long whether they differ early, late or nowhere; lengths are no secret.
    public static func areEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        left.count == right.count && CRYPTO_memcmp(left, right, left.count) == 0
    }
}
