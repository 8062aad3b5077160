import Runtime
import Synchronization

/// What a client asked, read whole.
public struct HTTPRequest: Sendable {
    public let method: String
    /// Without the query, percent-decoded.
    public let path: String
    /// In the order of the URL; a name may stand several times.
    public let query: [(name: String, value: String)]
    /// Names in lower case.
    public let headers: [(name: String, value: String)]
    public let body: [UInt8]
    /// Whether the client speaks from 127.0.0.0/8 or ::1.
    public let isFromLoopback: Bool
    /// The client's address, for logs; empty for a request that came from nowhere.
    public var client = ""
    /// The name that the client has proven to bear; nil for nobody in particular.
    public var user: String?
    /// Whether the client may change things and see what is not for everybody.
    public var isTrusted: Bool
    /// Tells when nobody waits for the answer any more.
    public var waiter = Waiter()

    public init(
        method: String, path: String, query: [(name: String, value: String)] = [],
        headers: [(name: String, value: String)] = [], body: [UInt8] = [], isFromLoopback: Bool = true
    ) {
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.isFromLoopback = isFromLoopback
        isTrusted = isFromLoopback
    }

    public func parameter(_ name: String) -> String? { query.first { $0.name == name }?.value }
    public func parameters(_ name: String) -> [String] { query.filter { $0.name == name }.map(\.value) }

    /// - Parameter name: in lower case.
    public func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }
}

/// Whoever waits for an answer. Long work looks now and then whether it still has one.
public final class Waiter: Sendable {
    private let gone = Atomic<Bool>(false)

    public init() {}

    /// The client has gone, or the server ends.
    public var hasGone: Bool { gone.load(ordering: .relaxed) }

    public func leave() { gone.store(true, ordering: .relaxed) }
}

/// What the client gets.
public struct HTTPResponse: Sendable {
    public var status: Int
    public var headers: [(name: String, value: String)]
    public var body: [UInt8]

    public init(status: Int = 200, headers: [(name: String, value: String)] = [], body: [UInt8] = []) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    public static func text(_ text: String, status: Int = 200) -> HTTPResponse {
        HTTPResponse(status: status, headers: [("Content-Type", "text/plain; charset=utf-8")], body: Array(text.utf8))
    }

    public static func json(_ body: [UInt8], status: Int = 200) -> HTTPResponse {
        HTTPResponse(status: status, headers: [("Content-Type", "application/json")], body: body)
    }
}

/// A request header that lists things by preference: `gzip;q=0.5, *;q=0`.
public struct QualityList: Sendable {
    public struct Item: Sendable {
        /// In lower case, without parameters: `text/plain`, `gzip`, `*`.
        public let name: String
        /// In lower case: `version=0.0.4`.
        public let parameters: [String: String]
        /// 0 to 1; 0 means never.
        public let quality: Double
    }

    /// Best first; equals stay in the order of the header.
    public let items: [Item]

    public init(_ header: String) {
        var items: [Item] = []
        for part in header.split(separator: ",") {
            let fields = part.split(separator: ";").map { QualityList.trimmed($0).lowercased() }
            guard let name = fields.first, !name.isEmpty else { continue }
            var quality = 1.0
            var parameters: [String: String] = [:]
            for field in fields.dropFirst() {
                let pair = field.split(separator: "=", maxSplits: 1).map { QualityList.trimmed($0) }
                guard pair.count == 2 else { continue }
                if pair[0] == "q" {
                    quality = Double(pair[1]).map { min(1, max(0, $0)) } ?? 0
                } else {
                    parameters[pair[0]] = pair[1].filter { $0 != "\"" }
                }
            }
            items.append(Item(name: name, parameters: parameters, quality: quality))
        }
        self.items = items.enumerated().sorted {
            ($1.element.quality, $0.offset) < ($0.element.quality, $1.offset)
        }.map(\.element)
    }

    /// The quality of a name, or that of `*` where it is not named.
    public func quality(of name: String) -> Double {
        items.first { $0.name == name }?.quality ?? items.first { $0.name == "*" }?.quality ?? 0
    }

    private static func trimmed(_ text: Substring) -> String {
        var text = text
        while text.first == " " || text.first == "\t" { text.removeFirst() }
        while text.last == " " || text.last == "\t" { text.removeLast() }
        return String(text)
    }

    private static func trimmed(_ text: String) -> String { trimmed(text[...]) }
}
