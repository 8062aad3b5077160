import CLinux
import Glibc
import Runtime

/// The path of a Unix socket, short enough for the kernel: at most 107 bytes.
struct SocketPath: Sendable {
    let text: String

    /// Nil when it is empty or too long.
    init?(_ text: String) {
        guard !text.isEmpty, text.utf8.count <= 107 else { return nil }
        self.text = text
    }

    /// As the kernel takes it.
    var bytes: [UInt8] {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        return withUnsafeMutableBytes(of: &address) { raw in
            let start = MemoryLayout<sockaddr_un>.offset(of: \.sun_path) ?? 2
            raw[start..<start + text.utf8.count].copyBytes(from: text.utf8)
            return Array(raw)
        }
    }

    static func problem(of text: String) -> String {
        text.isEmpty
            ? "a Unix socket needs a path" : "\(text): longer than the 107 bytes that a Unix socket's path may have"
    }
}

/// Calls `body` with an address that is held as bytes.
func withSocketAddress(_ bytes: [UInt8], _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
    bytes.withUnsafeBytes { raw in
        guard let start = raw.baseAddress else { return -1 }
        return body(start.assumingMemoryBound(to: sockaddr.self), socklen_t(raw.count))
    }
}
