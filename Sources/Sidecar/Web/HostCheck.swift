import Network
import Runtime

/// Under which names this machine is asked. A page in a browser can have its own name lead to this machine (DNS rebinding), and
/// then asks under that name; what it asks comes from this machine, but is not trusted.
struct HostCheck: Sendable {
    /// In lower case, without ports.
    private let names: Set<String>

    /// - Parameter allowed: names beside the machine's own, with or without a port.
    init(allowed: [String]) {
        let machine = hostName().lowercased()
        names = Set(allowed.map(Self.name) + [machine, String(machine.prefix { $0 != "." }), "localhost"])
    }

    /// Whether the request names this machine by an address, by one of its names, or, as no browser does, by none.
    func names(_ request: HTTPRequest) -> Bool {
        guard let host = request.header("host") else { return true }
        let name = Self.name(host)
        return Self.isAddress(name) || names.contains(name) || name.hasSuffix(".localhost")
    }

    /// Whether what a browser says of the page that asks is that it came from here; true where it says nothing.
    static func isSameOrigin(_ request: HTTPRequest) -> Bool {
        guard let origin = request.header("origin") else { return true }
        guard let scheme = origin.firstRange(of: "://"), let host = request.header("host") else { return false }
        return origin[scheme.upperBound...].lowercased() == host.lowercased()
    }

    /// `[::1]:9847` as `::1`.
    private static func name(_ host: String) -> String {
        var text = host.lowercased()[...]
        if text.hasPrefix("[") { return String(text.dropFirst().prefix { $0 != "]" }) }
        if text.utf8.count(where: { $0 == UInt8(ascii: ":") }) == 1 { text = text.prefix { $0 != ":" } }
        return String(text.hasSuffix(".") ? text.dropLast() : text)
    }

    /// Nobody can make an address lead elsewhere.
    private static func isAddress(_ name: String) -> Bool {
        if name.contains(":") {
            return name.utf8.allSatisfy { Character(Unicode.Scalar($0)).isHexDigit || $0 == 58 || $0 == 46 }
        }
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts.allSatisfy { UInt8($0) != nil }
    }
}
