import Metrics
import Network
import Runtime

/// Alertmanager's HTTP API, version 2, as far as amtool, Grafana and Prometheus use it.
public struct AlertmanagerAPI: Sendable {
    private let dispatcher: Dispatcher
    private let version: String
    private let startedAt: Moment

    /// Most alerts in one post.
    public static let postLimit = 10_000

    public init(_ dispatcher: Dispatcher, version: String, startedAt: Moment) {
        self.dispatcher = dispatcher
        self.version = version
        self.startedAt = startedAt
    }

    /// Whether `answer` is for this path.
    public static func serves(_ path: String) -> Bool { path.hasPrefix("/api/v2/") }

    /// Whether a request changes something, and so needs the trust that changes need.
    public static func changes(_ request: HTTPRequest) -> Bool { !["GET", "HEAD", "OPTIONS"].contains(request.method) }

    public func answer(_ request: HTTPRequest) async -> HTTPResponse {
        do throws(APIError) {
            return try await route(request)
        } catch {
            return error.response
        }
    }

    private func route(_ request: HTTPRequest) async throws(APIError) -> HTTPResponse {
        let parts = request.path.dropFirst("/api/v2/".count).split(separator: "/").map { String($0) }
        switch parts.first {
        case "status" where parts.count == 1:
            try allow(["GET"], request)
            return await status
        case "receivers" where parts.count == 1:
            try allow(["GET"], request)
            return await receivers
        case "alerts" where parts.count == 1:
            try allow(["GET", "POST"], request)
            return request.method == "POST" ? try await postAlerts(request) : try await alerts(request)
        case "alerts" where parts.count == 2 && parts[1] == "groups":
            try allow(["GET"], request)
            return try await groups(request)
        case "silences" where parts.count == 1:
            try allow(["GET", "POST"], request)
            return request.method == "POST" ? try await postSilence(request) : try await silences(request)
        case "silence" where parts.count == 2:
            try allow(["DELETE", "GET"], request)
            return request.method == "DELETE" ? try await deleteSilence(parts[1]) : try await silence(parts[1])
        default: throw .unknownPath(request.path)
        }
    }

    private func allow(_ methods: [String], _ request: HTTPRequest) throws(APIError) {
        guard methods.contains(request.method) else { throw .wrongMethod(request.method, allowed: methods) }
    }

    // MARK: Status

    private var status: HTTPResponse {
        get async {
            let configuration = await dispatcher.read { board, _ in board.configuration.alertmanagerText }
            return json { write(configuration, to: &$0) }
        }
    }

    private func write(_ configuration: String, to writer: inout JSONWriter) {
        writer.object {
            $0.key("cluster")
            $0.object {
                $0.key("peers")
                $0.array { _ in }
                $0.key("status")
                $0.string("disabled")
            }
            $0.key("config")
            $0.object {
                $0.key("original")
                $0.string(configuration)
            }
            $0.key("uptime")
            $0.string(startedAt.withMilliseconds)
            $0.key("versionInfo")
            $0.object {
                for name in ["branch", "buildDate", "buildUser", "goVersion", "revision"] {
                    $0.key(name)
                    $0.string("")
                }
                $0.key("version")
                $0.string(version)
            }
        }
    }

    private var receivers: HTTPResponse {
        get async {
            let names = await dispatcher.read { board, _ in board.configuration.receivers.map(\.name) }
            return json { $0.array { for name in names { $0.receiver(name) } } }
        }
    }

    // MARK: Alerts

    private func alerts(_ request: HTTPRequest) async throws(APIError) -> HTTPResponse {
        let filter = try AlertFilter(request)
        let statuses = await dispatcher.read { board, now in board.statuses(at: now).filter(filter.takes) }
        return json { $0.array { for status in statuses { status.write(to: &$0) } } }
    }

    private func groups(_ request: HTTPRequest) async throws(APIError) -> HTTPResponse {
        let filter = try AlertFilter(request)
        let groups = await dispatcher.read { board, now in
            board.groupStatuses(at: now).map { ($0.labels, $0.receiver, $0.alerts.filter(filter.takes)) }
                .filter { !$0.2.isEmpty }
        }
        return json {
            $0.array {
                for (labels, receiver, alerts) in groups {
                    $0.object {
                        $0.key("alerts")
                        $0.array { for status in alerts { status.write(to: &$0) } }
                        $0.key("labels")
                        $0.map(labels.pairs)
                        $0.key("receiver")
                        $0.receiver(receiver)
                    }
                }
            }
        }
    }

    /// What is valid is taken even if something else is not.
    private func postAlerts(_ request: HTTPRequest) async throws(APIError) -> HTTPResponse {
        guard let elements = try body(request, "alerts").array else { throw .unreadable("parsing alerts body failed") }
        guard elements.count <= Self.postLimit else { throw .invalid("more than \(Self.postLimit) alerts") }
        let (timeout, now) = await dispatcher.read { board, now in (board.configuration.resolveTimeout, now) }
        var alerts: [Alert] = []
        var problems: [String] = []
        for element in elements {
            let posted = try PostedAlert(element)
            do throws(APIError) {
                alerts.append(try posted.alert(resolveTimeout: timeout, at: now))
            } catch {
                problems.append(error.description)
            }
        }
        let lost = await dispatcher.receive(alerts)
        guard lost == 0 else {
            throw .overloaded("\(lost) of \(alerts.count) alerts were dropped: there are as many as there may be")
        }
        guard problems.isEmpty else { throw .invalid(problems.joined(separator: "; ")) }
        return HTTPResponse()
    }

    // MARK: Silences

    private func silences(_ request: HTTPRequest) async throws(APIError) -> HTTPResponse {
        let filter = try AlertFilter.matchers(request)
        let (silences, now) = await dispatcher.read { board, now in (board.silences.sorted(at: now), now) }
        // A silence is found by the texts its equality matchers stand for, as Alertmanager finds it.
        let found = silences.filter { silence in
            filter.matches(Labels(silence.matchers.map { Label($0.name, $0.value) }))
        }
        return json { $0.array { for silence in found { silence.write(to: &$0, at: now) } } }
    }

    private func silence(_ id: String) async throws(APIError) -> HTTPResponse {
        try check(id)
        let (silence, now) = await dispatcher.read { board, now in (board.silences[id], now) }
        guard let silence else { return HTTPResponse(status: 404) }
        return json { silence.write(to: &$0, at: now) }
    }

    private func postSilence(_ request: HTTPRequest) async throws(APIError) -> HTTPResponse {
        let silence = try Silence(json: try body(request, "silence"))
        do {
            let id = try await dispatcher.changeSilences { silences, now throws(SilenceError) in
                try silences.set(silence, newID: UUID.random(), at: now)
            }
            return json {
                $0.object {
                    $0.key("silenceID")
                    $0.string(id)
                }
            }
        } catch {
            if case .notFound = error { throw .notFound("silence not found") }
            if case .notKept = error { throw .failed("\(error)") }
            throw .invalid("\(error)")
        }
    }

    private func deleteSilence(_ id: String) async throws(APIError) -> HTTPResponse {
        try check(id)
        do {
            try await dispatcher.changeSilences { silences, now throws(SilenceError) in
                try silences.expire(id, at: now)
            }
        } catch {
            if case .isConfigured = error { throw .failed("\(error)") }
            if case .notKept = error { throw .failed("\(error)") }
            throw .notFound("silence not found")
        }
        return HTTPResponse()
    }

    private func check(_ id: String) throws(APIError) {
        guard UUID.isValid(id) else {
            throw .unprocessable("silenceID in path must be of type uuid: \(GoQuote.quoted(id))")
        }
    }

    // MARK: JSON

    private func body(_ request: HTTPRequest, _ what: String) throws(APIError) -> JSON {
        do {
            return try JSON.parse(request.body)
        } catch {
            throw .unreadable("parsing \(what) body from \"\" failed, because \(error)")
        }
    }

    private func json(_ write: (inout JSONWriter) -> Void) -> HTTPResponse {
        var writer = JSONWriter()
        write(&writer)
        writer.newline()
        return .json(writer.bytes)
    }
}

/// Identifiers of 128 bits (RFC 9562): random ones (version 4), and ones that follow from a text (version 8).
enum UUID {
    static func random() -> String { text((0..<16).map { _ in UInt8.random(in: 0...255) }, version: 4) }

    /// The same for the same text.
    static func of(_ text: String) -> String {
        self.text(Array(HMAC.sha256(key: Array("outrigger".utf8), Array(text.utf8)).prefix(16)), version: 8)
    }

    private static func text(_ bytes: [UInt8], version: UInt8) -> String {
        var bytes = bytes
        bytes[6] = bytes[6] & 0x0f | version << 4
        bytes[8] = bytes[8] & 0x3f | 0x80
        let digits = Array(bytes.hexadecimal)
        return [0..<8, 8..<12, 12..<16, 16..<20, 20..<32].map { String(digits[$0]) }.joined(separator: "-")
    }

    static func isValid(_ text: String) -> Bool {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        return parts.map(\.utf8.count) == [8, 4, 4, 4, 12]
            && parts.allSatisfy { $0.allSatisfy { $0.isASCII && $0.isHexDigit } }
    }
}
