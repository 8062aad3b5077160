import CLinux
import Glibc
import Runtime

/// A UDP socket that sends texts to one port of this machine and waits for nobody.
public final class DatagramSender: Sendable {
    private let descriptor: Int32

    public struct Failure: Error, CustomStringConvertible { public let description: String }

    /// - Parameter port: on the loopback address 127.0.0.1.
    public init(port: UInt16) throws(Failure) {
        descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue) | O_CLOEXEC | O_NONBLOCK, 0)
        let result = LoopbackAddress.with(port: port) { connect(descriptor, $0, $1) }
        // `deinit` closes it, here too.
        guard result == 0 else {
            throw Failure(description: "send to 127.0.0.1:\(port): \(String(cString: strerror(errno)))")
        }
    }

    deinit { close(descriptor) }

    /// - Returns: whether the kernel took it; false as long as nobody listens there.
    @discardableResult
    public func send(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        return bytes.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            == bytes.count
    }
}
