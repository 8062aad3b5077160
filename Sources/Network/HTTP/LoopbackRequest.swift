import CLinux
import Glibc
import Runtime

/// One GET to a server on this machine, for probes: no client library is loaded for it.
public enum LoopbackRequest {
    public struct Failure: Error, CustomStringConvertible {
        public let description: String
    }

    /// The status code of the answer. Blocks for `patience` at most for each step.
    public static func status(of path: String, at address: ListenAddress, within patience: Duration) throws(Failure)
        -> Int
    {
        let host = ["", "0.0.0.0", "::"].contains(address.host) ? "127.0.0.1" : address.host
        var hints = addrinfo()
        hints.ai_flags = AI_NUMERICSERV
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let failure = getaddrinfo(host, String(address.port), &hints, &list)
        guard failure == 0, let list else {
            throw Failure(description: "\(host): \(String(cString: gai_strerror(failure)))")
        }
        defer { freeaddrinfo(list) }
        let connection = socket(list.pointee.ai_family, list.pointee.ai_socktype | O_CLOEXEC, 0)
        guard connection >= 0 else { throw Failure(description: String(cString: strerror(errno))) }
        defer { close(connection) }
        var limit = timeval(tv_sec: patience.milliseconds / 1000, tv_usec: patience.milliseconds % 1000 * 1000)
        setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        guard connect(connection, list.pointee.ai_addr, list.pointee.ai_addrlen) == 0 else {
            throw Failure(description: "connect to \(host):\(address.port): \(String(cString: strerror(errno)))")
        }
        let request = Array("GET \(path) HTTP/1.1\r\nHost: \(host)\r\nConnection: close\r\n\r\n".utf8)
        guard send(connection, request, request.count, Int32(MSG_NOSIGNAL)) == request.count else {
            throw Failure(description: "ask \(host):\(address.port): \(String(cString: strerror(errno)))")
        }
        var answer = [UInt8](repeating: 0, count: 64)
        var length = 0
        while length < 12 {
            let got = answer.withUnsafeMutableBytes { recv(connection, $0.baseAddress! + length, $0.count - length, 0) }
            guard got > 0 else { throw Failure(description: "no answer from \(host):\(address.port)") }
            length += got
        }
        // "HTTP/1.1 200 OK"
        guard let status = Int(String(decoding: answer[9..<12], as: UTF8.self)) else {
            throw Failure(description: "\(host):\(address.port) does not speak HTTP")
        }
        return status
    }
}
