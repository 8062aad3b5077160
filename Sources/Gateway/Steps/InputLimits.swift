import Runtime

/// What a request may look like; whatever is nil is not looked at.
public struct InputLimits: Sendable, Equatable {
    public var body: Int?
    public var query: Int?
    public var jsonDepth: Int?
    public var jsonBytes: Int?
    /// In lower case, without parameters; `application/*` takes all of a kind.
    public var contentTypes: [String]?
    public var methods: Set<String>?
    /// Paths go on as routes see them, and what is encoded twice is refused.
    public var normalisesPath = false

    public init() {}

    func refusal(of request: RequestHead) -> Refusal? {
        let bytes = request.head.bytes
        if let methods, !methods.contains(String(decoding: bytes[request.methodName], as: UTF8.self)) {
            return Refusal(
                405, .method, "this method is not allowed here", [("Allow", methods.sorted().joined(separator: ", "))])
        }
        if normalisesPath, NormalPath.isEncodedTwice(bytes.span.extracting(request.path)) {
            return Refusal(400, .path, "the path is encoded twice, or encodes what must not be in it")
        }
        if let query, let given = request.query, given.count > query {
            return Refusal(414, .query, "the query is longer than \(query) bytes")
        }
        if case .length(let count) = request.framing {
            if let body, count > body { return Refusal(413, .bodyTooLong, "the body is longer than \(body) bytes") }
            if let jsonBytes, isJSON(request), count > jsonBytes {
                return Refusal(413, .json, "the JSON is longer than \(jsonBytes) bytes")
            }
        }
        if let contentTypes, request.framing != .none, request.framing != .length(0) {
            guard let type = Self.type(of: request), contentTypes.contains(where: { Self.matches(type, $0) }) else {
                return Refusal(
                    415, .contentType, "this type of body is not taken here",
                    [("Accept", contentTypes.joined(separator: ", "))])
            }
        }
        return nil
    }

    func isJSON(_ request: RequestHead) -> Bool {
        guard let type = Self.type(of: request) else { return false }
        return type == "application/json" || type.hasSuffix("+json")
    }

    private static func type(of request: RequestHead) -> String? {
        guard let field = request.head.text(.contentType) else { return nil }
        let type = field.prefix { $0 != ";" }.lowercased()
        return String(type.reversed().drop { $0 == " " || $0 == "\t" }.reversed())
    }

    private static func matches(_ type: String, _ pattern: String) -> Bool {
        pattern.hasSuffix("/*") ? type.hasPrefix(pattern.dropLast()) : type == pattern
    }
}

/// The look at one body while it passes.
struct InputCheck {
    private let limits: InputLimits
    private let isJSON: Bool
    private var depth: JSONDepth?
    private var count = 0

    /// - Returns: nil where nothing has to be looked at.
    init?(_ limits: InputLimits, _ request: RequestHead) {
        guard request.framing != .none else { return nil }
        isJSON = limits.isJSON(request)
        guard limits.body != nil || isJSON && (limits.jsonDepth != nil || limits.jsonBytes != nil) else { return nil }
        self.limits = limits
        if isJSON, let most = limits.jsonDepth { depth = JSONDepth(most: most) }
    }

    mutating func refusal(of bytes: Span<UInt8>) -> Refusal? {
        count += bytes.count
        if let body = limits.body, count > body {
            return Refusal(413, .bodyTooLong, "the body is longer than \(body) bytes")
        }
        if isJSON, let most = limits.jsonBytes, count > most {
            return Refusal(413, .json, "the JSON is longer than \(most) bytes")
        }
        if depth?.look(at: bytes) == false {
            return Refusal(400, .json, "the JSON nests deeper than \(limits.jsonDepth ?? 0)")
        }
        return nil
    }
}
