import Runtime

/// A request's first line and header fields, read as RFC 9112 asks servers to read what may have passed a proxy: whatever two
/// programs could take for different requests is refused.
struct RequestHead {
    let method: String
    /// Percent-decoded, without the query.
    let path: String
    let query: [(name: String, value: String)]
    /// Names in lower case.
    let fields: [(name: String, value: String)]
    let isVersion10: Bool
    let body: Body

    enum Body: Equatable {
        case none
        case length(Int)
        case chunked
    }

    /// Why a request is not served.
    struct Fault: Error, Equatable {
        let status: Int
        let reason: String

        static func bad(_ reason: String) -> Fault { Fault(status: 400, reason: reason) }
    }

    static let limitBytes = 64 << 10
    private static let fieldLimit = 100
    /// Of empty lines ahead of a request, which some clients send.
    private static let blankBytes = 16

    func field(_ name: String) -> String? { fields.first { $0.name == name }?.value }

    /// Whether the connection may serve another request after this one.
    var keepsAlive: Bool {
        let words = (field("connection") ?? "").lowercased().split(separator: ",").map { $0.trimmingBlanks }
        return isVersion10 ? words.contains("keep-alive") : !words.contains("close")
    }

    /// Reads the head at the beginning of `bytes`.
    ///
    /// - Returns: how long it is; nil when it is not complete. Empty lines ahead of it belong to it.
    static func read(_ bytes: Span<UInt8>) throws(Fault) -> (head: RequestHead, length: Int)? {
        var lines: [[UInt8]] = []
        var line: [UInt8] = []
        var at = 0
        while at < bytes.count {
            guard at < limitBytes else {
                throw lines.isEmpty
                    ? Fault(status: 414, reason: "the address is too long")
                    : Fault(status: 431, reason: "the header is too long")
            }
            let byte = bytes[at]
            at += 1
            switch byte {
            case 0x0D:
                guard at < bytes.count else { return nil }
                guard bytes[at] == 0x0A else { throw .bad("a carriage return without a line feed") }
                at += 1
                if line.isEmpty, lines.isEmpty {
                    guard at <= blankBytes else { throw .bad("too many empty lines") }
                    continue
                }
                guard !line.isEmpty else { return (try parse(lines), at) }
                guard lines.count <= fieldLimit else {
                    throw Fault(status: 431, reason: "more than \(fieldLimit) header fields")
                }
                lines.append(line)
                line = []
            case 0x0A: throw .bad("a line feed without a carriage return")
            case 0: throw .bad("a zero byte in the header")
            default:
                // What does not begin as HTTP will not become it.
                if lines.isEmpty, line.isEmpty, !isToken(byte) { throw .bad("this is not HTTP") }
                line.append(byte)
            }
        }
        return nil
    }

    private static func parse(_ lines: [[UInt8]]) throws(Fault) -> RequestHead {
        let words = lines[0].split(separator: 0x20, omittingEmptySubsequences: false)
        guard words.count == 3, !words[0].isEmpty, words[0].allSatisfy(isToken), words[0].count <= 32 else {
            throw .bad("the first line is no request")
        }
        let isVersion10: Bool
        switch String(decoding: words[2], as: UTF8.self) {
        case "HTTP/1.1": isVersion10 = false
        case "HTTP/1.0": isVersion10 = true
        case let other where other.hasPrefix("HTTP/"):
            throw Fault(status: 505, reason: "HTTP/1.1 is spoken here")
        default: throw .bad("the first line is no request")
        }
        var fields: [(name: String, value: String)] = []
        fields.reserveCapacity(lines.count - 1)
        for line in lines.dropFirst() { fields.append(try field(line)) }
        let target = try Self.target(words[1])
        let hosts = fields.filter { $0.name == "host" }
        guard hosts.count == 1 || hosts.isEmpty && isVersion10 else {
            throw .bad(hosts.isEmpty ? "no Host" : "more than one Host")
        }
        return RequestHead(
            method: String(decoding: words[0], as: UTF8.self), path: target.path, query: target.query, fields: fields,
            isVersion10: isVersion10, body: try body(fields, isVersion10: isVersion10))
    }

    private static func field(_ line: [UInt8]) throws(Fault) -> (name: String, value: String) {
        guard line[0] != 0x20, line[0] != 0x09 else { throw .bad("a folded header field") }
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > 0, line[..<colon].allSatisfy(isToken) else {
            throw .bad("a header field without a proper name")
        }
        let value = line[(colon + 1)...]
        guard value.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }) else {
            throw .bad("a control character in a header field")
        }
        return (
            String(decoding: line[..<colon], as: UTF8.self).lowercased(),
            String(decoding: value, as: UTF8.self).trimmingBlanks
        )
    }

    private static func body(_ fields: [(name: String, value: String)], isVersion10: Bool) throws(Fault) -> Body {
        let lengths = fields.filter { $0.name == "content-length" }
        let codings = fields.filter { $0.name == "transfer-encoding" }
        guard codings.isEmpty else {
            guard lengths.isEmpty else { throw .bad("Content-Length beside Transfer-Encoding") }
            guard !isVersion10 else { throw .bad("Transfer-Encoding in HTTP/1.0") }
            guard codings.count == 1, codings[0].value.lowercased() == "chunked" else {
                throw Fault(status: 501, reason: "only the transfer coding chunked is read here")
            }
            return .chunked
        }
        guard let first = lengths.first else { return .none }
        guard lengths.count == 1, !first.value.isEmpty, first.value.utf8.allSatisfy({ (48...57).contains($0) }) else {
            throw .bad("no single Content-Length")
        }
        guard let length = Int(first.value) else { throw Fault(status: 413, reason: "body too long") }
        return length == 0 ? .none : .length(length)
    }

    private static func target(_ text: ArraySlice<UInt8>) throws(Fault) -> (
        path: String, query: [(name: String, value: String)]
    ) {
        guard text.allSatisfy({ $0 > 0x20 && $0 != 0x7F }) else { throw .bad("the address is not one") }
        var rest = text
        if rest.first != UInt8(ascii: "/") {
            if rest.elementsEqual([UInt8(ascii: "*")]) { return ("*", []) }
            // The absolute form, as proxies are asked: whom it names is said by `Host` as well.
            let shown = String(decoding: rest.prefix(8), as: UTF8.self).lowercased()
            let skipped = shown.hasPrefix("http://") ? 7 : shown.hasPrefix("https://") ? 8 : 0
            guard skipped > 0 else { throw .bad("the address is not one") }
            rest = rest.dropFirst(skipped).drop { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") }
            if rest.first != UInt8(ascii: "/") { rest = ([UInt8(ascii: "/")] + rest)[...] }
        }
        let end = rest.firstIndex(of: UInt8(ascii: "?")) ?? rest.endIndex
        let path = Percent.decoded(rest[..<end], plusIsSpace: false)
        guard !path.contains(0) else { throw .bad("a zero byte in the address") }
        var query: [(name: String, value: String)] = []
        for part in rest[end...].dropFirst().split(separator: UInt8(ascii: "&")) {
            let middle = part.firstIndex(of: UInt8(ascii: "=")) ?? part.endIndex
            query.append(
                (
                    String(decoding: Percent.decoded(part[..<middle], plusIsSpace: true), as: UTF8.self),
                    String(decoding: Percent.decoded(part[middle...].dropFirst(), plusIsSpace: true), as: UTF8.self)
                ))
        }
        return (String(decoding: path, as: UTF8.self), query)
    }

    private static func isToken(_ byte: UInt8) -> Bool {
        switch byte {
        case 48...57, 65...90, 97...122: true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }
}

/// `%41` is an A; what is no such triple stands for itself.
private enum Percent {
    static func decoded(_ text: ArraySlice<UInt8>, plusIsSpace: Bool) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count)
        var at = text.startIndex
        while at < text.endIndex {
            if text[at] == UInt8(ascii: "%"), text.endIndex - at > 2, let high = digit(text[at + 1]),
                let low = digit(text[at + 2])
            {
                bytes.append(high << 4 | low)
                at += 3
                continue
            }
            bytes.append(plusIsSpace && text[at] == UInt8(ascii: "+") ? 0x20 : text[at])
            at += 1
        }
        return bytes
    }

    private static func digit(_ byte: UInt8) -> UInt8? { Character(Unicode.Scalar(byte)).hexDigitValue.map(UInt8.init) }
}

extension StringProtocol {
    /// Without spaces and tabs at both ends.
    fileprivate var trimmingBlanks: String {
        var text = Substring(self)
        while text.first == " " || text.first == "\t" { text.removeFirst() }
        while text.last == " " || text.last == "\t" { text.removeLast() }
        return String(text)
    }
}
