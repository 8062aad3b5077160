import Runtime

/// The first line and the fields of a message, as they came: the bytes, and where in them each field is.
struct Head: Sendable {
    struct Field: Sendable {
        let id: FieldName
        fileprivate let nameStart, nameEnd, valueStart, valueEnd: UInt32

        init(_ id: FieldName, name: Range<Int>, value: Range<Int>) {
            self.id = id
            nameStart = UInt32(truncatingIfNeeded: name.lowerBound)
            nameEnd = UInt32(truncatingIfNeeded: name.upperBound)
            valueStart = UInt32(truncatingIfNeeded: value.lowerBound)
            valueEnd = UInt32(truncatingIfNeeded: value.upperBound)
        }

        var name: Range<Int> { Int(nameStart)..<Int(nameEnd) }
        var value: Range<Int> { Int(valueStart)..<Int(valueEnd) }
    }

    var bytes: [UInt8] = []
    var fields: [Field] = []

    func name(_ field: Field) -> ArraySlice<UInt8> { bytes[field.name] }
    func value(_ field: Field) -> ArraySlice<UInt8> { bytes[field.value] }

    func first(_ id: FieldName) -> ArraySlice<UInt8>? {
        for field in fields where field.id == id { return bytes[field.value] }
        return nil
    }

    func has(_ id: FieldName) -> Bool {
        for field in fields where field.id == id { return true }
        return false
    }

    func text(_ id: FieldName) -> String? { first(id).map { String(decoding: $0, as: UTF8.self) } }

    /// The values of all fields of a name, as one list (RFC 9110 §5.3). Nil where there are none.
    func list(_ id: FieldName) -> [UInt8]? {
        var joined: [UInt8]?
        for field in fields where field.id == id {
            if joined == nil {
                joined = Array(bytes[field.value])
            } else {
                joined?.append(contentsOf: ", ".utf8)
                joined?.append(contentsOf: bytes[field.value])
            }
        }
        return joined
    }

    /// The same for any name, which is given in lower case.
    func list(named name: [UInt8]) -> [UInt8]? {
        let id = FieldName(name.span)
        guard id == .other else { return list(id) }
        var joined: [UInt8]?
        for field in fields where field.id == .other && bytes.span.extracting(field.name).isSameWord(as: name) {
            if joined == nil {
                joined = Array(bytes[field.value])
            } else {
                joined?.append(contentsOf: ", ".utf8)
                joined?.append(contentsOf: bytes[field.value])
            }
        }
        return joined
    }
}

/// Reads a head line by line, from bytes that may come in any pieces. It is shown everything from the head's first byte
/// each time, and looks at each byte once.
struct HeadReader {
    enum Progress: Equatable {
        case needsMore
        /// The head takes so many bytes, with the empty line that ends it.
        case done(length: Int)
        case failed(HTTPFault)
    }

    private let limits: MessageLimits
    private let isRequest: Bool
    private(set) var fields: [Head.Field] = []
    /// Nil until the first line is there.
    private(set) var firstLine: Range<Int>?
    private var lineStart = 0
    private var scanned = 0

    init(_ limits: MessageLimits, isRequest: Bool) {
        self.limits = limits
        self.isRequest = isRequest
    }

    /// Whether anything of a head has come.
    var hasBegun: Bool { scanned > 0 }

    mutating func reset() {
        fields.removeAll(keepingCapacity: fields.capacity <= 64)
        (firstLine, lineStart, scanned) = (nil, 0, 0)
    }

    mutating func read(_ input: Span<UInt8>) -> Progress {
        while true {
            let feed = input.firstPlace(of: 0x0A, in: scanned..<input.count)
            guard feed < input.count else {
                scanned = input.count
                // The last byte may be the CR of the line's end.
                return lineFault(length: scanned - lineStart - 1) ?? .needsMore
            }
            guard feed > lineStart, input[feed - 1] == 0x0D else { return .failed(.bareLineFeed) }
            let line = lineStart..<feed - 1
            (lineStart, scanned) = (feed + 1, feed + 1)
            if let fault = lineFault(length: line.count) { return fault }
            if firstLine == nil {
                // One empty line ahead of a request is no part of it (RFC 9112 §2.2).
                if line.isEmpty, isRequest, line.lowerBound == 0 { continue }
                guard !line.isEmpty else { return .failed(isRequest ? .requestLine : .statusLine) }
                firstLine = line
            } else if line.isEmpty {
                return .done(length: feed + 1)
            } else if let fault = add(line, input) {
                return .failed(fault)
            }
        }
    }

    private func lineFault(length: Int) -> Progress? {
        if firstLine == nil, isRequest, length > limits.requestLine { return .failed(.requestLineTooLong) }
        if lineStart + (scanned > lineStart ? length : 0) > limits.head { return .failed(.headTooLong) }
        return firstLine != nil && length > limits.field ? .failed(.fieldTooLong) : nil
    }

    private mutating func add(_ line: Range<Int>, _ input: Span<UInt8>) -> HTTPFault? {
        guard fields.count < limits.fields else { return .tooManyFields }
        switch FieldLine.read(line, input) {
        case .success(let field): fields.append(field)
        case .failure(let fault): return fault
        }
        return nil
    }
}

/// One line `Name: value`.
enum FieldLine {
    static func read(_ line: Range<Int>, _ input: Span<UInt8>) -> Result<Head.Field, HTTPFault> {
        var colon = line.lowerBound
        while colon < line.upperBound, input[colon].isTokenByte { colon += 1 }
        // White space before the name, which would continue the line above, or between it and the colon, ends here.
        guard colon > line.lowerBound, colon < line.upperBound, input[colon] == 0x3A else {
            return .failure(.fieldName)
        }
        let value = input.trimmed(colon + 1..<line.upperBound)
        for index in value where !input[index].isValueByte {
            return .failure(input[index] == 0x0D ? .bareCarriageReturn : .forbiddenByte)
        }
        let name = line.lowerBound..<colon
        return .success(Head.Field(FieldName(input.extracting(name)), name: name, value: value))
    }
}
