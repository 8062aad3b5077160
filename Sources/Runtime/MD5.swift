import COpenSSL

/// MD5 (RFC 1321), which old passwords of Postgres are kept as. It protects nothing; computed by OpenSSL's libcrypto.
public enum MD5 {
    /// 32 lower-case digits. Nil where the system's rules forbid MD5 (FIPS).
    public static func hexadecimal(of message: [UInt8]) -> String? {
        var digest = [UInt8](repeating: 0, count: 16)
        var length: UInt32 = 0
        let done = EVP_Digest(message, message.count, &digest, &length, EVP_md5(), nil)
        return done == 1 && length == 16 ? digest.hexadecimal : nil
    }
}
