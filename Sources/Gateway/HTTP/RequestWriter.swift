import Network
import Runtime

/// What the service is told of a client beside what the client said.
struct ClientFacts {
    /// In digits; empty behind a Unix socket.
    let address: String
    /// Addresses that trusted proxies gave, the client first, as one list; empty for none.
    let forwardedFor: [UInt8]
    let isSecure: Bool
    /// Whether the connection comes from a proxy whose word is taken.
    let isTrusted: Bool
}

/// Writes the head of a request to the service anew, from what was understood of the client's.
struct RequestWriter {
    let request: RequestHead
    let facts: ClientFacts
    /// In place of the client's, where paths are passed on normalised.
    var target: [UInt8]?
    /// Fields that the gateway sets, in place of whatever the client sent under these names.
    var identity: [(name: String, value: String)] = []
    /// Every name that the gateway may set, in lower case with `-`: clients may not set them, spelt however.
    var identityNames: Set<[UInt8]> = []
    var ids: IDs
    /// Conditions are the cache's own and not the client's.
    var dropsConditions = false
    var conditions: [(name: String, value: [UInt8])] = []
    /// For a refresh: nothing of a part.
    var dropsRange = false
    /// What is asked for in place of what the client asked: GET for HEAD where the answer is kept.
    var method: Method?
    var dropsAcceptEncoding = false

    struct IDs {
        /// 32 and 16 hexadecimal digits.
        let request: [UInt8]
        let span: [UInt8]
    }

    func write(into output: inout [UInt8]) {
        let bytes = request.head.bytes
        if let method {
            output.append(contentsOf: method.rawValue.utf8)
        } else {
            output.append(contentsOf: bytes[request.methodName])
        }
        output.append(0x20)
        if let target {
            output.append(contentsOf: target)
        } else {
            output.append(contentsOf: bytes[request.target])
        }
        output.append(contentsOf: " HTTP/1.1\r\nHost: ".utf8)
        output.append(contentsOf: bytes[request.host])
        output.append(contentsOf: "\r\n".utf8)
        var (hasID, hasParent) = (false, false)
        for field in request.head.fields where isPassedOn(field, bytes.span) {
            if field.id == .xRequestID {
                guard !hasID, isID(bytes[field.value]) else { continue }
                hasID = true
            } else if field.id == .traceparent {
                guard !hasParent, isTraceParent(bytes[field.value]) else { continue }
                hasParent = true
            }
            output.append(contentsOf: bytes[field.name])
            output.append(contentsOf: ": ".utf8)
            output.append(contentsOf: bytes[field.value])
            output.append(contentsOf: "\r\n".utf8)
        }
        for condition in conditions { output.append(field: condition.name, condition.value) }
        switch request.framing {
        case .length(let count): output.append(field: "Content-Length", number: count)
        case .chunked: output.append(contentsOf: "Transfer-Encoding: chunked\r\n".utf8)
        default: break
        }
        if request.wantsWebSocket {
            output.append(contentsOf: "Connection: Upgrade\r\nUpgrade: websocket\r\n".utf8)
        }
        if request.expectsContinue { output.append(contentsOf: "Expect: 100-continue\r\n".utf8) }
        writeFacts(into: &output)
        if !hasID { output.append(field: "X-Request-Id", ids.request) }
        if !hasParent {
            output.append(contentsOf: "traceparent: 00-".utf8)
            output.append(contentsOf: ids.request)
            output.append(0x2D)
            output.append(contentsOf: ids.span)
            output.append(contentsOf: "-01\r\n".utf8)
        }
        for field in identity { output.append(field: field.name, Array(field.value.utf8)) }
        output.append(
            contentsOf: request.isHTTP11 ? "Via: 1.1 outrigger\r\n\r\n".utf8 : "Via: 1.0 outrigger\r\n\r\n".utf8)
    }

    private func writeFacts(into output: inout [UInt8]) {
        if !facts.address.isEmpty {
            output.append(contentsOf: "X-Forwarded-For: ".utf8)
            if !facts.forwardedFor.isEmpty {
                output.append(contentsOf: facts.forwardedFor)
                output.append(contentsOf: ", ".utf8)
            }
            output.append(contentsOf: facts.address.utf8)
            output.append(contentsOf: "\r\n".utf8)
        }
        guard !facts.isTrusted else { return }
        if !facts.address.isEmpty { output.append(field: "X-Real-IP", Array(facts.address.utf8)) }
        output.append(
            contentsOf: facts.isSecure ? "X-Forwarded-Proto: https\r\n".utf8 : "X-Forwarded-Proto: http\r\n".utf8)
        if !request.host.isEmpty { output.append(field: "X-Forwarded-Host", Array(request.head.bytes[request.host])) }
    }

    private func isPassedOn(_ field: Head.Field, _ bytes: Span<UInt8>) -> Bool {
        switch field.id {
        case .host, .contentLength, .expect: return false
        case .forwarded, .xRealIP: return facts.isTrusted
        case .ifNoneMatch, .ifModifiedSince, .ifMatch, .ifUnmodifiedSince: if dropsConditions { return false }
        case .range, .ifRange: if dropsRange { return false }
        case .acceptEncoding: if dropsAcceptEncoding { return false }
        case .trailer: return request.framing == .chunked
        case .other:
            let name = bytes.extracting(field.name)
            if name.hasWordPrefix(Self.proxyPrefix) { return false }
            if ForwardingNames.isOne(name) {
                // The list is written anew with the client's address behind it.
                guard facts.isTrusted, !name.isSameWord(as: Self.forwardedFor), !name.holds(0x5F), !name.holds(0x2E)
                else {
                    return false
                }
            }
            if !identityNames.isEmpty, identityNames.contains(ForwardingNames.canonical(name)) { return false }
        default:
            if field.id.isOfConnection { return false }
            if !identityNames.isEmpty, identityNames.contains(Array(field.id.rawValue.utf8)) { return false }
        }
        return !isNamed(field, bytes)
    }

    private func isNamed(_ field: Head.Field, _ bytes: Span<UInt8>) -> Bool {
        for named in request.named
        where named.count == field.name.count
            && bytes.extracting(field.name).isSameWord(as: bytes.extracting(named).lowercasedBytes)
        {
            return true
        }
        return false
    }

    private static let proxyPrefix = Array("proxy-".utf8)
    private static let forwardedFor = Array("x-forwarded-for".utf8)

    private func isID(_ value: ArraySlice<UInt8>) -> Bool {
        (1...128).contains(value.count) && value.allSatisfy { $0 > 0x20 && $0 < 0x7F }
    }

    /// `00-`, 32 digits, `-`, 16 digits, `-`, 2 digits (W3C Trace Context); later versions may be longer.
    private func isTraceParent(_ value: ArraySlice<UInt8>) -> Bool {
        guard (55...255).contains(value.count) else { return false }
        for (offset, byte) in value.prefix(55).enumerated() {
            switch offset {
            case 2, 35, 52: guard byte == 0x2D else { return false }
            default: guard byte.hexadecimalValue != nil, !byte.isUpper else { return false }
            }
        }
        return true
    }
}

/// Fields that say who a client is, as proxies write them.
enum ForwardingNames {
    private static let prefix = Array("x-forwarded".utf8)
    private static let others = [Array("forwarded".utf8), Array("x-real-ip".utf8)]

    /// In lower case, and `-` for the `_` and `.` that many services take for it.
    static func canonical(_ name: Span<UInt8>) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(name.count)
        for index in 0..<name.count {
            let byte = name[index]
            result.append(byte == 0x5F || byte == 0x2E ? 0x2D : byte.lowercased)
        }
        return result
    }

    /// Whether it is one of them, spelt however.
    static func isOne(_ name: Span<UInt8>) -> Bool {
        guard name.count >= 9, name[0].lowercased == 0x78 || name[0].lowercased == 0x66 else { return false }
        let canonical = canonical(name)
        return canonical.starts(with: prefix) || others.contains(canonical)
    }
}

extension Array where Element == UInt8 {
    mutating func append(field name: String, _ value: [UInt8]) {
        append(contentsOf: name.utf8)
        append(contentsOf: ": ".utf8)
        append(contentsOf: value)
        append(contentsOf: "\r\n".utf8)
    }

    mutating func append(field name: String, number: Int) {
        append(contentsOf: name.utf8)
        append(contentsOf: ": ".utf8)
        append(decimal: number)
        append(contentsOf: "\r\n".utf8)
    }
}
