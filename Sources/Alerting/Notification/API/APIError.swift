import Network
import Runtime

/// Why a request to Alertmanager's API was refused, with the answer that Alertmanager gives.
public enum APIError: Error, Equatable, CustomStringConvertible {
    /// 400: a text that says what is wrong.
    case invalid(String)
    /// 400: no JSON.
    case unreadable(String)
    /// 404.
    case notFound(String)
    /// 500: when a silence cannot be ended, the only answer with a text that amtool knows.
    case failed(String)
    /// 422: a field that is missing or of the wrong type.
    case unprocessable(String)
    /// 503: not all of it was taken; worth another try.
    case overloaded(String)
    case unknownPath(String)
    case wrongMethod(String, allowed: [String])

    public var description: String {
        switch self {
        case .invalid(let text), .unreadable(let text), .notFound(let text), .failed(let text),
            .unprocessable(let text), .overloaded(let text):
            text
        case .unknownPath(let path): "path \(path) was not found"
        case .wrongMethod(let method, let allowed):
            "method \(method) is not allowed, but [\(allowed.joined(separator: ","))] are"
        }
    }

    var response: HTTPResponse {
        switch self {
        case .invalid: text(400)
        case .notFound: text(404)
        case .failed: text(500)
        case .overloaded: text(503)
        case .unreadable: object(400, code: 400)
        case .unprocessable: object(422, code: 602)
        case .unknownPath: object(404, code: 404)
        case .wrongMethod: object(405, code: 405)
        }
    }

    private func text(_ status: Int) -> HTTPResponse {
        var writer = JSONWriter()
        writer.string(description)
        writer.newline()
        return .json(writer.bytes, status: status)
    }

    private func object(_ status: Int, code: Int) -> HTTPResponse {
        var writer = JSONWriter()
        writer.object {
            $0.key("code")
            $0.integer(code)
            $0.key("message")
            $0.string(description)
        }
        return .json(writer.bytes, status: status)
    }
}
