import Runtime

/// An error, or a notice, in the form in which Postgres tells it.
struct Complaint: Error, Equatable, CustomStringConvertible {
    enum Severity: String {
        case error = "ERROR"
        case fatal = "FATAL"
        case notice = "NOTICE"
        case warning = "WARNING"
    }

    let severity: Severity
    /// Five letters and digits (SQLSTATE).
    let code: String
    let message: String
    var detail: String?
    var hint: String?

    init(_ severity: Severity, _ code: String, _ message: String, detail: String? = nil, hint: String? = nil) {
        (self.severity, self.code, self.message, self.detail, self.hint) = (severity, code, message, detail, hint)
    }

    static func fatal(_ code: String, _ message: String, hint: String? = nil) -> Complaint {
        Complaint(.fatal, code, message, hint: hint)
    }

    static func protocolViolation(_ what: String) -> Complaint { .fatal("08P01", what) }

    var description: String { "\(severity.rawValue) \(code): \(message)" }

    func write(to bytes: inout [UInt8]) {
        func add(_ field: String, _ value: String) {
            bytes.append(contentsOf: field.utf8)
            bytes.append(zeroTerminated: value.utf8)
        }
        add("S", severity.rawValue)
        add("V", severity.rawValue)
        add("C", code)
        add("M", message)
        if let detail { add("D", detail) }
        if let hint { add("H", hint) }
        bytes.append(0)
    }
}

/// The fields of an ErrorResponse or a notice that somebody else wrote. Any of them may be missing.
struct ComplaintFields {
    private(set) var code = ""
    private(set) var message = ""
    private(set) var severity = ""

    /// - Parameter body: what follows the length.
    init(_ body: Span<UInt8>) {
        var place = 0
        while place < body.count, body[place] != 0 {
            let field = body[place]
            guard let end = body.zero(from: place + 1, before: body.count) else { return }
            switch field {
            case UInt8(ascii: "C"): code = body.text(place + 1..<end)
            case UInt8(ascii: "M"): message = body.text(place + 1..<end)
            // What is never translated, where the server has it.
            case UInt8(ascii: "V"): severity = body.text(place + 1..<end)
            case UInt8(ascii: "S"): if severity.isEmpty { severity = body.text(place + 1..<end) }
            default: break
            }
            place = end + 1
        }
    }
}
