import Metrics
import Network
import Runtime

/// Carries messages over HTTP.
struct HTTPDelivery: Sendable {
    let client: HTTPClient
    let userAgent: String

    /// One attempt at a webhook.
    func deliver(_ message: Switchboard.Message, at now: Moment) async -> DeliveryOutcome {
        let settings = message.settings
        do {
            var request = HTTPClient.Request(
                url: try settings.url.read(), deadline: .after(max(.zero, message.deadline - now)))
            request.headers = try settings.signature?.headers(for: message.body, at: now) ?? []
            if let key = message.idempotencyKey { request.headers.append(("Idempotency-Key", key)) }
            return await post(message.body, request, settings.http, at: now)
        } catch {
            return .failed("\(error)")
        }
    }

    /// One batch to one Alertmanager.
    func deliver(_ alerts: [Alert], to url: String, _ settings: AlertmanagerSettings, at now: Moment) async
        -> DeliveryOutcome
    {
        let base = url.hasSuffix("/") ? String(url.dropLast()) : url
        let request = HTTPClient.Request(url: base + "/api/v2/alerts", deadline: .after(settings.timeout))
        return await post(AlertmanagerPost.body(alerts), request, settings.http, at: now)
    }

    private func post(
        _ body: [UInt8], _ request: HTTPClient.Request, _ settings: HTTPSettings, at now: Moment
    ) async -> DeliveryOutcome {
        var request = request
        request.method = "POST"
        request.body = body
        request.tls = settings.tls
        request.proxy = settings.proxy
        request.followsRedirects = settings.followsRedirects
        request.responseLimit = 4096
        do {
            request.headers.insert(contentsOf: try headers(settings, &request), at: 0)
        } catch {
            return .failed("\(error)")
        }
        do {
            return Self.outcome(try await client.send(request), at: now)
        } catch .timedOut {
            return .timedOut
        } catch {
            return .failed("\(error)")
        }
    }

    private func headers(
        _ settings: HTTPSettings, _ request: inout HTTPClient.Request
    ) throws(FileError) -> [(name: String, value: String)] {
        var headers = [("User-Agent", userAgent), ("Content-Type", "application/json")]
        switch settings.authorization {
        case .basic(let user, let password): request.user = (try user.read(), try password.read())
        case .header(let scheme, let credentials):
            headers.append(("Authorization", "\(scheme) \(try credentials.read())"))
        case nil: break
        }
        for header in settings.headers { headers.append((header.name, try header.value.read())) }
        return headers
    }

    private static func outcome(_ response: HTTPClient.Response, at now: Moment) -> DeliveryOutcome {
        guard response.status / 100 != 2 else { return .accepted }
        return .refused(
            status: response.status,
            retryAfter: response.header("retry-after").flatMap { RetryAfter.parse($0, at: now) })
    }
}

/// The value of a `Retry-After` header: seconds, or a date (RFC 9110, 10.2.3).
enum RetryAfter {
    static func parse(_ text: String, at now: Moment) -> Duration? {
        if let seconds = Int(text), seconds >= 0 { return .seconds(min(seconds, 1 << 32)) }
        return date(text).map { max(.zero, $0 - now) }
    }

    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    /// `Wed, 21 Oct 2026 07:28:00 GMT`.
    private static func date(_ text: String) -> Moment? {
        let fields = text.split(separator: " ")
        guard fields.count == 6, fields[5] == "GMT", let month = months.firstIndex(of: String(fields[2])) else {
            return nil
        }
        let day = fields[1].count == 1 ? "0\(fields[1])" : String(fields[1])
        return Moment("\(fields[3])-\(month < 9 ? "0" : "")\(month + 1)-\(day)T\(fields[4])Z")
    }
}
