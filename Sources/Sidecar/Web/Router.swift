import Runtime
import Synchronization

/// Which handler answers which path. A new page is a row.
struct Router: Sendable {
    struct Route: Sendable {
        let method: String
        let path: String
        let handler: HTTPServer.Handler

        static func get(_ path: String, _ handler: @escaping HTTPServer.Handler) -> Route {
            Route(method: "GET", path: path, handler: handler)
        }

        /// Changes state: answered to loopback clients only, and never to a page of another site in a browser there.
        static func change(_ method: String, _ path: String, _ handler: @escaping HTTPServer.Handler) -> Route {
            Route(method: method, path: path) { request in
                guard request.isFromLoopback else { return .text("only loopback clients may do this\n", status: 403) }
                guard !["cross-site", "same-site"].contains(request.header("sec-fetch-site") ?? "none") else {
                    return .text("not from another site\n", status: 403)
                }
                return await handler(request)
            }
        }
    }

    private let routes: [String: [Route]]

    init(_ routes: [Route]) {
        self.routes = Dictionary(grouping: routes, by: \.path)
    }

    func answer(_ request: HTTPRequest) async -> HTTPResponse {
        guard let known = routes[request.path] else { return .text("not found\n", status: 404) }
        let method = request.method == "HEAD" ? "GET" : request.method
        guard let route = known.first(where: { $0.method == method }) else {
            var refusal = HTTPResponse.text("method not allowed\n", status: 405)
            refusal.headers.append(("Allow", Set(known.map(\.method)).sorted().joined(separator: ", ")))
            return refusal
        }
        return await route.handler(request)
    }
}

/// The router of the present configuration; a reload puts another one in its place.
final class CurrentRouter: Sendable {
    private let router = Mutex(Router([]))

    var current: Router { router.withLock { $0 } }

    func replace(_ fresh: Router) { router.withLock { $0 = fresh } }
}
