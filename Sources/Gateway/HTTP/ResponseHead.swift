import Runtime

/// The head of a service's answer, understood.
struct ResponseHead: Sendable {
    var head: Head
    let status: Int
    let reason: Range<Int>
    let isHTTP11: Bool
    /// Of the body that follows: `.none` after HEAD, and for answers that have none, whatever their fields say.
    let framing: Framing
    /// `Content-Length`, also where no body follows.
    let length: Int?
    /// Whether the connection may be used again after this answer.
    let keepsAlive: Bool
    /// What `Connection` names, but for the words that mean something here.
    let named: [Range<Int>]

    /// 100 to 199, but not the last word of a connection.
    var isInterim: Bool { status < 200 && status != 101 }

    static func understand(
        _ input: Span<UInt8>, length: Int, _ reader: HeadReader, to method: Method
    ) -> Result<ResponseHead, HTTPFault> {
        do throws(HTTPFault) {
            return .success(try ResponseHead(input, length: length, reader, to: method))
        } catch {
            return .failure(error)
        }
    }

    private init(
        _ input: Span<UInt8>, length headLength: Int, _ reader: HeadReader, to method: Method
    ) throws(HTTPFault) {
        guard let line = reader.firstLine else { throw .statusLine }
        guard line.count >= 13, input.extracting(line).isSame("HTTP/1.", upTo: 7), input[line.lowerBound + 8] == 0x20,
            input[line.lowerBound + 12] == 0x20
        else { throw .statusLine }
        switch input[line.lowerBound + 7] {
        case 0x31: isHTTP11 = true
        case 0x30: isHTTP11 = false
        default: throw .version
        }
        guard let code = Framing.length(input.extracting(line.lowerBound + 9..<line.lowerBound + 12)),
            (100...599).contains(code)
        else { throw .statusLine }
        status = code
        reason = line.lowerBound + 13..<line.upperBound
        for index in reason where !input[index].isValueByte { throw .statusLine }
        var options = ConnectionOptions()
        var (lengthField, codingField): (Range<Int>?, Range<Int>?)
        for field in reader.fields {
            switch field.id {
            case .contentLength:
                guard lengthField == nil else { throw .contentLength }
                lengthField = field.value
            case .transferEncoding:
                guard codingField == nil else { throw .transferEncoding }
                codingField = field.value
            case .connection: try options.add(field.value, input)
            default: break
            }
        }
        var known: Int?
        if let lengthField {
            guard let count = Framing.length(input.extracting(lengthField)) else { throw .contentLength }
            known = count
        }
        length = known
        if codingField != nil, lengthField != nil { throw .bothFramings }
        if let codingField {
            guard isHTTP11, input.extracting(codingField).isSameWord(as: "chunked") else { throw .transferEncoding }
        }
        if method == .head || code < 200 || code == 204 || code == 304 {
            framing = .none
        } else if codingField != nil {
            framing = .chunked
        } else {
            framing = known.map { .length($0) } ?? .untilClose
        }
        keepsAlive = framing != .untilClose && !options.closes && (isHTTP11 || options.keepsAlive)
        named = options.named
        var bytes: [UInt8] = []
        bytes.append(bytes: input.extracting(0..<headLength))
        head = Head(bytes: bytes, fields: reader.fields)
    }

    /// An answer of lines that were understood before.
    static func made(status: Int, fields lines: [UInt8]) -> ResponseHead {
        var head = Head()
        head.bytes = lines
        for line in FieldLines.split(lines) {
            head.fields.append(
                Head.Field(FieldName(lines.span.extracting(line.name)), name: line.name, value: line.value))
        }
        return ResponseHead(status: status, head: head)
    }

    private init(status: Int, head: Head) {
        (self.status, self.head, reason, isHTTP11, framing) = (status, head, 0..<0, true, .none)
        (length, keepsAlive, named) = (nil, true, [])
    }
}
