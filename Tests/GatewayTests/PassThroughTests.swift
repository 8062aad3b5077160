import LocalServers
import Network
import Runtime
import Synchronization
import Testing

@testable import Gateway

/// What goes through with no step on.
@Suite struct PassThroughTests {
    static func echo() throws -> TestOrigin {
        try TestOrigin { request, responder in
            responder.answer(200, ["X-Target: \(request.target)"], "\(request.method):\(request.text)")
        }
    }

    @Test func aRequestAndItsAnswerGoThrough() throws {
        let origin = try Self.echo()
        let gateway = try TestGateway(to: [origin.port])
        let answer = try RawHTTP.get("/a?b=%20", port: gateway.port, ["X-Mine: yes"])
        #expect(answer.status == 200)
        #expect(answer.text == "GET:")
        #expect(answer["x-target"] == "/a?b=%20")
        #expect(answer["date"] != nil)
        let request = try #require(origin.requests.first)
        #expect(request["x-mine"] == "yes")
        #expect(request["host"] == "test")
        #expect(request["x-forwarded-for"] == "127.0.0.1")
        #expect(request["x-forwarded-proto"] == "http")
        #expect(request["x-forwarded-host"] == "test")
        #expect(request["via"] == "1.1 outrigger")
        #expect(request["x-request-id"]?.utf8.count == 32)
        #expect(request["traceparent"]?.utf8.count == 55)
    }

    @Test func connectionsAreKeptOnBothSides() throws {
        let origin = try Self.echo()
        let gateway = try TestGateway(to: [origin.port])
        let client = try RawHTTP(port: gateway.port)
        for number in 0..<20 {
            client.send("POST /\(number) HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
            let answer = try client.answer()
            #expect(answer.text == "POST:hi")
            #expect(answer["x-target"] == "/\(number)")
        }
        #expect(origin.accepted == 1)
    }

    @Test func pipelinedRequestsAreAnsweredInTheirOrder() throws {
        let origin = try Self.echo()
        let gateway = try TestGateway(to: [origin.port])
        let client = try RawHTTP(port: gateway.port)
        client.send(
            (0..<50).map {
                "POST /\($0) HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
            }
            .joined())
        for number in 0..<50 {
            let answer = try client.answer()
            #expect(answer["x-target"] == "/\(number)")
            #expect(answer.text == "POST:abc")
        }
    }

    @Test func whatComesInPiecesGoesOnWhole() throws {
        let origin = try Self.echo()
        let gateway = try TestGateway(to: [origin.port])
        let text =
            "POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\nX-T: 1\r\n\r\n"
        let client = try RawHTTP(port: gateway.port)
        for byte in text.utf8 { client.send([byte]) }
        #expect(try client.answer().text == "POST:abc")
        #expect(origin.requests.first?.raw.hasSuffix("0\r\nX-T: 1\r\n\r\n") == true)
    }

    @Test func fieldsOfOneConnectionGoNoFurther() throws {
        let origin = try TestOrigin { _, responder in
            responder.send(
                "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\nX-Hop: a\r\nX-End: b\r\n"
                    + "Proxy-Authenticate: Basic\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n")
        }
        let gateway = try TestGateway(to: [origin.port])
        let answer = try RawHTTP.get(
            "/", port: gateway.port,
            [
                "Connection: keep-alive, X-Gone", "X-Gone: 1", "Keep-Alive: 5", "TE: trailers",
                "Proxy-Authorization: x",
                "Proxy-Connection: keep-alive", "Upgrade: h2c", "X-Stays: 1",
            ])
        #expect(answer["x-end"] == "b")
        for name in ["x-hop", "keep-alive", "proxy-authenticate", "upgrade", "connection"] {
            #expect(answer[name] == nil, "\(name)")
        }
        let request = try #require(origin.requests.first)
        #expect(request["x-stays"] == "1")
        for name in [
            "connection", "x-gone", "keep-alive", "te", "proxy-authorization", "proxy-connection", "upgrade",
        ] {
            #expect(request[name] == nil, "\(name)")
        }
    }

    @Test(arguments: [
        "Forwarded: for=9.9.9.9", "X-Forwarded-For: 9.9.9.9", "X_Forwarded_For: 9.9.9.9", "X.Forwarded.For: 9.9.9.9",
        "x-forwarded-host: evil", "X-Forwarded_Host: evil", "X-Forwarded-Prefix: /evil", "X-Forwarded-Uri: /evil",
        "X-Real-IP: 9.9.9.9", "X_Real_IP: 9.9.9.9", "X.Real-IP: 9.9.9.9", "X-Forwarded: evil",
    ])
    func nobodyIsBelievedWhoTheySayTheyAre(_ field: String) throws {
        let origin = try Self.echo()
        let gateway = try TestGateway(to: [origin.port])
        #expect(try RawHTTP.get("/", port: gateway.port, [field]).status == 200)
        let request = try #require(origin.requests.first)
        #expect(!request.raw.contains("9.9.9.9") && !request.raw.contains("evil"))
        #expect(request.all("x-forwarded-for") == ["127.0.0.1"])
    }

    @Test func aTrustedProxyIsBelievedAndOthersBeforeItAreNot() throws {
        let origin = try Self.echo()
        let gateway = try TestGateway(to: [origin.port]) {
            $0.trustedProxies = [AddressRange("127.0.0.0/8")].compactMap { $0 }
        }
        _ = try RawHTTP.get("/", port: gateway.port, ["X-Forwarded-For: 1.2.3.4, 5.6.7.8", "X-Forwarded-Proto: https"])
        let request = try #require(origin.requests.first)
        #expect(request.all("x-forwarded-for") == ["1.2.3.4, 5.6.7.8, 127.0.0.1"])
        #expect(request.all("x-forwarded-proto") == ["https"])
    }

    @Test func headAndAnswersWithoutABodyEndAtTheirHead() throws {
        let origin = try TestOrigin { request, responder in
            switch request.target {
            case "/head": responder.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
            case "/204": responder.send("HTTP/1.1 204 No Content\r\n\r\n")
            default: responder.send("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n")
            }
        }
        let gateway = try TestGateway(to: [origin.port])
        let client = try RawHTTP(port: gateway.port)
        client.send(
            "HEAD /head HTTP/1.1\r\nHost: x\r\n\r\nGET /204 HTTP/1.1\r\nHost: x\r\n\r\nGET /304 HTTP/1.1\r\nHost: x\r\n\r\n"
        )
        #expect(try client.answer(toHead: true)["content-length"] == "5")
        #expect(try client.answer().status == 204)
        #expect(try client.answer()["etag"] == "\"a\"")
        #expect(origin.accepted == 1)
    }

    @Test func answersWithoutALengthAreToldToTheirEnd() throws {
        let origin = try TestOrigin { request, responder in
            if request.target == "/close" {
                responder.send("HTTP/1.0 200 OK\r\n\r\nuntil the end", thenClose: true)
            } else {
                responder.send(
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 7\r\n\r\n")
            }
        }
        let gateway = try TestGateway(to: [origin.port])
        let client = try RawHTTP(port: gateway.port)
        client.send("GET /close HTTP/1.1\r\nHost: x\r\n\r\n")
        let first = try client.answer()
        #expect(first.text == "until the end")
        #expect(first["transfer-encoding"] == "chunked")
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(try client.answer().text == "hello")
        let old = try RawHTTP(port: gateway.port)
        old.send("GET / HTTP/1.0\r\n\r\n")
        let answer = try old.answer()
        #expect(answer.text == "hello")
        #expect(answer["transfer-encoding"] == nil)
        #expect(answer["connection"] == "close")
    }

    @Test func aCutAnswerIsNeverTakenForAWholeOne() throws {
        let origin = try TestOrigin { request, responder in
            switch request.target {
            case "/length": responder.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", thenClose: true)
            case "/chunk":
                responder.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf", thenClose: true)
            default: responder.send("HTTP/1.1 200 OK\r\nContent-Le", thenClose: true)
            }
        }
        let gateway = try TestGateway(to: [origin.port])
        for path in ["/length", "/chunk"] {
            #expect(throws: RawHTTP.Failure.self) { try RawHTTP.get(path, port: gateway.port) }
        }
        #expect(try RawHTTP.get("/head", port: gateway.port).status == 502)
    }

    @Test(arguments: [
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\nContent-Length: 1\n\na",
        "HTTP/1.1 200 OK\r\nX : y\r\nContent-Length: 1\r\n\r\na", "hello", "HTTP/1.1 abc\r\n\r\n",
        "HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n",
    ])
    func anUnclearAnswerIsNoAnswer(_ text: String) throws {
        let origin = try TestOrigin { request, responder in
            if request.target == "/good" { responder.answer() } else { responder.send(text + "\r\n\r\n") }
        }
        let gateway = try TestGateway(to: [origin.port])
        let client = try RawHTTP(port: gateway.port)
        client.send("GET /bad HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(try client.answer().status == 502)
        client.send("GET /good HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(try client.answer().status == 200)
        #expect(origin.accepted == 2)
    }

    @Test func whatComesWithoutAQuestionIsNobodysAnswer() async throws {
        let origin = try TestOrigin { request, responder in
            responder.answer(200, [], request.target)
            if request.target == "/two" { responder.answer(200, [], "stolen") }
        }
        let gateway = try TestGateway(to: [origin.port])
        for _ in 0..<5 {
            #expect(try RawHTTP.get("/two", port: gateway.port).text == "/two")
            #expect(try RawHTTP.get("/one", port: gateway.port).text == "/one")
        }
    }

    @Test func interimAnswersGoToWhoeverWaitsForThem() throws {
        let origin = try TestOrigin { request, responder in
            responder.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
            responder.answer(200, [], request.text)
        }
        let gateway = try TestGateway(to: [origin.port])
        let client = try RawHTTP(port: gateway.port)
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        let hint = try client.answer()
        #expect(hint.status == 103)
        #expect(hint["link"] == "</a>")
        #expect(try client.answer().status == 200)
        let old = try RawHTTP(port: gateway.port)
        old.send("GET / HTTP/1.0\r\n\r\n")
        #expect(try old.answer().status == 200)
    }

    @Test func aHalfClosedClientIsAnswered() throws {
        let origin = try Self.echo()
        let gateway = try TestGateway(to: [origin.port])
        let client = try RawHTTP(port: gateway.port)
        client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab")
        client.finishSending()
        #expect(try client.answer().text == "POST:ab")
        #expect(try client.readToEnd().isEmpty)
    }

    @Test func aWebSocketIsPassedOnAsItComes() throws {
        let origin = try TestOrigin { request, responder in
            guard request["upgrade"] == "websocket", request["connection"] == "Upgrade" else {
                return responder.answer(400)
            }
            responder.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nearly")
        }
        let gateway = try TestGateway(to: [origin.port])
        let client = try RawHTTP(port: gateway.port)
        client.send(
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n"
        )
        let answer = try client.answer()
        #expect(answer.status == 101)
        #expect(answer["upgrade"] == "websocket")
        #expect(String(decoding: try client.read(5), as: UTF8.self) == "early")
        #expect(origin.requests.first?["sec-websocket-key"] == "k")
    }

    @Test func aBodyThatIsTooLongIsRefused() throws {
        let origin = try Self.echo()
        let gateway = try TestGateway(to: [origin.port]) { $0.limits.body = 10 }
        let long = try RawHTTP.get("/", port: gateway.port, method: "POST", body: "12345678901")
        #expect(long.status == 413)
        #expect(long["connection"] == "close")
        let chunked = try RawHTTP(port: gateway.port)
        chunked.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n12345678901\r\n0\r\n\r\n")
        #expect(try chunked.answer().status == 413)
        #expect(try RawHTTP.get("/", port: gateway.port, method: "POST", body: "1234567890").status == 200)
    }

    @Test func bodiesOfAnySizeGoThroughInBoundedMemory() async throws {
        let origin = try TestOrigin { request, responder in
            if request.method == "POST" {
                responder.answer(200, [], "\(request.body.count)")
            } else {
                responder.send(Array("HTTP/1.1 200 OK\r\nContent-Length: 33554432\r\n\r\n".utf8))
                responder.send([UInt8](repeating: 0x61, count: 32 << 20))
            }
        }
        let gateway = try TestGateway(to: [origin.port]) { $0.limits.body = 1 << 30 }
        let client = try RawHTTP(port: gateway.port)
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        let down = try client.answer()
        #expect(down.body.count == 32 << 20 && down.body.allSatisfy { $0 == 0x61 })
        client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: \(8 << 20)\r\n\r\n")
        client.send([UInt8](repeating: 0x62, count: 8 << 20))
        #expect(try client.answer().text == "\(8 << 20)")
    }

    @Test func twoOfAHundredConnectionsOfOneClientAreTooManyOfNinetyEight() throws {
        let origin = try Self.echo()
        let gateway = try TestGateway(to: [origin.port]) { $0.limits.connectionsPerClient = 2 }
        let first = try RawHTTP(port: gateway.port)
        let second = try RawHTTP(port: gateway.port)
        for client in [first, second] {
            client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            #expect(try client.answer().status == 200)
        }
        #expect(throws: RawHTTP.Failure.self) { try RawHTTP.get("/", port: gateway.port) }
        #expect(gateway.value("outrigger_http_clients_closed_total", ["reason": "crowd"]) == 1)
    }

    @Test func slowClientsAreLetGo() throws {
        let origin = try Self.echo()
        let gateway = try TestGateway(to: [origin.port]) {
            $0.limits.headTimeout = .milliseconds(300)
            $0.limits.idle = .milliseconds(300)
        }
        let slow = try RawHTTP(port: gateway.port)
        slow.send("GET / HTTP/1.1\r\nHost:")
        #expect(try slow.answer().status == 408)
        let idle = try RawHTTP(port: gateway.port)
        #expect(try idle.readToEnd().isEmpty)
    }

    @Test func requestsAreCounted() async throws {
        let origin = try Self.echo()
        let gateway = try TestGateway(to: [origin.port])
        for _ in 0..<3 { _ = try RawHTTP.get("/", port: gateway.port) }
        try await eventually("three are counted") {
            gateway.value("outrigger_http_requests_total", ["route": "default", "method": "GET", "class": "2xx"]) == 3
        }
        #expect(gateway.value("outrigger_http_upstream_connections_opened_total") >= 1)
    }
}
