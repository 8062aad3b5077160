import Runtime

/// How an answer's head ends: what tells the end of its body, and of the connection.
struct AnswerShape {
    var mode: Exchange.BodyMode
    /// Of the body, or of what GET would have brought.
    var length: Int?
    var keepsAlive: Bool
    var isHTTP10 = false
    var isUpgrade = false
    var isInterim = false
    /// Lines of fields of our own.
    var extra: [UInt8] = []
    /// Fields of the service's that are replaced by ours.
    var dropped: [FieldName] = []
}

extension Array where Element == UInt8 {
    /// Writes the head of an answer anew, from what was understood of the service's.
    ///
    /// - Parameter date: of now, for answers without one.
    mutating func append(answer head: ResponseHead, _ shape: AnswerShape, _ date: [UInt8]) {
        let bytes = head.head.bytes
        append(contentsOf: "HTTP/1.1 ".utf8)
        append(decimal: head.status)
        append(0x20)
        append(contentsOf: bytes[head.reason])
        append(contentsOf: "\r\n".utf8)
        var hasDate = shape.isInterim || shape.isUpgrade
        for field in head.head.fields {
            guard head.passesOn(field), !shape.dropped.contains(field.id) else { continue }
            if field.id == .date { hasDate = true }
            append(contentsOf: bytes[field.name])
            append(contentsOf: ": ".utf8)
            append(contentsOf: bytes[field.value])
            append(contentsOf: "\r\n".utf8)
        }
        if !hasDate { append(field: "Date", date) }
        append(contentsOf: shape.extra)
        if shape.isUpgrade {
            append(contentsOf: "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n".utf8)
            return
        }
        if !shape.isInterim { append(framing: shape, status: head.status) }
        append(contentsOf: "\r\n".utf8)
    }

    /// What tells the ends.
    mutating func append(framing shape: AnswerShape, status: Int) {
        switch shape.mode {
        case .chunked: append(contentsOf: "Transfer-Encoding: chunked\r\n".utf8)
        case .length: append(field: "Content-Length", number: shape.length ?? 0)
        case .none:
            if let length = shape.length, status >= 200, status != 204 {
                append(field: "Content-Length", number: length)
            }
        case .untilClose: break
        }
        if !shape.keepsAlive {
            append(contentsOf: "Connection: close\r\n".utf8)
        } else if shape.isHTTP10 {
            append(contentsOf: "Connection: keep-alive\r\n".utf8)
        }
    }

    /// An answer of the gateway's own.
    mutating func append(_ refusal: Refusal, isHead: Bool, keepsAlive: Bool, _ date: [UInt8]) {
        append(contentsOf: "HTTP/1.1 ".utf8)
        append(decimal: refusal.status)
        append(0x20)
        append(contentsOf: StatusPhrase.text(refusal.status).utf8)
        append(contentsOf: "\r\n".utf8)
        append(field: "Date", date)
        var body = refusal.body ?? []
        if refusal.body == nil {
            var writer = JSONWriter()
            writer.value(
                JSON.object([
                    JSON.Member("type", .string("about:blank")),
                    JSON.Member("title", .string(StatusPhrase.text(refusal.status))),
                    JSON.Member("status", .integer(Int64(refusal.status))),
                    JSON.Member("detail", .string(refusal.detail)),
                ]))
            body = writer.bytes
        }
        append(contentsOf: "Content-Type: ".utf8)
        append(contentsOf: refusal.contentType.utf8)
        append(contentsOf: "\r\nCache-Control: no-store\r\n".utf8)
        for field in refusal.fields { append(field: field.name, Array(field.value.utf8)) }
        append(contentsOf: refusal.lines)
        append(field: "Content-Length", number: body.count)
        if !keepsAlive { append(contentsOf: "Connection: close\r\n".utf8) }
        append(contentsOf: "\r\n".utf8)
        if !isHead { append(contentsOf: body) }
    }
}

extension ResponseHead {
    /// Whether a field goes on to the client.
    func passesOn(_ field: Head.Field) -> Bool {
        switch field.id {
        case .contentLength: return false
        case .trailer: return framing == .chunked
        case .other: if head.bytes.span.extracting(field.name).hasWordPrefix(Self.proxyPrefix) { return false }
        default: if field.id.isOfConnection { return false }
        }
        for option in named
        where option.count == field.name.count
            && head.bytes.span.extracting(field.name).isSameWord(as: head.bytes.span.extracting(option).lowercasedBytes)
        {
            return false
        }
        return true
    }

    private static let proxyPrefix = Array("proxy-".utf8)
}
