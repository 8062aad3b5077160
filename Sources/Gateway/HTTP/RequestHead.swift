import Runtime

/// What a client asks for.
enum Method: String, CaseIterable, Sendable {
    case get = "GET"
    case head = "HEAD"
    case post = "POST"
    case put = "PUT"
    case delete = "DELETE"
    case patch = "PATCH"
    case options = "OPTIONS"
    case trace = "TRACE"
    case connect = "CONNECT"
    case other

    init(_ text: Span<UInt8>) {
        // By length first: most are one comparison.
        switch text.count {
        case 3: self = text.isSame("GET", upTo: 3) ? .get : text.isSame("PUT", upTo: 3) ? .put : .other
        case 4: self = text.isSame("POST", upTo: 4) ? .post : text.isSame("HEAD", upTo: 4) ? .head : .other
        case 5: self = text.isSame("PATCH", upTo: 5) ? .patch : text.isSame("TRACE", upTo: 5) ? .trace : .other
        case 6: self = text.isSame("DELETE", upTo: 6) ? .delete : .other
        case 7: self = text.isSame("OPTIONS", upTo: 7) ? .options : text.isSame("CONNECT", upTo: 7) ? .connect : .other
        default: self = .other
        }
    }

    /// Asks for nothing to be changed (RFC 9110 §9.2.1).
    var isSafe: Bool { self == .get || self == .head || self == .options || self == .trace }
    /// May be asked twice with the effect of once (RFC 9110 §9.2.2).
    var isIdempotent: Bool { isSafe || self == .put || self == .delete }
}

/// How the end of a body is known.
enum Framing: Sendable, Equatable {
    case none
    case length(Int)
    case chunked
    /// Until the connection ends; of answers only.
    case untilClose

    /// - Returns: nil for what is no plain decimal number of at most 18 digits.
    static func length(_ text: Span<UInt8>) -> Int? {
        guard (1...18).contains(text.count) else { return nil }
        var value = 0
        for index in 0..<text.count {
            guard text[index].isDigit else { return nil }
            value = value * 10 + Int(text[index] - 0x30)
        }
        return value
    }
}

/// A request's head, understood. Nothing of it is ambiguous any more.
struct RequestHead: Sendable {
    var head: Head
    let method: Method
    let methodName: Range<Int>
    /// With the query; origin form (`/a?b`), or `*`.
    let target: Range<Int>
    /// Empty where a client of HTTP/1.0 names none.
    let host: Range<Int>
    let isHTTP11: Bool
    let framing: Framing
    let keepsAlive: Bool
    let expectsContinue: Bool
    let wantsWebSocket: Bool
    /// What `Connection` names, but for the words that mean something here.
    let named: [Range<Int>]

    /// - Parameters:
    ///   - input: from the head's first byte.
    ///   - reader: has read all of it.
    static func understand(_ input: Span<UInt8>, length: Int, _ reader: HeadReader) -> Result<RequestHead, HTTPFault> {
        do throws(HTTPFault) {
            return .success(try RequestHead(input, length: length, reader))
        } catch {
            return .failure(error)
        }
    }

    private init(_ input: Span<UInt8>, length: Int, _ reader: HeadReader) throws(HTTPFault) {
        guard let line = reader.firstLine else { throw .requestLine }
        let (methodName, target, isHTTP11) = try Self.requestLine(line, input)
        let method = Method(input.extracting(methodName))
        var options = ConnectionOptions()
        var (lengthField, codingField, hostField, expectField): (Range<Int>?, Range<Int>?, Range<Int>?, Range<Int>?)
        var upgrade: Range<Int>?
        for field in reader.fields {
            switch field.id {
            case .contentLength:
                guard lengthField == nil else { throw .contentLength }
                lengthField = field.value
            case .transferEncoding:
                guard codingField == nil else { throw .transferEncoding }
                codingField = field.value
            case .host:
                guard hostField == nil else { throw .host }
                hostField = field.value
            case .expect:
                guard expectField == nil else { throw .expectation }
                expectField = field.value
            case .connection: try options.add(field.value, input)
            case .upgrade: upgrade = upgrade == nil ? field.value : field.value.lowerBound..<field.value.lowerBound
            default: break
            }
        }
        framing = try Self.framing(lengthField, codingField, isHTTP11: isHTTP11, input)
        (self.target, host) = try Self.place(target, hostField, method, isHTTP11: isHTTP11, input)
        if method == .trace, framing != .none { throw .bodyForbidden }
        self.method = method
        self.methodName = methodName
        self.isHTTP11 = isHTTP11
        keepsAlive = isHTTP11 ? !options.closes : options.keepsAlive && !options.closes
        if isHTTP11, let expectField {
            guard input.extracting(expectField).isSameWord(as: "100-continue") else { throw .expectation }
            expectsContinue = framing != .none && framing != .length(0)
        } else {
            expectsContinue = false
        }
        let isWebSocket = upgrade.map { input.extracting($0).isSameWord(as: "websocket") } ?? false
        wantsWebSocket = isWebSocket && options.upgrades && isHTTP11 && method == .get && framing == .none
        named = options.named
        var bytes: [UInt8] = []
        bytes.append(bytes: input.extracting(0..<length))
        head = Head(bytes: bytes, fields: reader.fields)
    }

    private static func requestLine(
        _ line: Range<Int>, _ input: Span<UInt8>
    ) throws(HTTPFault) -> (method: Range<Int>, target: Range<Int>, isHTTP11: Bool) {
        var place = line.lowerBound
        while place < line.upperBound, input[place].isTokenByte { place += 1 }
        let method = line.lowerBound..<place
        guard (1...32).contains(method.count), place < line.upperBound, input[place] == 0x20 else { throw .requestLine }
        place += 1
        let start = place
        while place < line.upperBound, input[place] > 0x20, input[place] < 0x7F { place += 1 }
        let target = start..<place
        guard !target.isEmpty, place < line.upperBound, input[place] == 0x20 else {
            throw place < line.upperBound && input[place] != 0x20 ? .forbiddenByte : .requestLine
        }
        let version = place + 1..<line.upperBound
        guard version.count == 8, input.extracting(version).isSame("HTTP/", upTo: 5),
            input[version.lowerBound + 5].isDigit, input[version.lowerBound + 6] == 0x2E,
            input[version.lowerBound + 7].isDigit
        else { throw .requestLine }
        guard input[version.lowerBound + 5] == 0x31, input[version.lowerBound + 7] <= 0x31 else { throw .version }
        return (method, target, input[version.lowerBound + 7] == 0x31)
    }

    private static func framing(
        _ length: Range<Int>?, _ coding: Range<Int>?, isHTTP11: Bool, _ input: Span<UInt8>
    ) throws(HTTPFault) -> Framing {
        if let coding {
            guard length == nil else { throw .bothFramings }
            guard isHTTP11, input.extracting(coding).isSameWord(as: "chunked") else { throw .transferEncoding }
            return .chunked
        }
        guard let length else { return .none }
        guard let count = Framing.length(input.extracting(length)) else { throw .contentLength }
        return .length(count)
    }

    /// Whom and what the request is for: a whole URL has to name the same host as `Host` does.
    private static func place(
        _ target: Range<Int>, _ host: Range<Int>?, _ method: Method, isHTTP11: Bool, _ input: Span<UInt8>
    ) throws(HTTPFault) -> (target: Range<Int>, host: Range<Int>) {
        guard let host = host ?? (isHTTP11 ? nil : target.lowerBound..<target.lowerBound) else { throw .host }
        if isHTTP11 || !host.isEmpty {
            guard HostField.isValid(input.extracting(host)) else { throw .host }
        }
        guard !input.extracting(target).holds(0x23) else { throw .target }
        if input[target.lowerBound] == 0x2F { return (target, host) }
        if target.count == 1, input[target.lowerBound] == 0x2A, method == .options { return (target, host) }
        // CONNECT names an authority, for which this is no proxy; it is refused by its method.
        if method == .connect { return (target, host) }
        let schemes: [StaticString] = ["http://", "https://"]
        for scheme in schemes where input.extracting(target).hasWordPrefix(Array(scheme.description.utf8)) {
            let start = target.lowerBound + scheme.utf8CodeUnitCount
            var end = start
            while end < target.upperBound, input[end] != 0x2F, input[end] != 0x3F { end += 1 }
            // A URL without a path would have to be rewritten; nobody sends one but to confuse.
            guard end < target.upperBound, input[end] == 0x2F else { throw .target }
            guard input.extracting(start..<end).isSameWord(as: input.extracting(host).lowercasedBytes) else {
                throw .host
            }
            return (end..<target.upperBound, host)
        }
        throw .target
    }

    var path: Range<Int> {
        let question = head.bytes.span.firstPlace(of: 0x3F, in: target)
        return target.lowerBound..<question
    }

    /// Without the question mark; nil where there is none.
    var query: Range<Int>? {
        let question = head.bytes.span.firstPlace(of: 0x3F, in: target)
        return question < target.upperBound ? question + 1..<target.upperBound : nil
    }
}

/// What `Connection` says.
struct ConnectionOptions {
    private(set) var closes = false
    private(set) var keepsAlive = false
    private(set) var upgrades = false
    private(set) var named: [Range<Int>] = []
    private static let most = 32
    // Made once: every request and every answer is compared with them.
    private static let close = Array("close".utf8)
    private static let keepAlive = Array("keep-alive".utf8)
    private static let upgrade = Array("upgrade".utf8)

    mutating func add(_ list: Range<Int>, _ input: Span<UInt8>) throws(HTTPFault) {
        var start = list.lowerBound
        while start < list.upperBound {
            let comma = input.firstPlace(of: 0x2C, in: start..<list.upperBound)
            let option = input.trimmed(start..<comma)
            start = comma + 1
            guard !option.isEmpty else { continue }
            let word = input.extracting(option)
            if word.isSameWord(as: Self.close) {
                closes = true
            } else if word.isSameWord(as: Self.keepAlive) {
                keepsAlive = true
            } else if word.isSameWord(as: Self.upgrade) {
                upgrades = true
            } else {
                guard named.count < Self.most else { throw .connectionOptions }
                for index in option where !input[index].isTokenByte { throw .connectionOptions }
                named.append(option)
            }
        }
    }
}

/// Names of hosts, as `Host` and URLs give them.
enum HostField {
    /// A name or an address in brackets, and perhaps a port.
    static func isValid(_ text: Span<UInt8>) -> Bool {
        guard (1...255).contains(text.count) else { return false }
        var place = 0
        if text[0] == 0x5B {
            place = text.firstPlace(of: 0x5D, in: 0..<text.count)
            guard place < text.count, place > 2 else { return false }
            for index in 1..<place {
                guard text[index].hexadecimalValue != nil || text[index] == 0x3A || text[index] == 0x2E else {
                    return false
                }
            }
            place += 1
        } else {
            while place < text.count, isNameByte(text[place]) { place += 1 }
            guard place > 0 else { return false }
        }
        guard place < text.count else { return true }
        guard text[place] == 0x3A, text.count - place <= 6 else { return false }
        for index in place + 1..<text.count where !text[index].isDigit { return false }
        return true
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x61...0x7A, 0x41...0x5A, 0x30...0x39, 0x2D, 0x2E, 0x5F, 0x7E: true
        default: false
        }
    }
}

extension Span where Element == UInt8 {
    /// Whether the first bytes are these, exactly.
    func isSame(_ text: StaticString, upTo count: Int) -> Bool {
        guard self.count >= count, text.utf8CodeUnitCount == count else { return false }
        var index = 0
        for byte in text.description.utf8 {
            guard self[index] == byte else { return false }
            index += 1
        }
        return true
    }
}
