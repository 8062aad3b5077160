import Network
import PromQL
import Runtime

/// Why the API has no answer, in Prometheus' words and with its status codes.
struct QueryRefusal: Error {
    enum Kind: String {
        case badData = "bad_data"
        case execution
        case timeout
        case notFound = "not_found"
        /// The client has gone, or the server ends.
        case canceled

        var status: Int {
            switch self {
            case .badData: 400
            case .execution: 422
            case .timeout: 503
            case .notFound: 404
            case .canceled: 499
            }
        }
    }

    let kind: Kind
    let message: String

    static func badData(_ message: String) -> QueryRefusal { QueryRefusal(kind: .badData, message: message) }

    static func invalid(_ parameter: String, _ problem: String) -> QueryRefusal {
        .badData("invalid parameter \(GoQuote.quoted(parameter)): \(problem)")
    }

    init(kind: Kind, message: String) {
        self.kind = kind
        self.message = message
    }

    /// A query that could be read but not answered.
    init(_ error: PromQLError) {
        switch error {
        case .timedOut: self.init(kind: .timeout, message: "\(error)")
        case .cancelled: self.init(kind: .canceled, message: "\(error)")
        case .syntax: self.init(kind: .badData, message: "\(error)")
        case .evaluation, .tooManySamples: self.init(kind: .execution, message: "\(error)")
        }
    }

    var response: HTTPResponse {
        var writer = JSONWriter()
        writer.object { writer in
            writer.member("status", "error")
            writer.member("errorType", kind.rawValue)
            writer.member("error", message)
        }
        return .json(writer.bytes, status: kind.status)
    }
}
