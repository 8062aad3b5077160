import Gateway
import Network
import Runtime

/// Pages about the gateway: what was refused lately, what it keeps, and what it would do.
struct GatewayPages: Sendable {
    private let gateway: Gateway

    init(_ gateway: Gateway) { self.gateway = gateway }

    var routes: [Router.Route] {
        [
            .get("/v1/security/events") { _ in events() },
            .get("/v1/gateway/explain") { await explain($0) },
            .change("POST", "/v1/cache/purge") { await purge($0) },
        ]
    }

    /// `{"url": "http://host/path"}`, `{"prefix": "http://host/path/"}`, `{"key": "…"}` or `{"all": true}`.
    private func purge(_ request: HTTPRequest) async -> HTTPResponse {
        let problem = "write {\"url\": …}, {\"prefix\": …}, {\"key\": …} or {\"all\": true}\n"
        guard let wanted = try? JSON.parse(request.body, limits: JSON.Limits(bytes: 64 << 10, depth: 4, values: 100))
        else {
            return .text(problem, status: 400)
        }
        let what: Gateway.Purge
        if let url = wanted["url"]?.string, let place = Self.place(url) {
            what = .url(host: place.host, target: place.target)
        } else if let url = wanted["prefix"]?.string, let place = Self.place(url), place.target.hasSuffix("/") {
            what = .prefix(host: place.host, path: place.target)
        } else if let key = wanted["key"]?.string, !key.isEmpty {
            what = .surrogateKey(key)
        } else if wanted["all"]?.bool == true {
            what = .everything
        } else {
            return .text(problem, status: 400)
        }
        let count = await gateway.purge(what)
        return .json(Array("{\"purged\":\(count)}\n".utf8))
    }

    private static func place(_ url: String) -> (host: String, target: String)? {
        var rest = url[...]
        for scheme in ["http://", "https://"] where rest.hasPrefix(scheme) { rest = rest.dropFirst(scheme.utf8.count) }
        guard let slash = rest.firstIndex(of: "/"), slash != rest.startIndex else { return nil }
        return (String(rest[..<slash]), String(rest[slash...]))
    }

    /// `?method=GET&url=http://host/path&header=Name: value`.
    private func explain(_ request: HTTPRequest) async -> HTTPResponse {
        guard let url = request.parameter("url"), let place = Self.place(url) else {
            return .text("write ?url=http://host/path, and method=…, header=Name: value, client=ADDRESS\n", status: 400)
        }
        let steps = await gateway.explain(
            method: request.parameter("method") ?? "GET", host: place.host, target: place.target,
            fields: request.parameters("header"), client: request.parameter("client") ?? "127.0.0.1")
        var writer = JSONWriter()
        writer.value(
            JSON.object([
                JSON.Member(
                    "steps",
                    .array(
                        steps.map { step in
                            JSON.object([
                                JSON.Member("step", .string(step.step)), JSON.Member("does", .string(step.does)),
                            ])
                        }))
            ]))
        writer.newline()
        return .json(writer.bytes)
    }

    private func events() -> HTTPResponse {
        let entries = gateway.security.newest.map { event in
            JSON.object([
                JSON.Member(
                    "at",
                    .string(
                        RFC3339.text(
                            seconds: event.atMs / 1000, nanoseconds: Int(event.atMs % 1000) * 1_000_000,
                            fractionDigits: 3))),
                JSON.Member("kind", .string(event.kind.rawValue)),
                JSON.Member("reason", .string(event.reason)),
                JSON.Member("client", .string(event.client)),
                JSON.Member("route", .string(event.route)),
            ])
        }
        var writer = JSONWriter()
        writer.value(JSON.object([JSON.Member("events", .array(entries))]))
        writer.newline()
        return .json(writer.bytes)
    }
}
