/// Why a message is not understood, and so goes no further. Each has a status of its own, and a word for metrics.
enum HTTPFault: String, Error, CaseIterable, Sendable {
    case bareLineFeed = "bare_lf"
    case bareCarriageReturn = "bare_cr"
    case forbiddenByte = "forbidden_byte"
    case requestLine = "request_line"
    case requestLineTooLong = "request_line_too_long"
    case version
    case target
    case statusLine = "status_line"
    case fieldName = "field_name"
    case fieldTooLong = "field_too_long"
    case headTooLong = "head_too_long"
    case tooManyFields = "too_many_fields"
    case host
    case contentLength = "content_length"
    case transferEncoding = "transfer_encoding"
    case bothFramings = "both_framings"
    case connectionOptions = "connection_options"
    case expectation
    case chunkSize = "chunk_size"
    case chunkEnd = "chunk_end"
    case chunkExtensionTooLong = "chunk_extension_too_long"
    case trailer
    case trailersTooLong = "trailers_too_long"
    case bodyTooLong = "body_too_long"
    case bodyForbidden = "body_forbidden"
    case earlyEnd = "early_end"
    case tooManyInterims = "too_many_interims"
    case unwantedUpgrade = "unwanted_upgrade"
    case proxyHeader = "proxy_header"

    /// What a client is answered whose request it is.
    var status: Int {
        switch self {
        case .requestLineTooLong: 414
        case .fieldTooLong, .headTooLong, .tooManyFields, .trailersTooLong: 431
        case .bodyTooLong: 413
        case .expectation: 417
        case .version: 505
        default: 400
        }
    }

    /// For people.
    var explanation: String {
        switch self {
        case .bareLineFeed: "a line ends with LF alone"
        case .bareCarriageReturn: "a CR without LF"
        case .forbiddenByte: "a control character"
        case .requestLine: "the request line is not METHOD TARGET HTTP/1.1"
        case .requestLineTooLong: "the request line is too long"
        case .version: "the version is neither HTTP/1.1 nor HTTP/1.0"
        case .target: "the request target is not a path, nor a URL of this host"
        case .statusLine: "the status line is not HTTP/1.1 NNN REASON"
        case .fieldName: "a field name is not a token with a colon behind it"
        case .fieldTooLong: "a field is too long"
        case .headTooLong: "the fields are too long together"
        case .tooManyFields: "too many fields"
        case .host: "there is not exactly one Host field that names a host"
        case .contentLength: "Content-Length is not one plain number"
        case .transferEncoding: "Transfer-Encoding is not chunked, once"
        case .bothFramings: "both Content-Length and Transfer-Encoding"
        case .connectionOptions: "Connection names too much"
        case .expectation: "the expectation is not 100-continue"
        case .chunkSize: "the size of a chunk is not a plain hexadecimal number"
        case .chunkEnd: "a chunk is not followed by CRLF"
        case .chunkExtensionTooLong: "the extensions of chunks are too long"
        case .trailer: "a field that may not be a trailer"
        case .trailersTooLong: "the trailers are too long"
        case .bodyTooLong: "the body is too long"
        case .bodyForbidden: "a body where none may be"
        case .earlyEnd: "the message ends in the middle"
        case .tooManyInterims: "too many interim answers"
        case .proxyHeader: "no header of the PROXY protocol, version 2"
        case .unwantedUpgrade: "an upgrade that nobody asked for"
        }
    }

    /// Shapes of which two readers may think differently, so that one request is hidden in another.
    var isSmuggling: Bool {
        switch self {
        case .bareLineFeed, .bareCarriageReturn, .fieldName, .contentLength, .transferEncoding, .bothFramings,
            .chunkSize,
            .chunkEnd, .trailer, .host, .forbiddenByte:
            true
        default: false
        }
    }

    /// Shapes that are refused for their size.
    var isOversize: Bool {
        switch self {
        case .requestLineTooLong, .fieldTooLong, .headTooLong, .tooManyFields, .chunkExtensionTooLong, .trailersTooLong,
            .bodyTooLong:
            true
        default: false
        }
    }
}

/// How much of a message is believed, in bytes but for `fields`.
public struct MessageLimits: Sendable, Equatable {
    public var requestLine = 8 << 10
    public var field = 8 << 10
    /// The first line and all fields together.
    public var head = 32 << 10
    public var fields = 100
    /// Extensions of all chunks of a message together.
    public var chunkExtensions = 4 << 10
    public var trailers = 4 << 10

    public init() {}

    /// A service may say more in an answer than clients may in a request.
    static let ofAnswers: MessageLimits = {
        var limits = MessageLimits()
        (limits.field, limits.head, limits.fields) = (32 << 10, 64 << 10, 500)
        (limits.chunkExtensions, limits.trailers) = (16 << 10, 16 << 10)
        return limits
    }()
}
