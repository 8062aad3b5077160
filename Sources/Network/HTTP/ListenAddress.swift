import CLinux
import Glibc
import Runtime

/// Where to listen: `host:port`, `:port` for every interface, `[::1]:port`.
public struct ListenAddress: Sendable, Hashable, SettingValue, CustomStringConvertible {
    /// Empty for every interface.
    public let host: String
    public let port: UInt16

    public init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    public static var kind: String { "an address such as 127.0.0.1:9847 or :9847" }

    public init?(setting text: String) {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            return nil
        }
        var host = text[..<colon]
        if host.hasPrefix("[") {
            guard host.hasSuffix("]") else { return nil }
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            return nil
        }
        self.init(host: String(host), port: port)
    }

    public var description: String { (host.contains(":") ? "[\(host)]" : host) + ":\(port)" }
    public var settingText: String { description }

    /// Whether only this machine can connect.
    public var isLoopback: Bool {
        // A name may begin with digits, too, and lead anywhere.
        let isAddress = host.utf8.allSatisfy { $0 == UInt8(ascii: ".") || (48...57).contains($0) }
        return host == "localhost" || host == "::1" || isAddress && host.hasPrefix("127.")
    }

    public func withPort(_ port: UInt16) -> ListenAddress { ListenAddress(host: host, port: port) }

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// A non-blocking, listening TCP socket, which the caller owns: one that was passed to this process, or a new one.
    func listen() throws(Failure) -> Int32 {
        if let passed = PassedSockets.shared.take(self) { return passed }
        var hints = addrinfo()
        hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        // An empty host takes both families on one IPv6 socket where the machine has IPv6, else IPv4 only.
        let failure = getaddrinfo(host.isEmpty ? nil : host, String(port), &hints, &list)
        guard failure == 0, let list else { throw Failure(description: String(cString: gai_strerror(failure))) }
        defer { freeaddrinfo(list) }
        var entries: [addrinfo] = []
        var next: UnsafeMutablePointer<addrinfo>? = list
        while let entry = next {
            entries.append(entry.pointee)
            next = entry.pointee.ai_next
        }
        if host.isEmpty { entries.sort { $0.ai_family == AF_INET6 && $1.ai_family != AF_INET6 } }
        var last: Int32 = 0
        for entry in entries {
            let made = socket(entry.ai_family, entry.ai_socktype | O_CLOEXEC | O_NONBLOCK, entry.ai_protocol)
            guard made >= 0 else {
                last = errno
                continue
            }
            var yes: Int32 = 1
            var no: Int32 = 0
            setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
            if entry.ai_family == AF_INET6 {
                setsockopt(made, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &no, socklen_t(MemoryLayout<Int32>.size))
            }
            if bind(made, entry.ai_addr, entry.ai_addrlen) == 0, Glibc.listen(made, 1024) == 0 { return made }
            last = errno
            close(made)
        }
        let holder = last == EADDRINUSE ? PortHolder.description(ofTCP: port).map { " by \($0)" } ?? "" : ""
        throw Failure(description: String(cString: strerror(last)) + holder)
    }

    static func port(of socket: Int32) -> UInt16 {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return withUnsafeMutablePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                guard getsockname(socket, $0, &length) == 0 else { return 0 }
                return $0.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
                    UInt16(bigEndian: $0.pointee.sin_port)
                }
            }
        }
    }
}

/// 127.0.0.0/8, ::1, or the former inside IPv6.
func isLoopback(_ address: UnsafePointer<sockaddr>) -> Bool {
    switch Int32(address.pointee.sa_family) {
    case AF_INET:
        return address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
            UInt32(bigEndian: $0.pointee.sin_addr.s_addr) >> 24 == 127
        }
    case AF_INET6:
        return address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) {
            withUnsafeBytes(of: $0.pointee.sin6_addr) { bytes in
                let isMapped = bytes[0..<10].allSatisfy { $0 == 0 } && bytes[10] == 0xFF && bytes[11] == 0xFF
                return isMapped ? bytes[12] == 127 : bytes[0..<15].allSatisfy { $0 == 0 } && bytes[15] == 1
            }
        }
    default: return false
    }
}
