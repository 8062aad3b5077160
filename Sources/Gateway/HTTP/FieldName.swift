import Runtime

/// The fields that the gateway itself understands. All others are passed on as they are named.
enum FieldName: String, CaseIterable, Sendable {
    case other = ""
    case accept
    case acceptEncoding = "accept-encoding"
    case acceptRanges = "accept-ranges"
    case age
    case authorization
    case cacheControl = "cache-control"
    case cacheStatus = "cache-status"
    case cdnCacheControl = "cdn-cache-control"
    case connection
    case contentEncoding = "content-encoding"
    case contentLength = "content-length"
    case contentLocation = "content-location"
    case contentRange = "content-range"
    case contentType = "content-type"
    case cookie
    case date
    case etag
    case expect
    case expires
    case forwarded
    case host
    case idempotencyKey = "idempotency-key"
    case ifMatch = "if-match"
    case ifModifiedSince = "if-modified-since"
    case ifNoneMatch = "if-none-match"
    case ifRange = "if-range"
    case ifUnmodifiedSince = "if-unmodified-since"
    case keepAlive = "keep-alive"
    case lastModified = "last-modified"
    case location
    case origin
    case pragma
    case range
    case serverTiming = "server-timing"
    case setCookie = "set-cookie"
    case surrogateKey = "surrogate-key"
    case te
    case traceparent
    case trailer
    case transferEncoding = "transfer-encoding"
    case upgrade
    case userAgent = "user-agent"
    case vary
    case via
    case warning
    case xRealIP = "x-real-ip"
    case xRequestID = "x-request-id"

    private struct Known: Sendable {
        let bytes: [UInt8]
        let name: FieldName
    }

    /// By length.
    private static let known: [[Known]] = {
        var table: [[Known]] = []
        for name in allCases where name != .other {
            let bytes = Array(name.rawValue.utf8)
            while table.count <= bytes.count { table.append([]) }
            table[bytes.count].append(Known(bytes: bytes, name: name))
        }
        return table
    }()

    init(_ text: Span<UInt8>) {
        self = .other
        let table = Self.known
        guard text.count < table.count else { return }
        for candidate in table[text.count] where text.isSameWord(as: candidate.bytes) {
            self = candidate.name
            return
        }
    }

    /// Fields that speak of one connection, and are never passed on (RFC 9110 §7.6.1). `proxy-…` is told by its name.
    var isOfConnection: Bool {
        switch self {
        case .connection, .keepAlive, .te, .transferEncoding, .upgrade: true
        default: false
        }
    }

    /// Fields that may not stand in trailers, because the message would have to be read anew with them (RFC 9110 §6.5.1).
    var isForbiddenInTrailers: Bool {
        switch self {
        case .contentLength, .transferEncoding, .host, .connection, .te, .trailer, .upgrade, .contentEncoding,
            .contentType, .contentRange, .authorization, .cookie, .setCookie, .cacheControl, .expect, .range, .vary,
            .forwarded, .xRealIP, .age, .expires, .date, .location, .keepAlive:
            true
        default: false
        }
    }
}

extension UInt8 {
    var isUpper: Bool { self >= 0x41 && self <= 0x5A }
    var isDigit: Bool { self >= 0x30 && self <= 0x39 }
    var lowercased: UInt8 { isUpper ? self | 0x20 : self }

    /// The value of a hexadecimal digit.
    var hexadecimalValue: UInt8? {
        switch self {
        case 0x30...0x39: self - 0x30
        case 0x41...0x46: self - 0x37
        case 0x61...0x66: self - 0x57
        default: nil
        }
    }

    /// What a token may consist of (RFC 9110 §5.6.2).
    var isTokenByte: Bool {
        switch self {
        case 0x61...0x7A, 0x41...0x5A, 0x30...0x39: true
        case 0x21, 0x23...0x27, 0x2A, 0x2B, 0x2D, 0x2E, 0x5E, 0x5F, 0x60, 0x7C, 0x7E: true
        default: false
        }
    }

    /// What the value of a field may consist of: visible bytes, spaces, tabs, and what is no ASCII.
    var isValueByte: Bool { self >= 0x20 && self != 0x7F || self == 0x09 }

    var isBlank: Bool { self == 0x20 || self == 0x09 }
}

extension Span where Element == UInt8 {
    /// Whether it is this word, which is given in lower case.
    func isSameWord(as word: [UInt8]) -> Bool {
        guard count == word.count else { return false }
        for index in 0..<word.count where self[index].lowercased != word[index] { return false }
        return true
    }

    func isSameWord(as word: StaticString) -> Bool { isSameWord(as: Array(word.description.utf8)) }

    /// Whether it begins with this word, which is given in lower case.
    func hasWordPrefix(_ word: [UInt8]) -> Bool {
        count >= word.count && extracting(0..<word.count).isSameWord(as: word)
    }

    func holds(_ byte: UInt8) -> Bool { firstPlace(of: byte, in: 0..<count) < count }

    var text: String {
        var copy: [UInt8] = []
        copy.append(bytes: self)
        return String(decoding: copy, as: UTF8.self)
    }

    var lowercasedBytes: [UInt8] {
        var copy: [UInt8] = []
        copy.reserveCapacity(count)
        for index in 0..<count { copy.append(self[index].lowercased) }
        return copy
    }

    /// A range without the spaces and tabs around what it holds.
    func trimmed(_ range: Range<Int>) -> Range<Int> {
        var (lower, upper) = (range.lowerBound, range.upperBound)
        while lower < upper, self[lower].isBlank { lower += 1 }
        while lower < upper, self[upper - 1].isBlank { upper -= 1 }
        return lower..<upper
    }
}
