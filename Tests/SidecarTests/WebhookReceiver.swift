import LocalServers
import Network
import Runtime
import Synchronization

/// A real HTTP server that takes webhooks and remembers them.
final class WebhookReceiver: Sendable {
    struct Message: Sendable, Equatable {
        let status: String
        /// `alertname status` of every alert in it.
        let alerts: [String]
        let startsAt: [String]
    }

    private let server: HTTPServer
    private let book: Book

    private final class Book: Sendable {
        let messages = Mutex<[Message]>([])
    }

    var url: String { "http://127.0.0.1:\(server.address.port)/hook" }
    var messages: [Message] { book.messages.withLock { $0 } }

    init() throws {
        let book = Book()
        self.book = book
        server = try HTTPServer(ListenAddress(host: "127.0.0.1", port: 0)) { request in
            guard let json = try? JSON.parse(request.body), let message = Message(json) else {
                return .text("not a webhook", status: 400)
            }
            book.messages.withLock { $0.append(message) }
            return .text("")
        }
    }

    /// The messages, as soon as there are `count` of them.
    func wait(for count: Int, within patience: Duration) async throws -> [Message] {
        let deadline = Deadline.after(patience)
        while messages.count < count, !deadline.hasPassed { try await Task.sleep(for: .milliseconds(20)) }
        return messages
    }

    func stop() async { await server.stop(within: .seconds(5)) }
}

extension WebhookReceiver.Message {
    init?(_ json: JSON) {
        guard let status = json["status"]?.string, let alerts = json["alerts"]?.array else { return nil }
        self.status = status
        self.alerts = alerts.map { "\($0["labels"]?["alertname"]?.string ?? "?") \($0["status"]?.string ?? "?")" }
        startsAt = alerts.map { $0["startsAt"]?.string ?? "" }
    }
}
