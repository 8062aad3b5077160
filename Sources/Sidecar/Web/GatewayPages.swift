import Gateway
import Network
import Runtime

/// Pages about the gateway: what was refused lately.
struct GatewayPages: Sendable {
    private let gateway: Gateway

    init(_ gateway: Gateway) { self.gateway = gateway }

    var routes: [Router.Route] { [.get("/v1/security/events") { _ in events() }] }

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
