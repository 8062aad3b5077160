import CCurl
import Glibc
import Runtime
import Synchronization

/// Sends HTTP requests with libcurl. One thread, started with the first request, moves all of them at once, so that a
/// server that answers slowly or never delays nobody else.
///
/// Names are resolved by libcurl's own threads, connections are kept and used again, HTTP/2 is spoken where TLS agrees
/// on it. Redirects are followed only where the request says so, and never carry a message or a secret to another host.
/// Measured on Debian 12: linking libcurl costs 0.8 MB
/// of resident memory, the first request another 2.6 MB.
public final class HTTPClient: Sendable {
    /// What to send, and by when to have the answer.
    public struct Request: Sendable {
        public var method = "GET"
        public var url: String
        /// In the order in which they are sent.
        public var headers: [(name: String, value: String)] = []
        public var body: [UInt8] = []
        /// From resolving the name to the last byte of the answer.
        public var deadline: Deadline
        public var tls = TLS()
        /// For HTTP's basic authentication.
        public var user: (name: String, password: String)?
        /// `http://host:port`; empty for none, nil for what `http_proxy` and `https_proxy` say.
        public var proxy: String?
        public var followsRedirects = false
        /// Bytes of the answer's body that are kept; what follows is not read.
        public var responseLimit = 64 << 10

        public init(url: String, deadline: Deadline) {
            self.url = url
            self.deadline = deadline
        }
    }

    /// Whom to trust and who to be.
    public struct TLS: Sendable {
        /// A PEM file of certificates to trust instead of the system's.
        public var authorityFile: String?
        public var certificateFile: String?
        public var keyFile: String?
        /// The name that the server's certificate must bear, when it is not the URL's.
        public var serverName: String?
        /// Accept any certificate.
        public var isUnverified = false

        public init() {}
    }

    public struct Response: Sendable {
        public let status: Int
        /// Names in lower case, of the last answer where redirects were followed.
        public let headers: [(name: String, value: String)]
        /// At most `responseLimit` bytes.
        public let body: [UInt8]
        /// Where the server says that the answer is.
        fileprivate let redirect: String?

        public func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }
    }

    public enum Failure: Error, Equatable, CustomStringConvertible {
        case timedOut(url: String)
        case cancelled
        /// libcurl's code and its words: refused, reset, not resolved, a certificate that is not trusted.
        case transfer(code: Int, url: String, reason: String)
        case invalidRequest(url: String, reason: String)

        public var description: String {
            switch self {
            case .timedOut(let url): "request to \(url) timed out"
            case .cancelled: "request cancelled"
            case .transfer(_, let url, let reason): "request to \(url): \(reason)"
            case .invalidRequest(let url, let reason): "cannot send a request to \(url): \(reason)"
            }
        }
    }

    private let loop: TransferLoop

    /// - Parameter connectionLimit: connections that may be open at once; requests beyond it wait.
    public init(connectionLimit: Int = 64) { loop = TransferLoop(connectionLimit: connectionLimit) }

    deinit { loop.close() }

    /// More than any honest server needs.
    private static let mostRedirects = 10

    /// Sends and waits for the answer, whatever its status. A cancelled task gives the request up.
    public func send(_ request: Request) async throws(Failure) -> Response {
        var request = request
        for _ in 0...Self.mostRedirects {
            let response = try await sendOnce(request)
            guard request.followsRedirects, let target = response.redirect else { return response }
            request = try request.redirected(to: target)
        }
        throw .invalidRequest(url: request.shownURL, reason: "more than \(Self.mostRedirects) redirects")
    }

    private func sendOnce(_ request: Request) async throws(Failure) -> Response {
        let transfer = Transfer(request)
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                transfer.continuation = continuation
                loop.begin(transfer)
            }
        } onCancel: {
            loop.cancel(transfer)
        }
        return try result.get()
    }
}

/// One request under way. The loop's thread owns it from `begin` to the end.
private final class Transfer: @unchecked Sendable {
    let request: HTTPClient.Request
    var continuation: CheckedContinuation<Result<HTTPClient.Response, HTTPClient.Failure>, Never>?
    var handle: UnsafeMutableRawPointer?
    var lists: [UnsafeMutablePointer<curl_slist>] = []
    var headers: [(name: String, value: String)] = []
    var body: [UInt8] = []
    var isFull = false
    let isCancelled = Atomic<Bool>(false)
    /// libcurl writes its words for a failure here.
    let words = UnsafeMutablePointer<CChar>.allocate(capacity: Int(CURL_ERROR_SIZE))

    init(_ request: HTTPClient.Request) {
        self.request = request
        words.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
    }

    deinit {
        words.deallocate()
        for list in lists { curl_slist_free_all(list) }
    }

    func finish(_ result: Result<HTTPClient.Response, HTTPClient.Failure>) {
        continuation?.resume(returning: result)
        continuation = nil
    }

    func result(_ code: CURLcode) -> Result<HTTPClient.Response, HTTPClient.Failure> {
        if code == CURLE_OK || isFull {
            var status = 0
            outrigger_curl_status(handle, &status)
            let redirect = outrigger_curl_redirect(handle).map { String(cString: $0) }
            return .success(HTTPClient.Response(status: status, headers: headers, body: body, redirect: redirect))
        }
        if code == CURLE_OPERATION_TIMEDOUT { return .failure(.timedOut(url: request.shownURL)) }
        let own = String(cString: words)
        let reason = own.isEmpty ? String(cString: curl_easy_strerror(code)) : own
        return .failure(.transfer(code: Int(code.rawValue), url: request.shownURL, reason: reason))
    }
}

/// The thread that moves every transfer.
private final class TransferLoop: @unchecked Sendable {
    private struct State {
        var arriving: [Transfer] = []
        var cancelled: [ObjectIdentifier] = []
        var isStarted = false
        var isClosed = false
    }

    private let state = Mutex(State())
    private let connectionLimit: Int
    /// Written before the thread starts and freed by it; libcurl allows `curl_multi_wakeup` from any thread.
    private let multi = Mutex<Handle?>(nil)

    private struct Handle: @unchecked Sendable { let pointer: UnsafeMutableRawPointer }

    init(connectionLimit: Int) { self.connectionLimit = connectionLimit }

    func begin(_ transfer: Transfer) {
        let starts = state.withLock { state in
            state.arriving.append(transfer)
            defer { state.isStarted = true }
            return !state.isStarted
        }
        if starts { start() }
        wake()
    }

    /// May come before `begin`, when the task was cancelled already.
    func cancel(_ transfer: Transfer) {
        transfer.isCancelled.store(true, ordering: .relaxed)
        state.withLock { $0.cancelled.append(ObjectIdentifier(transfer)) }
        wake()
    }

    func close() {
        state.withLock { $0.isClosed = true }
        wake()
    }

    private func wake() { multi.withLock { if let multi = $0 { curl_multi_wakeup(multi.pointer) } } }

    private func start() {
        curl_global_init(Int(CURL_GLOBAL_DEFAULT))
        guard let made = curl_multi_init() else { preconditionFailure("libcurl: out of memory") }
        outrigger_curl_set_multi(made, CURLMOPT_MAX_TOTAL_CONNECTIONS, connectionLimit)
        outrigger_curl_set_multi(made, CURLMOPT_MAXCONNECTS, 16)
        let handle = Handle(pointer: made)
        multi.withLock { $0 = handle }
        DetachedThread.start("http-client") { [self] in run(handle.pointer) }
    }

    private func run(_ pointer: UnsafeMutableRawPointer) {
        var running: [ObjectIdentifier: Transfer] = [:]
        while true {
            let (arriving, cancelled, isClosed) = state.withLock { state in
                defer { (state.arriving, state.cancelled) = ([], []) }
                return (state.arriving, state.cancelled, state.isClosed)
            }
            for transfer in arriving {
                if let failure = add(transfer, to: pointer) {
                    transfer.finish(.failure(failure))
                } else {
                    running[ObjectIdentifier(transfer)] = transfer
                }
            }
            for id in cancelled {
                guard let transfer = running.removeValue(forKey: id) else { continue }
                remove(transfer, from: pointer)
                transfer.finish(.failure(.cancelled))
            }
            if isClosed && running.isEmpty { break }
            var count: Int32 = 0
            curl_multi_perform(pointer, &count)
            while let message = curl_multi_info_read(pointer, &count) {
                guard message.pointee.msg == CURLMSG_DONE, let raw = outrigger_curl_private(message.pointee.easy_handle)
                else { continue }
                let transfer = Unmanaged<Transfer>.fromOpaque(raw).takeUnretainedValue()
                let result = transfer.result(outrigger_curl_result(message))
                remove(transfer, from: pointer)
                running[ObjectIdentifier(transfer)] = nil
                transfer.finish(result)
            }
            curl_multi_poll(pointer, nil, 0, 10_000, nil)
        }
        multi.withLock { $0 = nil }
        curl_multi_cleanup(pointer)
    }

    private func remove(_ transfer: Transfer, from pointer: UnsafeMutableRawPointer) {
        curl_multi_remove_handle(pointer, transfer.handle)
        curl_easy_cleanup(transfer.handle)
        transfer.handle = nil
    }

    /// Hands the request to libcurl, or says why it cannot.
    private func add(_ transfer: Transfer, to pointer: UnsafeMutableRawPointer) -> HTTPClient.Failure? {
        let request = transfer.request
        guard !transfer.isCancelled.load(ordering: .relaxed) else { return .cancelled }
        guard !request.deadline.hasPassed else { return .timedOut(url: request.shownURL) }
        guard let handle = curl_easy_init() else {
            return .invalidRequest(url: request.shownURL, reason: "out of memory")
        }
        transfer.handle = handle
        let code = transfer.configure(handle)
        guard code == CURLE_OK else {
            curl_easy_cleanup(handle)
            transfer.handle = nil
            return .invalidRequest(url: request.shownURL, reason: String(cString: curl_easy_strerror(code)))
        }
        curl_multi_add_handle(pointer, handle)
        return nil
    }
}

extension HTTPClient.Request {
    /// The same request at another URL; a POST stays one, whatever the redirect's status.
    ///
    /// Scheme, host and port must be the same, or TLS come in addition. To any other host goes only a request without a
    /// body, without its headers, its user and its certificate.
    fileprivate func redirected(to target: String) throws(HTTPClient.Failure) -> HTTPClient.Request {
        var next = self
        next.url = target
        guard let from = Authority(url), let to = Authority(target) else {
            throw .invalidRequest(url: shownURL, reason: "redirect to what is no URL")
        }
        if let name = tls.serverName, to.host.lowercased() == name.lowercased(), to.port == from.port {
            next.url = to.url(withHost: String(from.host))
            return next
        }
        if to.host.lowercased() == from.host.lowercased() {
            if to.scheme == from.scheme, to.port == from.port { return next }
            if to.scheme == "https", from.scheme == "http" { return next }
        }
        guard method == "GET" || method == "HEAD", body.isEmpty else {
            throw .invalidRequest(
                url: shownURL,
                reason: "redirect to another host (\(to.scheme)://\(to.host):\(to.port)), which is not told")
        }
        next.headers = headers.filter { ["user-agent", "accept"].contains($0.name.lowercased()) }
        next.user = nil
        next.tls.certificateFile = nil
        next.tls.keyFile = nil
        next.tls.serverName = nil
        return next
    }

    /// The URL for messages: without user, password and query, where people put secrets.
    fileprivate var shownURL: String {
        var shown = url.prefix { $0 != "?" && $0 != "#" }
        if let scheme = shown.firstRange(of: "://") {
            let host = shown[scheme.upperBound...].prefix { $0 != "/" }
            if let at = host.lastIndex(of: "@") { shown.removeSubrange(scheme.upperBound...at) }
        }
        return String(shown)
    }
}

extension Transfer {
    /// Sets every option; the first that libcurl refuses ends it.
    fileprivate func configure(_ handle: UnsafeMutableRawPointer) -> CURLcode {
        let me = Unmanaged.passUnretained(self).toOpaque()
        let milliseconds = max(1, request.deadline.remaining.milliseconds)
        var codes = [
            outrigger_curl_set_pointer(handle, CURLOPT_PRIVATE, me),
            outrigger_curl_set_pointer(handle, CURLOPT_ERRORBUFFER, words),
            outrigger_curl_set_text(handle, CURLOPT_PROTOCOLS_STR, "http,https"),
            outrigger_curl_set_long(handle, CURLOPT_NOSIGNAL, 1),
            outrigger_curl_set_long(handle, CURLOPT_TIMEOUT_MS, milliseconds),
            outrigger_curl_set_long(handle, CURLOPT_CONNECTTIMEOUT_MS, milliseconds),
            // `HTTPClient.send` follows them itself: libcurl would take headers and body along to any host.
            outrigger_curl_set_long(handle, CURLOPT_FOLLOWLOCATION, 0),
            outrigger_curl_set_pointer(handle, CURLOPT_WRITEDATA, me),
            outrigger_curl_set_callback(handle, CURLOPT_WRITEFUNCTION, onBody),
            outrigger_curl_set_pointer(handle, CURLOPT_HEADERDATA, me),
            outrigger_curl_set_callback(handle, CURLOPT_HEADERFUNCTION, onHeader),
        ]
        codes += [setTarget(handle), setMethod(handle), setTLS(handle)]
        if let proxy = request.proxy { codes.append(outrigger_curl_set_text(handle, CURLOPT_PROXY, proxy)) }
        if let user = request.user {
            codes.append(outrigger_curl_set_long(handle, CURLOPT_HTTPAUTH, 1))
            codes.append(outrigger_curl_set_text(handle, CURLOPT_USERNAME, user.name))
            codes.append(outrigger_curl_set_text(handle, CURLOPT_PASSWORD, user.password))
        }
        return codes.first { $0 != CURLE_OK } ?? CURLE_OK
    }

    /// The URL and the headers. libcurl checks a certificate against the URL's host, so another name takes the host's
    /// place there, while the connection and the `Host` header keep the real one.
    private func setTarget(_ handle: UnsafeMutableRawPointer) -> CURLcode {
        // An empty value would make libcurl leave the header out; `Expect` is left out so that no round trip is lost.
        var lines = ["Expect:"] + request.headers.map { $0.value.isEmpty ? "\($0.name);" : "\($0.name): \($0.value)" }
        guard lines.allSatisfy({ !$0.utf8.contains(0x0a) && !$0.utf8.contains(0x0d) }) else {
            return CURLE_BAD_FUNCTION_ARGUMENT
        }
        var url = request.url
        if let name = request.tls.serverName, let authority = Authority(url) {
            url = authority.url(withHost: name)
            lines.append("Host: \(authority.text)")
            guard let target = append(["::\(authority.host):\(authority.port)"]) else { return CURLE_OUT_OF_MEMORY }
            let code = outrigger_curl_set_pointer(handle, CURLOPT_CONNECT_TO, target)
            guard code == CURLE_OK else { return code }
        }
        guard let list = append(lines) else { return CURLE_OUT_OF_MEMORY }
        let code = outrigger_curl_set_pointer(handle, CURLOPT_HTTPHEADER, list)
        return code == CURLE_OK ? outrigger_curl_set_text(handle, CURLOPT_URL, url) : code
    }

    /// libcurl copies the body, so that nothing of ours must stay in place.
    private func setMethod(_ handle: UnsafeMutableRawPointer) -> CURLcode {
        if request.body.isEmpty, request.method == "GET" { return CURLE_OK }
        let codes = [
            outrigger_curl_set_long(handle, CURLOPT_POSTFIELDSIZE, request.body.count),
            request.body.withUnsafeBytes {
                outrigger_curl_set_pointer(handle, CURLOPT_COPYPOSTFIELDS, $0.baseAddress ?? UnsafeRawPointer(words))
            },
            outrigger_curl_set_text(handle, CURLOPT_CUSTOMREQUEST, request.method),
        ]
        return codes.first { $0 != CURLE_OK } ?? CURLE_OK
    }

    private func setTLS(_ handle: UnsafeMutableRawPointer) -> CURLcode {
        let tls = request.tls
        var codes: [CURLcode] = []
        if let file = tls.authorityFile { codes.append(outrigger_curl_set_text(handle, CURLOPT_CAINFO, file)) }
        if let file = tls.certificateFile { codes.append(outrigger_curl_set_text(handle, CURLOPT_SSLCERT, file)) }
        if let file = tls.keyFile { codes.append(outrigger_curl_set_text(handle, CURLOPT_SSLKEY, file)) }
        if tls.isUnverified {
            codes.append(outrigger_curl_set_long(handle, CURLOPT_SSL_VERIFYPEER, 0))
            codes.append(outrigger_curl_set_long(handle, CURLOPT_SSL_VERIFYHOST, 0))
        }
        return codes.first { $0 != CURLE_OK } ?? CURLE_OK
    }

    /// A list that lives as long as this transfer.
    private func append(_ lines: [String]) -> UnsafeMutablePointer<curl_slist>? {
        var list: UnsafeMutablePointer<curl_slist>?
        for line in lines {
            guard let longer = curl_slist_append(list, line) else {
                curl_slist_free_all(list)
                return nil
            }
            list = longer
        }
        if let list { lists.append(list) }
        return list
    }
}

/// The scheme, host and port of a URL.
private struct Authority {
    private let before: Substring
    private let after: Substring
    let text: Substring
    let host: Substring
    let port: Substring
    var scheme: String { before.dropLast(3).lowercased() }

    init?(_ url: String) {
        guard let scheme = url.firstRange(of: "://") else { return nil }
        before = url[..<scheme.upperBound]
        let rest = url[scheme.upperBound...]
        let authority = rest.prefix { !"/?#".contains($0) }
        after = rest[authority.endIndex...]
        text = authority[(authority.lastIndex(of: "@").map { authority.index(after: $0) } ?? authority.startIndex)...]
        if !text.hasSuffix("]"), let colon = text.lastIndex(of: ":") {
            host = text[..<colon]
            port = text[text.index(after: colon)...]
        } else {
            host = text
            port = before.lowercased().hasPrefix("https") ? "443" : "80"
        }
    }

    func url(withHost name: String) -> String { "\(before)\(name):\(port)\(after)" }
}

private let onBody: curl_write_callback = { bytes, size, count, context in
    guard let bytes, let context else { return 0 }
    let transfer = Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
    let room = transfer.request.responseLimit - transfer.body.count
    UnsafeRawBufferPointer(start: bytes, count: min(size * count, room)).withMemoryRebound(to: UInt8.self) {
        transfer.body.append(contentsOf: $0)
    }
    transfer.isFull = size * count > room
    return transfer.isFull ? 0 : size * count
}

/// One header line at a time; a status line begins the next answer's.
private let onHeader: curl_write_callback = { bytes, size, count, context in
    guard let bytes, let context else { return 0 }
    let transfer = Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
    let raw = UnsafeRawBufferPointer(start: bytes, count: size * count)
    let line = String(decoding: raw, as: UTF8.self)
    if line.hasPrefix("HTTP/") {
        transfer.headers = []
    } else if let colon = line.firstIndex(of: ":"), transfer.headers.count < 256 {
        let value = line[line.index(after: colon)...].drop { $0.isWhitespace }
        let end = value.lastIndex { !$0.isWhitespace }.map { value.index(after: $0) } ?? value.startIndex
        transfer.headers.append((line[..<colon].lowercased(), String(value[..<end])))
    }
    return size * count
}
