import CLinux
import Glibc
import Network
import Runtime
import Synchronization

public enum FreePort {
    private static let handedOut = Mutex<Set<UInt16>>([])

    /// A loopback TCP port that nobody listens on, and that this process was not given before. Below the range from which
    /// the kernel takes ports for outgoing connections, so that none of those can get in between.
    ///
    /// - Parameter second: how far above it a second port must be free, too; a node of a Redis cluster needs that.
    public static func next(andAt second: UInt16 = 0) -> UInt16 {
        while true {
            let port = UInt16.random(in: 10_000..<(32_000 - second))
            guard handedOut.withLock({ $0.insert(port).inserted }), canBind(port) else { continue }
            guard second == 0 || handedOut.withLock({ $0.insert(port + second).inserted }) && canBind(port + second)
            else {
                continue
            }
            return port
        }
    }

    /// Whether somebody accepts connections there now.
    public static func isOpen(_ port: UInt16) -> Bool { withSocket(port, connect) }

    private static func canBind(_ port: UInt16) -> Bool { withSocket(port, bind) }

    private static func withSocket(
        _ port: UInt16, _ attempt: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Bool {
        let probe = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(probe) }
        return LoopbackAddress.with(port: port) { attempt(probe, $0, $1) == 0 }
    }
}
