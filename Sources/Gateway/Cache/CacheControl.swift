import Runtime

/// What `Cache-Control` says, in a request or an answer (RFC 9111 §5.2). Of a directive that stands twice the stricter counts,
/// and a number that is none is 0.
struct CacheControl {
    var isThere = false
    var noStore = false
    var noCache = false
    /// In lower case; the answer may be used without asking, but for these fields.
    var noCacheFields: [[UInt8]] = []
    var isPrivate = false
    var isPublic = false
    var maxAge: Int?
    var sharedMaxAge: Int?
    var mustRevalidate = false
    var proxyRevalidate = false
    var mustUnderstand = false
    var noTransform = false
    var onlyIfCached = false
    /// `Int.max` for any.
    var maxStale: Int?
    var minFresh: Int?
    var staleWhileRevalidate: Int?
    var staleIfError: Int?

    init() {}

    /// - Parameter list: the values of all fields of the name, as one list; nil for none.
    init(_ list: [UInt8]?) {
        guard let list else { return }
        isThere = true
        for (name, value) in Directives.read(list) { take(name, value) }
    }

    /// Whether a shared cache may not use it beyond its time, whatever clients say.
    var forbidsStale: Bool { mustRevalidate || proxyRevalidate || sharedMaxAge != nil || noCache }

    private mutating func take(_ name: String, _ value: [UInt8]?) {
        func seconds() -> Int { value.flatMap { Self.seconds($0[...]) } ?? 0 }
        func least(_ known: Int?) -> Int { min(known ?? .max, seconds()) }
        switch name {
        case "no-store": noStore = true
        case "no-cache":
            guard let value else {
                noCache = true
                return
            }
            let names = value.split(separator: 0x2C).map { Array($0.filter { !$0.isBlank }.map(\.lowercased)) }
            if names.isEmpty { noCache = true } else { noCacheFields += names }
        case "private": isPrivate = true
        case "public": isPublic = true
        case "max-age": maxAge = least(maxAge)
        case "s-maxage": sharedMaxAge = least(sharedMaxAge)
        case "must-revalidate": mustRevalidate = true
        case "proxy-revalidate": proxyRevalidate = true
        case "must-understand": mustUnderstand = true
        case "no-transform": noTransform = true
        case "only-if-cached": onlyIfCached = true
        case "max-stale": maxStale = value == nil ? .max : least(maxStale)
        case "min-fresh": minFresh = max(minFresh ?? 0, seconds())
        case "stale-while-revalidate": staleWhileRevalidate = least(staleWhileRevalidate)
        case "stale-if-error": staleIfError = least(staleIfError)
        default: break
        }
    }

    /// Seconds, at most 2^31 (RFC 9111 §1.2.2); nil for what is no whole number.
    static func seconds(_ text: ArraySlice<UInt8>) -> Int? {
        guard !text.isEmpty, text.allSatisfy(\.isDigit) else { return nil }
        var value = 0
        for byte in text { value = min(1 << 31, value * 10 + Int(byte - 0x30)) }
        return value
    }
}

/// Lists such as `a, b=c, d="e, f"`.
enum Directives {
    /// Names in lower case.
    static func read(_ list: [UInt8]) -> [(name: String, value: [UInt8]?)] {
        var result: [(name: String, value: [UInt8]?)] = []
        var place = 0
        while place < list.count {
            while place < list.count, list[place].isBlank || list[place] == 0x2C { place += 1 }
            let start = place
            while place < list.count, list[place] != 0x2C, list[place] != 0x3D, !list[place].isBlank { place += 1 }
            guard place > start else { continue }
            let name = String(decoding: list[start..<place].map(\.lowercased), as: UTF8.self)
            var value: [UInt8]?
            if place < list.count, list[place] == 0x3D {
                place += 1
                if place < list.count, list[place] == 0x22 {
                    place += 1
                    var text: [UInt8] = []
                    while place < list.count, list[place] != 0x22 {
                        if list[place] == 0x5C, place + 1 < list.count { place += 1 }
                        text.append(list[place])
                        place += 1
                    }
                    value = text
                } else {
                    let begin = place
                    while place < list.count, list[place] != 0x2C { place += 1 }
                    value = Array(list.span.trimmedBytes(begin..<place))
                }
            }
            while place < list.count, list[place] != 0x2C { place += 1 }
            result.append((name, value))
            guard result.count < 64 else { break }
        }
        return result
    }
}

extension Span where Element == UInt8 {
    fileprivate func trimmedBytes(_ range: Range<Int>) -> [UInt8] {
        var copy: [UInt8] = []
        copy.append(bytes: extracting(trimmed(range)))
        return copy
    }
}
