import Network
import Runtime

/// Which answers are made smaller on their way.
public struct CompressionRules: Sendable, Equatable {
    public var leastBytes = 512
    /// In lower case; `text/*` for all of a kind.
    public var types = [
        "text/*", "application/json", "application/javascript", "application/xml", "application/*+json",
        "application/*+xml", "application/wasm", "application/manifest+json", "image/svg+xml", "font/ttf", "font/otf",
    ]
    /// Also answers that set cookies: where they reflect what others may choose, their secrets can be guessed from their
    /// length (BREACH).
    public var includesCookies = false
    public var budgetMs = 5.0

    public init() {}
}

/// What a client takes (RFC 9110 §12.5.3).
enum AcceptedCoding {
    /// The best of ours by its q-values; of equals Brotli. Nil for the body as it is, as for a client that says nothing.
    static func best(_ list: [UInt8]?) -> BodyEncoder.Coding? {
        guard let list else { return nil }
        var (brotli, gzip, any): (Int?, Int?, Int?) = (nil, nil, nil)
        var identity: Int?
        for part in list.split(separator: 0x2C) {
            let words = part.split(separator: 0x3B, omittingEmptySubsequences: false).map { word in
                word.filter { !$0.isBlank }.map(\.lowercased)
            }
            guard let name = words.first else { continue }
            var weight = 1000
            for word in words.dropFirst() where word.starts(with: [0x71, 0x3D]) { weight = quality(word.dropFirst(2)) }
            switch String(decoding: name, as: UTF8.self) {
            case "br": brotli = weight
            case "gzip", "x-gzip": gzip = weight
            case "identity": identity = weight
            case "*": any = weight
            default: break
            }
        }
        let (b, g) = (brotli ?? any ?? 0, gzip ?? any ?? 0)
        guard max(b, g) > 0, max(b, g) >= identity ?? 0 else { return nil }
        return b >= g ? .brotli : .gzip
    }

    /// Thousandths; 0 for what is no weight.
    private static func quality(_ text: ArraySlice<UInt8>) -> Int {
        guard let first = text.first, first == 0x30 || first == 0x31 else { return 0 }
        let rest = text.dropFirst()
        guard !rest.isEmpty else { return first == 0x31 ? 1000 : 0 }
        guard rest.first == 0x2E, rest.count <= 4 else { return 0 }
        var value = first == 0x31 ? 1000 : 0
        var unit = 100
        for digit in rest.dropFirst() {
            guard digit.isDigit else { return 0 }
            value += Int(digit - 0x30) * unit
            unit /= 10
        }
        return min(1000, value)
    }
}

/// Chooses how hard to try: the best level that, as measured so far, takes no more than its budget of CPU for a body. Only for
/// the loop's thread.
struct CompressionLevels {
    /// The first is tried first. What 87 kB of JSON took for a megabyte: br 4 9 ms, br 1 5 ms; gzip 6 17 ms, gzip 1 7 ms.
    private static let brotli: [(level: Int, ns: Double)] = [(4, 12), (2, 8), (1, 6)]
    private static let gzip: [(level: Int, ns: Double)] = [(6, 20), (4, 14), (1, 9)]
    /// Nanoseconds a byte by level.
    private var brotliNs = brotli.map(\.ns)
    private var gzipNs = gzip.map(\.ns)

    /// - Parameter bytes: of the body; nil where that is not known.
    func choose(_ coding: BodyEncoder.Coding, bytes: Int?, budgetMs: Double) -> Int {
        let levels = coding == .brotli ? Self.brotli : Self.gzip
        let costs = coding == .brotli ? brotliNs : gzipNs
        guard let bytes else { return levels[1].level }
        for (index, choice) in levels.enumerated() where costs[index] * Double(bytes) <= budgetMs * 1e6 {
            return choice.level
        }
        return levels[levels.count - 1].level
    }

    mutating func took(_ coding: BodyEncoder.Coding, level: Int, bytes: Int, ns: Int) {
        // What little takes says more of starting than of going on.
        guard bytes >= 4096 else { return }
        let cost = Double(ns) / Double(bytes)
        let levels = coding == .brotli ? Self.brotli : Self.gzip
        guard let index = levels.firstIndex(where: { $0.level == level }) else { return }
        if coding == .brotli {
            brotliNs[index] += (cost - brotliNs[index]) * 0.1
        } else {
            gzipNs[index] += (cost - gzipNs[index]) * 0.1
        }
    }
}

extension CompressionRules {
    /// Whether an answer may be made smaller, whatever its client takes.
    func suit(_ status: Int, length: Int?, type: ArraySlice<UInt8>?, isCoded: Bool, noTransform: Bool, setsCookie: Bool)
        -> Bool
    {
        guard status >= 200, status != 204, status != 206, status != 304, !isCoded, !noTransform else { return false }
        guard length.map({ $0 >= leastBytes }) ?? true, !setsCookie || includesCookies, let type else { return false }
        let name = String(decoding: type.prefix { $0 != 0x3B }.filter { !$0.isBlank }.map(\.lowercased), as: UTF8.self)
        guard name != "text/event-stream" else { return false }
        return types.contains { pattern in
            guard let star = pattern.firstIndex(of: "*") else { return name == pattern }
            return name.hasPrefix(pattern[..<star]) && name.hasSuffix(pattern[pattern.index(after: star)...])
        }
    }
}
