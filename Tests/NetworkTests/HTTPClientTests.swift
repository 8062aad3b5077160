import Foundation
import Network
import Runtime
import Synchronization
import TestTools
import Testing

@Suite struct HTTPClientTests {
    private let client = HTTPClient()

    /// A server on a free port that answers with `handler`.
    private func serve(_ handler: @escaping HTTPServer.Handler) throws -> (server: HTTPServer, url: String) {
        let server = try HTTPServer(ListenAddress(host: "127.0.0.1", port: 0), handler: handler)
        return (server, "http://\(server.address)")
    }

    private func request(_ url: String, within patience: Duration = .seconds(120)) -> HTTPClient.Request {
        HTTPClient.Request(url: url, deadline: .after(patience))
    }

    @Test func aRequestArrivesAsItWasWrittenAndItsAnswerComesBack() async throws {
        let seen = Mutex<HTTPRequest?>(nil)
        let (server, url) = try serve { request in
            seen.withLock { $0 = request }
            return HTTPResponse(status: 418, headers: [("X-Answer", " yes ")], body: Array("tea".utf8))
        }
        var post = request(url + "/a%20b?q=1")
        post.method = "POST"
        post.headers = [("Content-Type", "application/json"), ("X-Empty", "")]
        post.user = ("name", "p:ss")
        post.body = Array(#"{"a":1}"#.utf8) + [0, 255]
        let response = try await client.send(post)
        #expect(response.status == 418)
        #expect(response.body == Array("tea".utf8))
        #expect(response.header("x-answer") == "yes")
        let request = try #require(seen.withLock { $0 })
        #expect(request.method == "POST" && request.path == "/a b" && request.parameter("q") == "1")
        #expect(request.body == post.body)
        #expect(request.header("content-type") == "application/json" && request.header("x-empty") == "")
        #expect(request.header("authorization") == "Basic " + Data("name:p:ss".utf8).base64EncodedString())
        #expect(request.header("expect") == nil)
        await server.stop(within: .seconds(1))
    }

    @Test func anEmptyPostHasALengthOfZero() async throws {
        let (server, url) = try serve { .text($0.header("content-length") ?? "none") }
        var post = request(url)
        post.method = "POST"
        #expect(try await client.send(post).body == Array("0".utf8))
        await server.stop(within: .seconds(1))
    }

    @Test func aServerThatNeverAnswersDelaysNobody() async throws {
        let gate = Gate()
        let (stuck, stuckURL) = try serve { _ in
            await gate.wait()
            return .text("late")
        }
        let (quick, quickURL) = try serve { _ in .text("now") }
        let slow = Task { [client] in try await client.send(request(stuckURL)).body }
        for _ in 0..<20 { #expect(try await client.send(request(quickURL)).body == Array("now".utf8)) }
        gate.open()
        #expect(try await slow.value == Array("late".utf8))
        await stuck.stop(within: .seconds(5))
        await quick.stop(within: .seconds(1))
    }

    @Test func aRequestEndsAtItsDeadlineAndItsQueryIsNotShown() async throws {
        let gate = Gate()
        let (stuck, url) = try serve { _ in
            await gate.wait()
            return .text("late")
        }
        await #expect(throws: HTTPClient.Failure.timedOut(url: url + "/x")) {
            try await client.send(request(url + "/x?secret=1", within: .milliseconds(300)))
        }
        await #expect(throws: HTTPClient.Failure.timedOut(url: url + "/y")) {
            try await client.send(request(url + "/y", within: .zero))
        }
        gate.open()
        await stuck.stop(within: .seconds(5))
    }

    @Test func aCancelledTaskGivesTheRequestUp() async throws {
        let gate = Gate()
        let arrived = Gate()
        let (server, url) = try serve { _ in
            arrived.open()
            await gate.wait()
            return .text("late")
        }
        let task = Task { [client] in try await client.send(request(url)) }
        await arrived.wait()
        task.cancel()
        await #expect(throws: HTTPClient.Failure.cancelled) { try await task.value }
        let early = Task { [client] in
            withUnsafeCurrentTask { $0?.cancel() }
            return try await client.send(request(url))
        }
        await #expect(throws: HTTPClient.Failure.cancelled) { try await early.value }
        gate.open()
        await server.stop(within: .seconds(5))
    }

    @Test func aRefusedConnectionSaysSo() async throws {
        let (server, url) = try serve { _ in .text("") }
        await server.stop(within: .seconds(1))
        do {
            _ = try await client.send(request(url))
            Issue.record("somebody answered")
        } catch {
            #expect("\(error)".contains("refused") || "\(error)".contains("connect"), "\(error)")
        }
    }

    @Test(arguments: ["file:///etc/passwd", "gopher://127.0.0.1/", "not a url", ""])
    func onlyHTTPIsSpoken(_ url: String) async {
        await #expect(throws: HTTPClient.Failure.self) { try await client.send(request(url)) }
    }

    @Test func headersCannotBeSmuggledIn() async throws {
        var get = request("http://127.0.0.1:1/")
        get.headers = [("X-A", "1\r\nX-B: 2")]
        await #expect(throws: HTTPClient.Failure.self) { try await client.send(get) }
    }

    @Test func redirectsAreFollowedOnlyOnDemandAndLongAnswersAreCut() async throws {
        let (server, url) = try serve { request in
            request.path == "/"
                ? HTTPResponse(status: 302, headers: [("Location", "/long")])
                : HTTPResponse(body: [UInt8](repeating: 65, count: 1 << 20))
        }
        var get = request(url + "/")
        #expect(try await client.send(get).status == 302)
        get.followsRedirects = true
        get.responseLimit = 1000
        let response = try await client.send(get)
        #expect(response.status == 200 && response.body.count == 1000)
        #expect(response.header("location") == nil)
        await server.stop(within: .seconds(1))
    }

    @Test func aRedirectCarriesNoMessageAndNoSecretToAnotherHost() async throws {
        let seen = Mutex<[[String]]>([])
        let (other, otherURL) = try serve { request in
            seen.withLock {
                $0.append([
                    request.method, request.header("x-secret") ?? "", request.header("authorization") ?? "",
                    String(decoding: request.body, as: UTF8.self),
                ])
            }
            return .text("other")
        }
        let (server, url) = try serve { request in
            switch request.path {
            case "/away": HTTPResponse(status: 307, headers: [("Location", otherURL + "/")])
            case "/here": HTTPResponse(status: 308, headers: [("Location", "/end")])
            case "/loop": HTTPResponse(status: 302, headers: [("Location", "/loop")])
            default:
                .text(
                    "\(request.method) \(request.header("x-secret") ?? "") \(String(decoding: request.body, as: UTF8.self))"
                )
            }
        }
        var post = request(url + "/away")
        post.method = "POST"
        post.body = Array("message".utf8)
        post.headers = [("X-Secret", "s"), ("Authorization", "Bearer t")]
        post.user = ("u", "p")
        post.followsRedirects = true
        do {
            _ = try await client.send(post)
            Issue.record("the message was told to another host")
        } catch {
            #expect("\(error)".contains("redirect to another host (http://127.0.0.1:"), "\(error)")
        }
        #expect(seen.withLock { $0 }.isEmpty)

        post.url = url + "/here"
        let here = try await client.send(post)
        #expect(String(decoding: here.body, as: UTF8.self) == "POST s message")

        var get = post
        (get.url, get.method, get.body) = (url + "/away", "GET", [])
        let away = try await client.send(get)
        #expect(String(decoding: away.body, as: UTF8.self) == "other")
        #expect(seen.withLock { $0 } == [["GET", "", "", ""]])

        get.url = url + "/loop"
        await #expect(throws: HTTPClient.Failure.self) { try await client.send(get) }
        await server.stop(within: .seconds(1))
        await other.stop(within: .seconds(1))
    }

    @Test func manyRequestsAtOnceAllComeBack() async throws {
        let (server, url) = try serve { .text($0.parameter("n") ?? "") }
        let sum = try await withThrowingTaskGroup(of: Int.self) { group in
            for number in 0..<300 {
                group.addTask { [client] in
                    let response = try await client.send(
                        HTTPClient.Request(url: "\(url)/?n=\(number)", deadline: .after(.seconds(120))))
                    return Int(String(decoding: response.body, as: UTF8.self)) ?? -1
                }
            }
            return try await group.reduce(0, +)
        }
        #expect(sum == 300 * 299 / 2)
        await server.stop(within: .seconds(1))
    }
}

/// Against Python's TLS, with certificates made for the test.
@Suite struct HTTPClientTLSTests {
    private static let script = """
        import http.server, ssl, sys
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                peer = self.connection.getpeercert() or {}
                name = dict(pair[0] for pair in peer.get('subject', ())).get('commonName', 'nobody')
                body = (self.headers['Host'].split(':')[0] + ' ' + name).encode()
                self.send_response(200)
                self.send_header('Content-Length', str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            def log_message(self, *arguments): pass
        folder = sys.argv[1]
        server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder + '/server.pem', folder + '/server.key')
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(folder + '/server.pem')
        context.load_verify_locations(folder + '/client.pem')
        server.socket = context.wrap_socket(server.socket, server_side=True)
        print(server.server_address[1], flush=True)
        server.serve_forever()
        """

    private func run(_ arguments: [String]) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = arguments
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0)
    }

    private func makeCertificate(_ name: String, in folder: String) throws {
        try run([
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
            "2",
            "-subj", "/CN=\(name).test", "-addext", "subjectAltName=DNS:\(name).test", "-keyout",
            "\(folder)/\(name).key", "-out", "\(folder)/\(name).pem",
        ])
    }

    @Test func certificatesAreCheckedAndShown() async throws {
        let folder = try TemporaryFolder("outrigger-tls")
        for name in ["server", "client"] { try makeCertificate(name, in: folder.path) }
        // It ends with this process, however that ends.
        let output = folder.path + "/output"
        let server = try ChildProcess("python3", ["-c", Self.script, folder.path], output: output)
        defer { server.signal(SIGKILL) }
        var line = ""
        let patience = Deadline.after(.seconds(120))
        while !line.hasSuffix("\n"), !patience.hasPassed {
            line = (try? Files.readText(output)) ?? ""
            try await Task.sleep(for: .milliseconds(5))
        }
        let port = line.trimmingCharacters(in: .whitespacesAndNewlines)
        let client = HTTPClient()

        var request = HTTPClient.Request(url: "https://127.0.0.1:\(port)/", deadline: .after(.seconds(120)))
        await #expect(throws: HTTPClient.Failure.self) { try await client.send(request) }

        request.tls.authorityFile = folder.path + "/server.pem"
        await #expect(throws: HTTPClient.Failure.self) { try await client.send(request) }

        request.tls.serverName = "server.test"
        #expect(try await client.send(request).body == Array("127.0.0.1 nobody".utf8))

        request.tls.certificateFile = folder.path + "/client.pem"
        request.tls.keyFile = folder.path + "/client.key"
        #expect(try await client.send(request).body == Array("127.0.0.1 client.test".utf8))

        request.tls.serverName = "other.test"
        await #expect(throws: HTTPClient.Failure.self) { try await client.send(request) }

        request.tls = HTTPClient.TLS()
        request.tls.isUnverified = true
        #expect(try await client.send(request).status == 200)
    }
}
