import CLinux
import Glibc

/// Counts what a library took off a socket, though it does not say: the kernel knows how much has come and how much is
/// still there.
///
/// For sockets that are not TCP the kernel counts nothing, so what lay there before each reading is summed up: never more
/// than was read, and less where more came meanwhile.
struct ReceivedBytes {
    private(set) var count = 0
    private var waiting = 0

    mutating func willRead(_ file: Int32) { waiting = ReceivedBytes.unread(file) }

    mutating func hasRead(_ file: Int32) {
        if let arrived = ReceivedBytes.arrived(file) {
            count = max(count, arrived - ReceivedBytes.unread(file))
        } else {
            count += max(0, waiting - ReceivedBytes.unread(file))
        }
    }

    private static func unread(_ file: Int32) -> Int {
        var bytes: Int32 = 0
        return ioctl(file, UInt(FIONREAD), &bytes) == 0 ? Int(bytes) : 0
    }

    /// `tcpi_bytes_received` of Linux 4.1 and newer, behind the part of `struct tcp_info` that glibc declares.
    private static func arrived(_ file: Int32) -> Int? {
        let place = 128
        return withUnsafeTemporaryAllocation(byteCount: 256, alignment: 8) { info in
            var length = socklen_t(info.count)
            let isTCP = getsockopt(file, Int32(IPPROTO_TCP), TCP_INFO, info.baseAddress, &length) == 0
            guard isTCP, Int(length) >= place + 8 else { return nil }
            return Int(clamping: info.loadUnaligned(fromByteOffset: place, as: UInt64.self))
        }
    }
}
