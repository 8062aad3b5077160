/// Why a request to Alertmanager's API was refused.
public enum APIError: Error, Equatable, CustomStringConvertible {
    /// 400: the text says what is wrong with it.
    case invalid(String)
    /// 404.
    case notFound(String)
    /// 500.
    case failed(String)

    public var description: String {
        switch self {
        case .invalid(let text), .notFound(let text), .failed(let text): text
        }
    }
}
