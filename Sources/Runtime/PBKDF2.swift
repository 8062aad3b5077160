import COpenSSL

/// A key from a password, on purpose slowly (RFC 8018), computed by OpenSSL's libcrypto.
public enum PBKDF2 {
    /// 32 bytes. About half a microsecond an iteration.
    ///
    /// - Parameter iterations: at least one.
    public static func sha256(password: [UInt8], salt: [UInt8], iterations: Int) -> [UInt8] {
        precondition(iterations > 0 && iterations <= Int32.max, "PBKDF2: \(iterations) iterations")
        var key = [UInt8](repeating: 0, count: 32)
        let done = password.withUnsafeBufferPointer { password in
            password.withMemoryRebound(to: CChar.self) { password in
                PKCS5_PBKDF2_HMAC(
                    password.baseAddress, Int32(password.count), salt, Int32(salt.count), Int32(iterations),
                    EVP_sha256(), 32, &key)
            }
        }
        precondition(done == 1, "PBKDF2: out of memory")
        return key
    }
}
