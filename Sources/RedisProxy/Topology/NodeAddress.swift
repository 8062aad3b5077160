import Network
import Runtime

/// Where one Redis, or one Sentinel, of several is: `host:port`, `[::1]:port`.
public struct NodeAddress: Sendable, Hashable, SettingValue, CustomStringConvertible {
    public let host: String
    public let port: UInt16

    public init(_ host: String, _ port: UInt16) {
        self.host = host
        self.port = port
    }

    public static var kind: String { "a host and port such as 10.0.0.1:6379" }

    public init?(setting text: String) {
        guard let address = ListenAddress(setting: text), !address.host.isEmpty, address.port > 0 else { return nil }
        self.init(address.host, address.port)
    }

    /// As nodes of a cluster write it: an IPv6 address has no brackets, and an empty host is that of the node that says so.
    ///
    /// - Returns: nil where the node does not know it either (`?`), and for what is no address.
    init?(told text: Substring, by node: NodeAddress) {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]), port > 0 else {
            return nil
        }
        let host = text[..<colon]
        guard host != "?" else { return nil }
        self.init(host.isEmpty ? node.host : String(host), port)
    }

    /// Whether the host is an IP address, which is known without asking anybody.
    var isNumeric: Bool { host.contains(":") || host.allSatisfy { $0 == "." || $0.isASCII && $0.isNumber } }

    public var description: String { (host.contains(":") ? "[\(host)]" : host) + ":\(port)" }
    public var settingText: String { description }
}
