import Glibc
import Runtime

/// Who is at the other end of a connection.
public enum StreamPeer: Sendable, Hashable, CustomStringConvertible {
    /// An address in digits. IPv4 inside IPv6 is shown as IPv4.
    case internet(host: String, port: UInt16, isLoopback: Bool)
    /// Through a Unix socket; the path is empty where the other side has none.
    case unix(path: String)
    /// A server that we connect to, as it was given.
    case server(String)

    /// Whether it is on this machine, as far as the address tells: a relay on this machine is, too.
    public var isLocal: Bool {
        switch self {
        case .internet(_, _, let isLoopback): isLoopback
        case .unix: true
        case .server: false
        }
    }

    /// The part of the address that others do not share: all of IPv4, the first half of IPv6, which one machine has for
    /// itself. For counting, not for people.
    public var network: String {
        guard case .internet(let host, _, _) = self else { return description }
        var address = in6_addr()
        guard host.contains(":"), inet_pton(AF_INET6, host, &address) == 1 else { return host }
        return withUnsafeBytes(of: address) { Array($0.prefix(8)).hexadecimal }
    }

    /// For logs.
    public var description: String {
        switch self {
        case .internet(let host, let port, _): (host.contains(":") ? "[\(host)]" : host) + ":\(port)"
        case .unix(let path): "unix:\(path)"
        case .server(let name): name
        }
    }

    /// - Parameter descriptor: a connected socket.
    init(of descriptor: Int32) {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let found = withUnsafeMutablePointer(to: &storage) { storage in
            storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                getpeername(descriptor, address, &length) == 0 ? StreamPeer(address) : nil
            }
        }
        // Gone already: nobody to be trusted with anything.
        self = found ?? .internet(host: "", port: 0, isLoopback: false)
    }

    init?(_ address: UnsafePointer<sockaddr>) {
        var digits = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        let port: UInt16
        switch Int32(address.pointee.sa_family) {
        case AF_UNIX:
            self = .unix(path: "")
            return
        case AF_INET:
            port = address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { address in
                var host = address.pointee.sin_addr
                inet_ntop(AF_INET, &host, &digits, socklen_t(digits.count))
                return UInt16(bigEndian: address.pointee.sin_port)
            }
        case AF_INET6:
            port = address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { address in
                var host = address.pointee.sin6_addr
                inet_ntop(AF_INET6, &host, &digits, socklen_t(digits.count))
                return UInt16(bigEndian: address.pointee.sin6_port)
            }
        default: return nil
        }
        var host = String(decoding: digits.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        if host.hasPrefix("::ffff:"), host.contains(".") { host.removeFirst(7) }
        self = .internet(host: host, port: port, isLoopback: Network.isLoopback(address))
    }
}
