/// An answer that the gateway gives itself, because a request may not go on.
struct Refusal: Sendable {
    /// Why, as metrics and `Server-Timing` name it.
    enum Reason: String, CaseIterable, Sendable {
        case malformed
        case method
        case path
        case query
        case contentType = "content_type"
        case bodyTooLong = "body_too_long"
        case json
        case noRoute = "no_route"
        case token
        case forbidden
        case rateLimit = "rate_limit"
        case queueFull = "queue_full"
        case queueDeadline = "queue_deadline"
        case queueShed = "queue_shed"
        case breaker
        case upstream
        case onlyIfCached = "only_if_cached"
    }

    let status: Int
    let reason: Reason
    /// For people, in the body.
    let detail: String
    var fields: [(name: String, value: String)] = []
    /// Lines of further fields.
    var lines: [UInt8] = []
    /// In place of the usual body.
    var body: [UInt8]?
    var contentType = "application/problem+json"

    init(_ status: Int, _ reason: Reason, _ detail: String, _ fields: [(name: String, value: String)] = []) {
        (self.status, self.reason, self.detail, self.fields) = (status, reason, detail, fields)
    }
}

/// The phrases of RFC 9110 for what the gateway says itself.
enum StatusPhrase {
    static func text(_ status: Int) -> String {
        switch status {
        case 200: "OK"
        case 206: "Partial Content"
        case 304: "Not Modified"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
        case 413: "Content Too Large"
        case 414: "URI Too Long"
        case 415: "Unsupported Media Type"
        case 416: "Range Not Satisfiable"
        case 417: "Expectation Failed"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        case 505: "HTTP Version Not Supported"
        default: ""
        }
    }
}
