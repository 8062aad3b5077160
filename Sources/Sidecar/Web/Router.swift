import Network
import Runtime
import Synchronization

/// Which handler answers which path. A new page is a row.
struct Router: Sendable {
    struct Route: Sendable {
        let method: String
        let path: String
        let handler: HTTPServer.Handler
        var access = Access.open

        enum Access {
            /// What `web.public` says.
            case open
            /// For those who are trusted, however `web.public` is set.
            case confidential
            case change
        }

        static func get(_ path: String, _ handler: @escaping HTTPServer.Handler) -> Route {
            Route(method: "GET", path: path, handler: handler)
        }

        /// Shown to trusted clients only: what tells who does what.
        static func confidential(_ path: String, _ handler: @escaping HTTPServer.Handler) -> Route {
            Route(method: "GET", path: path, handler: handler, access: .confidential)
        }

        /// Changes state: answered to trusted clients only, and never to a page of another site in a browser there.
        static func change(_ method: String, _ path: String, _ handler: @escaping HTTPServer.Handler) -> Route {
            Route(
                method: method, path: path,
                handler: { request in
                    if let refusal = Router.refusesChange(request) { return refusal }
                    return await handler(request)
                }, access: .change)
        }
    }

    /// What is known of a request from its header, where its path is no fixed text.
    enum BodyVerdict {
        case isTaken
        case refused(HTTPResponse)
    }

    /// Nil for requests that are not its own. What no rule and no route claims is answered without its body.
    typealias BodyRule = @Sendable (HTTPRequest) -> BodyVerdict?

    /// Answers paths that are no fixed text; nil for those that are not its own.
    typealias Fallback = @Sendable (HTTPRequest) async -> HTTPResponse?

    private let routes: [String: [Route]]
    private let fallbacks: [Fallback]
    private let bodyRules: [BodyRule]

    init(_ routes: [Route], fallbacks: [Fallback] = [], bodyRules: [BodyRule] = []) {
        self.routes = Dictionary(grouping: routes, by: \.path)
        self.fallbacks = fallbacks
        self.bodyRules = bodyRules
    }

    /// Decides from the header alone.
    func admission(of request: HTTPRequest, as visitor: HTTPServer.Visitor) -> HTTPServer.Admission {
        guard let known = routes[request.path] else {
            for rule in bodyRules {
                switch rule(request) {
                case .isTaken: return .admitted(visitor, takesBody: true)
                case .refused(let refusal): return .refused(refusal)
                case nil: continue
                }
            }
            return .admitted(visitor, takesBody: false)
        }
        let method = request.method == "HEAD" ? "GET" : request.method
        guard let route = known.first(where: { $0.method == method }) else {
            return .refused(Self.refusesMethod(of: known))
        }
        switch route.access {
        case .open: break
        case .confidential:
            guard request.isTrusted else {
                return .refused(.text("only clients of this machine, or with a password, may see this\n", status: 403))
            }
        case .change:
            if let refusal = Self.refusesChange(request) { return .refused(refusal) }
        }
        return .admitted(visitor, takesBody: method != "GET")
    }

    /// Why this client may not change anything; nil if it may.
    static func refusesChange(_ request: HTTPRequest) -> HTTPResponse? {
        guard request.isTrusted else {
            return request.isFromLoopback
                ? .text("not under this Host: see the setting web.allowed_hosts\n", status: 403)
                : .text("only loopback clients may do this\n", status: 403)
        }
        guard !["cross-site", "same-site"].contains(request.header("sec-fetch-site") ?? "none"),
            HostCheck.isSameOrigin(request)
        else { return .text("not from another site\n", status: 403) }
        return nil
    }

    private static func refusesMethod(of known: [Route]) -> HTTPResponse {
        var refusal = HTTPResponse.text("method not allowed\n", status: 405)
        refusal.headers.append(("Allow", Set(known.map(\.method)).sorted().joined(separator: ", ")))
        return refusal
    }

    func answer(_ request: HTTPRequest) async -> HTTPResponse {
        guard let known = routes[request.path] else { return await answerOtherwise(request) }
        let method = request.method == "HEAD" ? "GET" : request.method
        guard let route = known.first(where: { $0.method == method }) else {
            return Self.refusesMethod(of: known)
        }
        return await route.handler(request)
    }

    private func answerOtherwise(_ request: HTTPRequest) async -> HTTPResponse {
        for fallback in fallbacks {
            if let response = await fallback(request) { return response }
        }
        return .text("not found\n", status: 404)
    }
}

/// The router of the present configuration; a reload puts another one in its place.
final class CurrentRouter: Sendable {
    private let router = Mutex(Router([]))

    var current: Router { router.withLock { $0 } }

    func replace(_ fresh: Router) { router.withLock { $0 = fresh } }
}
