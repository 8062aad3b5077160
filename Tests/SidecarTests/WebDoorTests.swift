import Glibc
import LocalServers
import Network
import RedisTesting
import Runtime
import Testing

/// What strangers send to the web listener, and what they get.
@Suite struct WebDoorTests {
    // MARK: Places and time

    @Test func aProbeIsAnsweredWhileEveryPlaceIsTakenByHeadersThatNeverEnd() async throws {
        let outrigger = try await RunningOutrigger.start(["--web.max-connections=32"])
        let drips = try (0..<64).map { _ in try RawClient(port: outrigger.port) }
        for drip in drips { drip.send(Array("GET /metr".utf8)) }
        for _ in 0..<5 { #expect(try await outrigger.get("/-/healthy").status == 200) }
        #expect(try await outrigger.get("/metrics").body.contains("outrigger_web_evicted_connections_total "))
        withExtendedLifetime(drips) {}
        await outrigger.stop()
    }

    // MARK: The header decides

    @Test(arguments: [
        ("POST /nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 8000000\r\n\r\n", 404),
        ("DELETE /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 8000000\r\n\r\n", 405),
        ("POST /-/reload HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 8000000\r\n\r\n", 403),
        ("POST /api/v2/alerts HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 8000000\r\n\r\n", 403),
        ("POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9000000\r\n\r\n", 413),
        ("POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999999999999999\r\n\r\n", 413),
    ])
    func whatWillNotBeServedIsAnsweredBeforeItsBody(_ head: String, _ status: Int) async throws {
        let outrigger = try await RunningOutrigger.start()
        #expect(try answer(to: head, outrigger).hasPrefix("HTTP/1.1 \(status) "))
        await outrigger.stop()
    }

    /// All at one server: what is refused closes its connection, and the next is served.
    @Test func whatTwoProgramsCouldReadDifferentlyIsRefused() async throws {
        let outrigger = try await RunningOutrigger.start()
        let get = "GET /-/healthy HTTP/1.1\r\n"
        let heads = [
            get + "Host: a\r\nHost: b\r\n\r\n", get + "\r\n", get + "Host: a\n\r\n",
            "GET /-/healthy HTTP/1.1\nHost: a\n\n",
            get + "Host: a\r\nX: 1\r\n 2\r\n\r\n", get + "Host : a\r\n\r\n", get + "Host: a\r\n: b\r\n\r\n",
            get + "Host: a\r\nX: a\u{1}b\r\n\r\n", get + "Host: a\r\nX: a\u{0}b\r\n\r\n",
            "POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
            "POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc",
            "POST /v1/events HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET  /-/healthy HTTP/1.1\r\nHost: a\r\n\r\n", "\u{16}\u{3}\u{1}",
        ]
        for head in heads {
            #expect(try answer(to: head, outrigger).hasPrefix("HTTP/1.1 400 "), "\(head.debugDescription)")
        }
        #expect(
            try answer(to: "POST /v1/events HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", outrigger)
                .hasPrefix("HTTP/1.1 501 "))
        #expect(try await outrigger.get("/-/healthy").status == 200)
        await outrigger.stop()
    }

    @Test func requestsInPiecesAndTwoAtOnceAreServed() async throws {
        let outrigger = try await RunningOutrigger.start()
        let client = try RawClient(port: outrigger.port)
        let form = "query=1%2B1"
        let request =
            "POST /api/v1/query HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n"
            + "4\r\n\(form.prefix(4))\r\n7;x=y\r\n\(form.dropFirst(4))\r\n0\r\n\r\n"
            + "GET /-/healthy HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
        for byte in request.utf8 { client.send([byte]) }
        let text = String(decoding: try client.readToEnd(), as: UTF8.self)
        #expect(text.contains("\"resultType\":\"scalar\""))
        #expect(text.contains("\"2\""))
        #expect(text.hasSuffix("Outrigger is healthy.\n"))
        await outrigger.stop()
    }

    private func answer(to request: String, _ outrigger: RunningOutrigger) throws -> String {
        let client = try RawClient(port: outrigger.port)
        client.send(Array(request.utf8))
        return String(decoding: try client.readToEnd(), as: UTF8.self)
    }

    // MARK: Who may do what

    @Test func aPageWhoseNameLeadsHereChangesNothing() async throws {
        let outrigger = try await RunningOutrigger.start(["--web.allowed-hosts=proxy.example"])
        let reload = ["-X", "POST"]
        #expect(try await outrigger.get("/-/reload", reload + ["-H", "Host: evil.example"]).status == 403)
        #expect(try await outrigger.get("/-/reload", reload + ["-H", "Origin: http://evil.example"]).status == 403)
        #expect(try await outrigger.get("/-/reload", reload + ["-H", "Origin: null"]).status == 403)
        for host in ["localhost:\(outrigger.port)", "127.0.0.1", "[::1]:9847", "proxy.example"] {
            #expect(try await outrigger.get("/-/reload", reload + ["-H", "Host: \(host)"]).status == 200, "\(host)")
        }
        #expect(outrigger.log.contains("msg=\"changed over HTTP\" by=127.0.0.1:"))
        #expect(outrigger.log.contains("what=\"POST /-/reload\" status=200"))
        await outrigger.stop()
    }

    @Test func othersSeeMetricsAndHealthAloneWhereItSaysSo() async throws {
        let outrigger = try await RunningOutrigger.start(["--web.public=metrics"])
        let stranger = ["-H", "Host: evil.example"]
        for path in ["/metrics", "/health", "/-/healthy", "/-/ready"] {
            #expect(try await outrigger.get(path, stranger).status == 200, "\(path)")
        }
        for path in ["/", "/api/v1/query?query=1", "/api/v2/status", "/graph", "/probe", "/performance/stats"] {
            #expect(try await outrigger.get(path, stranger).status == 403, "\(path)")
        }
        #expect(try await outrigger.get("/graph").status == 200)
        await outrigger.stop()
    }

    @Test func pagesOfOtherOriginsReadTheQueriesAsTheyReadPrometheus() async throws {
        let outrigger = try await RunningOutrigger.start()
        let origin = ["-H", "Origin: https://grafana.example"]
        let asked = try await outrigger.get("/api/v1/query?query=1", origin)
        #expect(asked.head.contains("Access-Control-Allow-Origin: *"))
        let before = try await outrigger.get("/api/v1/query", origin + ["-X", "OPTIONS"])
        #expect(before.status == 204)
        #expect(before.head.contains("Access-Control-Allow-Methods: GET, POST, OPTIONS\r\n"))
        #expect(!(try await outrigger.get("/metrics", origin).head.contains("Access-Control")))
        await outrigger.stop()
    }

    // MARK: The web configuration file

    @Test func theWebConfigurationFileBringsTLSAndUsersAndIsReadAnew() async throws {
        let tls = try await LocalTLS.make()
        let file = try TemporaryFolder("outrigger-web")
        let users = "basic_auth_users:\n  alice: $2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n"
        let rest = """
            tls_server_config: {cert_file: \(tls.certificateFile), key_file: \(tls.keyFile), min_version: TLS13}
            http_server_config: {headers: {X-Frame-Options: deny}}

            """
        try Files.write(rest + users, to: file.path + "/web.yml")
        let outrigger = try await RunningOutrigger.start(["--web.config-file=\(file.path)/web.yml"])
        let secure = "https://127.0.0.1:\(outrigger.port)"
        func ask(_ path: String, _ options: [String]) async throws -> String {
            try await LocalServer.run(
                "curl", ["-sS", "-i", "--max-time", "30", "--cacert", tls.certificateFile] + options + [secure + path],
                folder: outrigger.folder)
        }
        #expect(try await ask("/metrics", []).contains("401 Unauthorized\r\n"))
        #expect(try await ask("/metrics", ["-u", "alice:wrong"]).contains(" 401 "))
        #expect(try await ask("/metrics", ["-u", "bob:secret"]).contains(" 401 "))
        let page = try await ask("/metrics", ["-u", "alice:secret"])
        #expect(page.hasPrefix("HTTP/1.1 200 "))
        #expect(page.contains("X-Frame-Options: deny\r\n"))
        #expect(try await ask("/-/healthy", []).hasPrefix("HTTP/1.1 200 "))
        try Files.write(rest, to: file.path + "/web.yml")
        #expect(try await ask("/-/reload", ["-u", "alice:secret", "-X", "POST"]).hasPrefix("HTTP/1.1 200 "))
        #expect(outrigger.log.contains("msg=\"changed over HTTP\" by=alice"))
        #expect(try await ask("/metrics", []).hasPrefix("HTTP/1.1 200 "))
        await outrigger.stop()
    }
}
