import Runtime
import Synchronization

/// One client's connection: its requests, one after the other. Only for the loop's thread.
final class HTTPSession: StreamOwner, @unchecked Sendable {
    let network: String
    private let connection: StreamConnection
    /// Each holds the other until the connection is closed.
    private let hall: HTTPHall
    private var stage: Stage
    /// Milliseconds of the monotonic clock from which on the stage's time runs.
    private(set) var sinceMs: Int
    /// Bytes of an unfinished head that were looked at.
    private var seen = 0
    private var current: Current?
    private var unsentBefore = 0
    private var hasEnded = false

    private enum Stage {
        /// Between requests; nothing of the next has come.
        case idle
        /// The head is not complete.
        case header
        /// It is being decided whether the request is served.
        case screening
        case body(RequestBody)
        case answering
        /// The answer is there; whatever still comes is thrown away.
        case closing
    }

    /// The request that is being served.
    private struct Current {
        let request: HTTPRequest
        let head: RequestHead
        var keepsAlive: Bool
        let waiter: Waiter
    }

    /// What may lie unread behind a request that is being answered.
    private static let readAhead = 64 << 10

    init(_ connection: StreamConnection, in hall: HTTPHall, from network: String) {
        self.connection = connection
        self.hall = hall
        self.network = network
        stage = .header
        sinceMs = MonotonicClock.nowMs
        connection.owner = self
    }

    var unsentBytes: Int { connection.unsentBytes }

    /// Whether the client could go on, and does not.
    var isWaitedFor: Bool {
        switch stage {
        case .idle, .header, .body, .closing: true
        case .screening, .answering: false
        }
    }

    func end() {
        current?.waiter.leave()
        connection.close()
    }

    /// Ends once what is being served was answered.
    func finish() {
        switch stage {
        case .idle, .header, .closing: connection.closeWhenSent()
        case .screening, .body, .answering:
            current?.keepsAlive = false
            current?.waiter.leave()
        }
    }

    func checkTime() {
        let unsent = connection.unsentBytes
        if unsent > 0, unsent != unsentBefore { sinceMs = MonotonicClock.nowMs }
        unsentBefore = unsent
        let waited = Duration.milliseconds(MonotonicClock.nowMs - sinceMs)
        switch stage {
        case .idle:
            if waited >= hall.limits.idle { connection.close() }
        case .header:
            guard waited >= hall.limits.header else { return }
            hall.counts.evicted.add(1, ordering: .relaxed)
            // Whoever has said nothing gets no answer, and neither does a handshake.
            guard seen > 0 else { return connection.close() }
            refuse(.text("the header took too long\n", status: 408))
        case .body:
            guard waited >= hall.limits.body else { return }
            hall.counts.evicted.add(1, ordering: .relaxed)
            refuse(.text("the body took too long\n", status: 408))
        case .closing:
            if waited >= min(.seconds(2), hall.limits.idle) { connection.close() }
        case .screening, .answering:
            if unsent > 0, waited >= hall.limits.idle { end() }
        }
    }

    // MARK: What comes

    func received(_ connection: StreamConnection) { goOn() }

    /// The client sends no more: it has gone, or only asked and waits. It is told what there is to tell, but nobody computes
    /// for long.
    func ended(_ connection: StreamConnection) {
        hasEnded = true
        switch stage {
        case .screening, .answering:
            current?.keepsAlive = false
            current?.waiter.leave()
        case .idle, .header, .body, .closing: connection.closeWhenSent()
        }
    }

    func drained(_ connection: StreamConnection) {}

    func closed(_ connection: StreamConnection) {
        current?.waiter.leave()
        hall.left(self)
        current = nil
        stage = .closing
    }

    private func goOn() {
        while connection.isOpen {
            switch stage {
            case .idle, .header: guard readHead() else { return }
            case .body(let body): guard readBody(body) else { return }
            case .screening, .answering:
                var waiting = 0
                connection.takeInput {
                    waiting = $0.count
                    return 0
                }
                if waiting > Self.readAhead { connection.pause() }
                return
            case .closing: return connection.takeInput { $0.count }
            }
        }
    }

    /// - Returns: whether there may be more to do.
    private func readHead() -> Bool {
        var found: RequestHead?
        var fault: RequestHead.Fault?
        connection.takeInput { input in
            guard input.count > 0 else { return 0 }
            if case .idle = stage { (stage, sinceMs) = (.header, hall.loop.nowMs) }
            guard seen == 0 || input.count > RequestHead.limitBytes || hasLineEnd(input, from: seen) else {
                seen = input.count
                return 0
            }
            seen = input.count
            do throws(RequestHead.Fault) {
                guard let (head, length) = try RequestHead.read(input) else { return 0 }
                found = head
                seen = 0
                return length
            } catch {
                fault = error
                return input.count
            }
        }
        if let fault {
            hall.counts.malformed.add(1, ordering: .relaxed)
            refuse(.text("\(fault.reason)\n", status: fault.status))
            return true
        }
        guard let found else { return false }
        begin(found)
        return true
    }

    private func hasLineEnd(_ input: Span<UInt8>, from start: Int) -> Bool {
        for index in start..<input.count where input[index] == 0x0A { return true }
        return false
    }

    private func begin(_ head: RequestHead) {
        let waiter = Waiter()
        var request = HTTPRequest(
            method: head.method, path: head.path, query: head.query, headers: head.fields,
            isFromLoopback: connection.peer.isLocal)
        request.client = "\(connection.peer)"
        request.waiter = waiter
        current = Current(
            request: request, head: head, keepsAlive: head.keepsAlive && !hall.isClosing, waiter: waiter)
        if case .length(let length) = head.body, length > hall.limits.bodyBytes {
            return refuse(.text("body too long\n", status: 413))
        }
        guard hall.pendingBytes < hall.limits.pendingBytes else {
            return refuse(.text("too many answers are waiting to be read\n", status: 503))
        }
        stage = .screening
        let (hall, asked) = (hall, request)
        Task { [self] in
            let admission = await hall.screen(asked)
            guard case .admitted(let visitor, let takesBody) = admission, head.body == .none || !takesBody else {
                return hall.loop.post { [self] in screened(admission) }
            }
            var known = asked
            known.admit(visitor)
            let response = await hall.handler(known)
            hall.loop.post { [self] in
                if head.body != .none { current?.keepsAlive = false }
                answer(response)
            }
        }
    }

    private func screened(_ admission: HTTPServer.Admission) {
        guard connection.isOpen, var now = current else { return }
        switch admission {
        case .refused(let response):
            if now.head.body != .none { current?.keepsAlive = false }
            answer(response)
        case .admitted(let visitor, _):
            var request = now.request
            request.admit(visitor)
            now = Current(request: request, head: now.head, keepsAlive: now.keepsAlive, waiter: now.waiter)
            current = now
            sinceMs = hall.loop.nowMs
            stage = .body(RequestBody(now.head.body, limit: hall.limits.bodyBytes, budget: hall.limits.bodies))
            if now.head.field("expect")?.lowercased() == "100-continue" {
                connection.send { $0.append(contentsOf: "HTTP/1.1 100 Continue\r\n\r\n".utf8) }
            }
            connection.resume()
            goOn()
        }
    }

    /// - Returns: whether there may be more to do.
    private func readBody(_ body: RequestBody) -> Bool {
        var progress = RequestBody.Progress.wantsMore
        var fault: RequestHead.Fault?
        connection.takeInput { input in
            do throws(RequestHead.Fault) {
                let step = try body.take(input)
                progress = step.progress
                return step.taken
            } catch {
                fault = error
                return input.count
            }
        }
        if let fault {
            if fault.status == 400 { hall.counts.malformed.add(1, ordering: .relaxed) }
            refuse(.text("\(fault.reason)\n", status: fault.status))
            return true
        }
        guard progress == .done, let now = current else { return false }
        stage = .answering
        let (hall, request) = (hall, now.request.with(body: body.bytes))
        Task { [self] in
            // The budget is given back when the last who has the body lets go of it.
            let response = await hall.handler(request)
            withExtendedLifetime(body) {}
            hall.loop.post { [self] in answer(response) }
        }
        return true
    }

    // MARK: What goes

    /// Answers what cannot be served, and closes.
    private func refuse(_ response: HTTPResponse) {
        current?.keepsAlive = false
        answer(response)
    }

    private func answer(_ response: HTTPResponse) {
        guard connection.isOpen else { return }
        let keepsAlive = current?.keepsAlive ?? false
        let isHead = current?.request.method == "HEAD"
        connection.send { ResponseHead.write(response, isHead: isHead, keepsAlive: keepsAlive, to: &$0) }
        current = nil
        (sinceMs, seen) = (hall.loop.nowMs, 0)
        guard keepsAlive else {
            stage = .closing
            guard !hasEnded, !hall.isClosing else { return connection.closeWhenSent() }
            // What is unread when a socket closes would take the answer with it.
            connection.finishWhenSent()
            connection.resume()
            return goOn()
        }
        stage = .idle
        connection.resume()
        goOn()
    }
}

extension HTTPRequest {
    fileprivate func with(body: [UInt8]) -> HTTPRequest {
        var copy = HTTPRequest(
            method: method, path: path, query: query, headers: headers, body: body, isFromLoopback: isFromLoopback)
        (copy.client, copy.user, copy.isTrusted, copy.waiter) = (client, user, isTrusted, waiter)
        return copy
    }

    fileprivate mutating func admit(_ visitor: HTTPServer.Visitor?) {
        guard let visitor else { return }
        (user, isTrusted) = (visitor.user, visitor.isTrusted)
    }
}

/// The first lines of an answer.
enum ResponseHead {
    static func write(_ response: HTTPResponse, isHead: Bool, keepsAlive: Bool, to bytes: inout [UInt8]) {
        bytes.reserveCapacity(bytes.count + response.body.count + 512)
        line("HTTP/1.1 \(response.status) \(reason(response.status))", &bytes)
        line("Date: \(date(WallClock.nowMilliseconds / 1000))", &bytes)
        if response.status >= 200, response.status != 204, response.status != 304 {
            line("Content-Length: \(response.body.count)", &bytes)
        }
        for (name, value) in response.headers where isClean(name) && isClean(value) {
            line("\(name): \(value)", &bytes)
        }
        if !keepsAlive { line("Connection: close", &bytes) }
        line("", &bytes)
        if !isHead, response.status != 204, response.status != 304 { bytes.append(contentsOf: response.body) }
    }

    private static func line(_ text: String, _ bytes: inout [UInt8]) {
        bytes.append(contentsOf: text.utf8)
        bytes.append(contentsOf: [0x0D, 0x0A])
    }

    /// What came from outside must not begin another line.
    private static func isClean(_ text: String) -> Bool { text.utf8.allSatisfy { $0 >= 0x20 || $0 == 0x09 } }

    private static func date(_ seconds: Int64) -> String {
        let days = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        let now = max(0, seconds)
        // "2026-12-01T02:00:00Z"
        let text = Array(RFC3339.text(seconds: now).utf8)
        func part(_ range: Range<Int>) -> String { String(decoding: text[range], as: UTF8.self) }
        let month = months[(Int(part(5..<7)) ?? 1) - 1]
        return "\(days[Int(now / 86_400) % 7]), \(part(8..<10)) \(month) \(part(0..<4)) \(part(11..<19)) GMT"
    }

    private static func reason(_ status: Int) -> String {
        switch status {
        case 200: "OK"
        case 202: "Accepted"
        case 204: "No Content"
        case 301: "Moved Permanently"
        case 302: "Found"
        case 307: "Temporary Redirect"
        case 308: "Permanent Redirect"
        case 304: "Not Modified"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
        case 413: "Content Too Large"
        case 414: "URI Too Long"
        case 422: "Unprocessable Content"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 499: "Client Closed Request"
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        case 505: "HTTP Version Not Supported"
        default: "Status"
        }
    }
}
