import Metrics
import Network
import Runtime

/// Somebody to be told, by every way that is listed.
public struct Receiver: Sendable {
    public let name: String
    public var webhooks: [WebhookSettings]
    public var alertmanagers: [AlertmanagerSettings]

    public init(name: String, webhooks: [WebhookSettings] = [], alertmanagers: [AlertmanagerSettings] = []) {
        self.name = name
        self.webhooks = webhooks
        self.alertmanagers = alertmanagers
    }
}

/// A consumer of Alertmanager's webhook format.
public struct WebhookSettings: Sendable {
    public var url: Secret
    /// Whether it is told that alerts are over.
    public var sendsResolved = true
    /// Alerts in one message; 0 for all.
    public var maxAlerts = 0
    /// For one attempt; nil for as long as the flush may take.
    public var timeout: Duration?
    public var http = HTTPSettings()
    public var signature: SignatureSettings?

    public init(url: Secret) { self.url = url }
}

/// Alertmanagers that get every alert as it is: grouping, silences and the rest are theirs.
public struct AlertmanagerSettings: Sendable {
    /// Base URLs; each has a queue of its own and gets everything.
    public var urls: [String]
    /// For one batch. A batch that fails is dropped: the alerts are sent again while they fire.
    public var timeout = Duration.seconds(10)
    public var http = HTTPSettings()

    public init(urls: [String]) { self.urls = urls }
}

/// How a receiver is spoken to.
public struct HTTPSettings: Sendable {
    public enum Authorization: Sendable, Equatable {
        case basic(user: Secret, password: Secret)
        /// `Authorization: <scheme> <credentials>`; the scheme is usually `Bearer`.
        case header(scheme: String, credentials: Secret)
    }

    public var authorization: Authorization?
    public var headers: [(name: String, value: Secret)] = []
    public var tls = HTTPClient.TLS()
    public var proxy: String?
    public var followsRedirects = true

    public init() {}
}

/// Signs each message, so that the consumer knows who sent it and when:
///
/// the value of `header` is HMAC-SHA-256 with the secret as the key, in lower-case hexadecimal, over the bytes of the
/// body; or, where `timestampHeader` is set, over `<timestamp>:<body>`, the timestamp being the whole seconds since 1970
/// that stand in that header.
public struct SignatureSettings: Sendable, Equatable {
    public static let defaultHeader = "X-Outrigger-Signature"

    public var secret: Secret
    public var header: String
    public var timestampHeader: String?

    public init(secret: Secret, header: String = defaultHeader, timestampHeader: String? = nil) {
        self.secret = secret
        self.header = header
        self.timestampHeader = timestampHeader
    }

    /// The headers to add to a message with this body.
    func headers(for body: [UInt8], at now: Moment) throws(FileError) -> [(name: String, value: String)] {
        let key = Array(try secret.read().utf8)
        guard let timestampHeader else { return [(header, HMAC.sha256(key: key, body).hexadecimal)] }
        let timestamp = String(now.milliseconds / 1000)
        let digest = HMAC.sha256(key: key, Array("\(timestamp):".utf8) + body)
        return [(timestampHeader, timestamp), (header, digest.hexadecimal)]
    }
}

/// Text that is not for everybody's eyes, given at once or kept in a file that is read anew for every use.
public enum Secret: Sendable, Equatable, CustomStringConvertible {
    case text(String)
    case file(String)

    /// A file's content without white space at its ends.
    public func read() throws(FileError) -> String {
        switch self {
        case .text(let text): return text
        case .file(let path):
            var content = try Files.readText(path, limitBytes: 1 << 20)[...]
            while let first = content.first, first.isWhitespace { content.removeFirst() }
            while let last = content.last, last.isWhitespace { content.removeLast() }
            return String(content)
        }
    }

    /// Never the text.
    public var description: String {
        switch self {
        case .text: "<secret>"
        case .file(let path): path
        }
    }
}
