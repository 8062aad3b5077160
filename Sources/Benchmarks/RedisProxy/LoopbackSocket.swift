import CLinux
import Glibc
import Network
import Runtime

/// Blocking TCP sockets on loopback, without delay.
enum LoopbackSocket {
    static func connect(port: UInt16) throws -> Int32 { try make(port, "connect to", Glibc.connect) }

    static func listen(port: UInt16) throws -> Int32 {
        let listener = try make(port, "listen at", Glibc.bind)
        Glibc.listen(listener, 1024)
        return listener
    }

    static func sendAtOnce(_ socket: Int32) {
        var on: Int32 = 1
        setsockopt(socket, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
    }

    /// Has `epoll` tell of input.
    static func watch(_ socket: Int32, with epoll: Int32) {
        var event = epoll_event()
        event.events = EPOLLIN.rawValue
        event.data.fd = socket
        epoll_ctl(epoll, EPOLL_CTL_ADD, socket, &event)
    }

    private static func make(
        _ port: UInt16, _ what: String, _ attempt: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) throws -> Int32 {
        let made = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | O_CLOEXEC, 0)
        sendAtOnce(made)
        let result = LoopbackAddress.with(port: port) { attempt(made, $0, $1) }
        guard result == 0 else {
            let reason = String(cString: strerror(errno))
            close(made)
            throw RedisClient.Failure(description: "\(what) port \(port): \(reason)")
        }
        return made
    }
}
