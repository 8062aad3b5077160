import Cache
import Runtime

/// Which requests a route is for: `[METHOD[,METHOD] ][HOST]/PATH`, where `*` stands for any bytes and `?` for one.
public struct RouteMatch: Sendable, Equatable, CustomStringConvertible {
    public let description: String
    private let methods: Set<String>
    /// Nil for every host.
    private let host: KeyPattern?
    private let path: KeyPattern

    /// Everything.
    public static let all = RouteMatch("/*") ?? RouteMatch()

    private init() { (description, methods, host, path) = ("/*", [], nil, KeyPattern("/*")) }

    /// Nil when the text is no such pattern.
    public init?(_ text: String) {
        description = text
        var rest = text[...]
        if let blank = rest.firstIndex(of: " ") {
            let words = rest[..<blank].split(separator: ",")
            guard !words.isEmpty, words.allSatisfy({ $0.utf8.allSatisfy(\.isTokenByte) }) else { return nil }
            methods = Set(words.map { $0.uppercased() })
            rest = rest[rest.index(after: blank)...]
        } else {
            methods = []
        }
        guard let slash = rest.firstIndex(of: "/"), !rest.contains(" ") else { return nil }
        let name = rest[..<slash].lowercased()
        host = name.isEmpty || name == "*" ? nil : KeyPattern(name)
        path = KeyPattern(String(rest[slash...]))
    }

    /// - Parameters:
    ///   - host: in lower case, without the port.
    ///   - path: normalised.
    func matches(method: Span<UInt8>, host: Span<UInt8>, path: Span<UInt8>) -> Bool {
        guard self.path.matches(path) else { return false }
        if let pattern = self.host, !pattern.matches(host) { return false }
        return methods.isEmpty || methods.contains(method.text)
    }

    /// Whether nothing is left for `other`, which comes later. Tells only of what is certain.
    func hides(_ other: RouteMatch) -> Bool {
        guard methods.isEmpty || !other.methods.isEmpty && other.methods.isSubset(of: methods) else { return false }
        if let host {
            guard let theirs = other.host, !theirs.description.contains("*"),
                host.matches(Array(theirs.description.utf8).span)
            else { return false }
        }
        if path == other.path { return true }
        // A star at the end takes whatever begins alike, also patterns.
        guard path.description.hasSuffix("*"), !path.description.dropLast().contains(where: { $0 == "*" || $0 == "?" })
        else { return false }
        return other.path.description.hasPrefix(path.description.dropLast())
    }
}

/// Paths as routes see them: percent-encoded letters, digits and `-._~` decoded, dots resolved, no two slashes in a row.
enum NormalPath {
    /// - Returns: nil where the path has no other form.
    static func normalised(_ path: Span<UInt8>) -> [UInt8]? {
        guard needsIt(path) else { return nil }
        var decoded: [UInt8] = []
        var place = 0
        while place < path.count {
            if path[place] == 0x25, place + 2 < path.count, let high = path[place + 1].hexadecimalValue,
                let low = path[place + 2].hexadecimalValue
            {
                let byte = high << 4 | low
                if isUnreserved(byte) {
                    decoded.append(byte)
                } else {
                    decoded.append(contentsOf: [0x25, path[place + 1].uppercased, path[place + 2].uppercased])
                }
                place += 3
            } else {
                decoded.append(path[place])
                place += 1
            }
        }
        var segments: [ArraySlice<UInt8>] = []
        let parts = decoded.split(separator: 0x2F, omittingEmptySubsequences: true)
        for part in parts {
            if part.elementsEqual([0x2E]) { continue }
            if part.elementsEqual([0x2E, 0x2E]) {
                _ = segments.popLast()
            } else {
                segments.append(part)
            }
        }
        var result: [UInt8] = []
        for segment in segments {
            result.append(0x2F)
            result.append(contentsOf: segment)
        }
        let last = parts.last.map(Array.init) ?? []
        if decoded.last == 0x2F || result.isEmpty || last == [0x2E] || last == [0x2E, 0x2E] { result.append(0x2F) }
        return result
    }

    /// Whether something in it is encoded twice: `%25` and two hexadecimal digits; or encodes a byte that must not be
    /// there: NUL, a slash, a backslash.
    static func isEncodedTwice(_ path: Span<UInt8>) -> Bool {
        var place = 0
        while place + 2 < path.count {
            guard path[place] == 0x25 else {
                place += 1
                continue
            }
            guard let high = path[place + 1].hexadecimalValue, let low = path[place + 2].hexadecimalValue else {
                return true
            }
            let byte = high << 4 | low
            if byte < 0x20 || byte == 0x2F || byte == 0x5C || byte == 0x7F { return true }
            if byte == 0x25, place + 4 < path.count, path[place + 3].hexadecimalValue != nil,
                path[place + 4].hexadecimalValue != nil
            {
                return true
            }
            place += 3
        }
        // A percent sign that nothing follows.
        while place < path.count {
            if path[place] == 0x25 { return true }
            place += 1
        }
        return false
    }

    private static func needsIt(_ path: Span<UInt8>) -> Bool {
        var previous: UInt8 = 0
        for index in 0..<path.count {
            let byte = path[index]
            if byte == 0x25 || previous == 0x2F && (byte == 0x2F || byte == 0x2E) { return true }
            previous = byte
        }
        return false
    }

    private static func isUnreserved(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x61...0x7A, 0x41...0x5A, 0x30...0x39, 0x2D, 0x2E, 0x5F, 0x7E: true
        default: false
        }
    }
}

extension UInt8 {
    var uppercased: UInt8 { self >= 0x61 && self <= 0x7A ? self & 0xDF : self }
}

/// The rules of requests that a pattern matches, and who answers them. Only for the loop's thread.
final class Route {
    let rules: RouteRules
    let pool: UpstreamPool
    let metrics: RouteMetrics

    init(_ rules: RouteRules, _ pool: UpstreamPool, _ metrics: GatewayMetrics) {
        (self.rules, self.pool) = (rules, pool)
        self.metrics = RouteMetrics(metrics, route: rules.name)
    }
}
