import Network
import Runtime
import Synchronization
import Testing

@testable import Gateway

/// What RFC 9111 asks of a shared cache, one row each; and the parts of RFC 5861, 9211 and 9213 that concern it.
@Suite struct AnswerCacheTests {
    /// One question and what the cache has to do about it.
    struct Step: Sendable {
        var fields: [String] = []
        var method = "GET"
        /// Seconds that pass before it.
        var after = 0
        /// How the service answers, if it is asked.
        var answer: [String] = []
        var status = 200
        /// Whether it has to be asked.
        var asks: Bool
        var expect = 200
        var path = "/"
    }

    struct Case: Sendable, CustomTestStringConvertible {
        let name: String
        let steps: [Step]
        var testDescription: String { name }

        init(_ name: String, _ steps: Step...) { (self.name, self.steps) = (name, steps) }

        /// Asked twice: whether the second comes from the cache.
        init(
            _ name: String, answer: [String], isKept: Bool, fields: [String] = [], second: [String]? = nil,
            after: Int = 0,
            status: Int = 200
        ) {
            self.init(
                name, Step(fields: fields, answer: answer, status: status, asks: true, expect: status),
                Step(
                    fields: second ?? fields, after: after, answer: answer, status: status, asks: !isKept,
                    expect: status))
        }
    }

    private static let hour = "Cache-Control: max-age=3600"
    private static let long = "Sun, 06 Nov 2094 08:49:37 GMT"
    private static let tag = "ETag: \"v\""

    static let cases: [Case] = [
        // §3: what may be kept.
        Case("max-age is kept", answer: [hour], isKept: true),
        Case("nothing said is not kept", answer: [], isKept: false),
        Case("no-store is not kept", answer: ["Cache-Control: no-store, max-age=3600"], isKept: false),
        Case("no-store in capitals", answer: ["Cache-Control: No-StOrE, max-age=3600"], isKept: false),
        Case("no-store in a second field", answer: [hour, "Cache-Control: no-store"], isKept: false),
        Case("private is not kept", answer: ["Cache-Control: private, max-age=3600"], isKept: false),
        Case("private with fields is not kept", answer: ["Cache-Control: private=\"x\", max-age=3600"], isKept: false),
        Case("a request with no-store is not kept", answer: [hour], isKept: false, fields: ["Cache-Control: no-store"]),
        Case("Authorization is not kept", answer: [hour], isKept: false, fields: ["Authorization: Basic x"]),
        Case(
            "Authorization with public", answer: [hour, "Cache-Control: public"], isKept: true,
            fields: ["Authorization: x"]),
        Case(
            "Authorization with s-maxage", answer: ["Cache-Control: s-maxage=60"], isKept: true,
            fields: ["Authorization: x"]),
        Case(
            "Authorization with must-revalidate", answer: [hour + ", must-revalidate"], isKept: true,
            fields: ["Authorization: x"]),
        Case("Set-Cookie is not kept", answer: [hour, "Set-Cookie: a=b"], isKept: false),
        Case("Set-Cookie with public is", answer: [hour + ", public", "Set-Cookie: a=b"], isKept: true),
        Case("an unknown status with max-age", answer: [hour], isKept: true, status: 299),
        Case(
            "an unknown status without", answer: ["Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT"], isKept: false,
            status: 299),
        Case("404 with max-age", answer: [hour], isKept: true, status: 404),
        Case("must-understand beats no-store", answer: [hour + ", no-store, must-understand"], isKept: true),
        Case("must-understand of what is not", answer: [hour + ", must-understand"], isKept: false, status: 499),
        Case(
            "POST is not kept", Step(method: "POST", answer: [hour], asks: true),
            Step(method: "POST", answer: [hour], asks: true)),
        // §4.2: how long.
        Case("s-maxage beats max-age", answer: ["Cache-Control: max-age=3600, s-maxage=1"], isKept: false, after: 2),
        Case(
            "s-maxage beats a shorter max-age", answer: ["Cache-Control: max-age=1, s-maxage=3600"], isKept: true,
            after: 2),
        Case("Expires ahead", answer: ["Expires: \(long)"], isKept: true),
        Case("Expires passed", answer: ["Expires: Sun, 06 Nov 1994 08:49:37 GMT"], isKept: false),
        Case("Expires 0", answer: ["Expires: 0"], isKept: false),
        Case("two Expires", answer: ["Expires: \(long)", "Expires: \(long)"], isKept: false),
        Case(
            "max-age beats Expires", answer: ["Expires: \(long)", "Cache-Control: max-age=1"], isKept: false, after: 2),
        Case("max-age beats Expires passed", answer: ["Expires: 0", hour], isKept: true),
        Case("the two-digit form of a date", answer: ["Expires: Sunday, 06-Nov-50 08:49:37 GMT"], isKept: true),
        Case("the form of asctime", answer: ["Expires: Sat Nov  6 08:49:37 2094"], isKept: true),
        Case("max-age over", answer: ["Cache-Control: max-age=10"], isKept: false, after: 11),
        Case("max-age not over", answer: ["Cache-Control: max-age=10"], isKept: true, after: 8),
        Case("Age counts", answer: ["Cache-Control: max-age=10", "Age: 9"], isKept: false, after: 2),
        Case("Age beyond it", answer: ["Cache-Control: max-age=10", "Age: 11"], isKept: false),
        Case("Date long ago counts", answer: [hour, "Date: Sun, 06 Nov 1994 08:49:37 GMT"], isKept: false),
        Case("max-age=0", answer: ["Cache-Control: max-age=0"], isKept: false),
        Case("a max-age that is none", answer: ["Cache-Control: max-age=abc"], isKept: false),
        Case("a max-age with a point", answer: ["Cache-Control: max-age=3600.5"], isKept: false),
        Case("a negative max-age", answer: ["Cache-Control: max-age=-3600"], isKept: false),
        Case("a quoted max-age", answer: ["Cache-Control: max-age=\"3600\""], isKept: true),
        Case("two max-age, the stricter", answer: ["Cache-Control: max-age=3600, max-age=1"], isKept: false, after: 2),
        Case("a max-age beyond all numbers", answer: ["Cache-Control: max-age=99999999999999999999"], isKept: true),
        Case("MAX-AGE", answer: ["Cache-Control: MAX-AGE=3600"], isKept: true),
        Case("a directive in another's quotes", answer: ["Cache-Control: x=\"max-age=3600\""], isKept: false),
        Case("unknown directives", answer: ["Cache-Control: foo, max-age=3600, bar=\"b,az\""], isKept: true),
        // RFC 9213.
        Case(
            "CDN-Cache-Control beats Cache-Control",
            answer: ["CDN-Cache-Control: max-age=3600", "Cache-Control: no-store"], isKept: true),
        Case("CDN-Cache-Control forbids", answer: ["CDN-Cache-Control: no-store", hour], isKept: false),
        Case("CDN-Cache-Control that is malformed", answer: ["CDN-Cache-Control: max-age=\"60", hour], isKept: true),
        // §5.2.1: what requests say.
        Case("no-cache asks", answer: [hour], isKept: false, second: ["Cache-Control: no-cache"]),
        Case("Pragma: no-cache asks", answer: [hour], isKept: false, second: ["Pragma: no-cache"]),
        Case(
            "Pragma beside Cache-Control says nothing", answer: [hour], isKept: true,
            second: ["Pragma: no-cache", "Cache-Control: max-stale=1"]),
        Case("max-age=0 asks", answer: [hour], isKept: false, second: ["Cache-Control: max-age=0"]),
        Case(
            "a request's max-age that it is older than", answer: [hour], isKept: false,
            second: ["Cache-Control: max-age=5"], after: 10),
        Case(
            "a request's max-age that it is not", answer: [hour], isKept: true, second: ["Cache-Control: max-age=50"],
            after: 10),
        Case(
            "min-fresh that is left", answer: ["Cache-Control: max-age=100"], isKept: true,
            second: ["Cache-Control: min-fresh=50"]),
        Case(
            "min-fresh that is not", answer: ["Cache-Control: max-age=100"], isKept: false,
            second: ["Cache-Control: min-fresh=200"]),
        Case(
            "max-stale allows", answer: ["Cache-Control: max-age=10", tag], isKept: true,
            second: ["Cache-Control: max-stale"], after: 20),
        Case(
            "max-stale allows so much", answer: ["Cache-Control: max-age=10", tag], isKept: false,
            second: ["Cache-Control: max-stale=5"], after: 20),
        Case(
            "max-stale does not beat must-revalidate", answer: ["Cache-Control: max-age=10, must-revalidate", tag],
            isKept: false, second: ["Cache-Control: max-stale"], after: 20),
        Case(
            "max-stale does not beat s-maxage", answer: ["Cache-Control: s-maxage=10", tag], isKept: false,
            second: ["Cache-Control: max-stale"], after: 20),
        Case("only-if-cached with nothing", Step(fields: ["Cache-Control: only-if-cached"], asks: false, expect: 504)),
        Case(
            "only-if-cached with something", Step(answer: [hour], asks: true),
            Step(fields: ["Cache-Control: only-if-cached"], asks: false)),
        // §5.2.2: what answers say.
        Case("no-cache is always asked about", answer: [hour + ", no-cache", tag], isKept: false),
        Case("no-cache with fields is used", answer: [hour + ", no-cache=\"x-secret\"", "X-Secret: 1"], isKept: true),
        Case(
            "stale-while-revalidate serves", answer: ["Cache-Control: max-age=1, stale-while-revalidate=60"],
            isKept: true,
            after: 10),
        Case(
            "stale-while-revalidate beyond its time", answer: ["Cache-Control: max-age=1, stale-while-revalidate=5"],
            isKept: false, after: 60),
        Case(
            "stale-if-error", Step(answer: ["Cache-Control: max-age=1, stale-if-error=60"], asks: true),
            Step(after: 10, status: 503, asks: true, expect: 200)),
        Case(
            "stale-if-error beyond its time", Step(answer: ["Cache-Control: max-age=1, stale-if-error=5"], asks: true),
            Step(after: 60, status: 503, asks: true, expect: 503)),
        Case(
            "must-revalidate never serves on errors",
            Step(answer: ["Cache-Control: max-age=1, stale-if-error=60, must-revalidate"], asks: true),
            Step(after: 10, status: 503, asks: true, expect: 503)),
        // §4.1: Vary.
        Case("the same fields", answer: [hour, "Vary: Foo"], isKept: true, fields: ["Foo: 1"]),
        Case("other fields", answer: [hour, "Vary: Foo"], isKept: false, fields: ["Foo: 1"], second: ["Foo: 2"]),
        Case("a field that is missing", answer: [hour, "Vary: Foo"], isKept: false, fields: ["Foo: 1"], second: []),
        Case("a field that is there now", answer: [hour, "Vary: Foo"], isKept: false, fields: [], second: ["Foo: 1"]),
        Case("neither has it", answer: [hour, "Vary: Foo"], isKept: true),
        Case("Vary: *", answer: [hour, "Vary: *"], isKept: false),
        Case("Vary: * among others", answer: [hour, "Vary: Foo, *"], isKept: false),
        Case(
            "one list in two fields", answer: [hour, "Vary: Foo"], isKept: true, fields: ["Foo: 1", "Foo: 2"],
            second: ["Foo: 1, 2"]),
        Case(
            "two names, one differs", answer: [hour, "Vary: Foo, Bar"], isKept: false, fields: ["Foo: 1", "Bar: 1"],
            second: ["Foo: 1", "Bar: 2"]),
        Case("names in capitals", answer: [hour, "Vary: FOO"], isKept: true, fields: ["foo: 1"]),
        Case(
            "both variants stay", Step(fields: ["Foo: 1"], answer: [hour, "Vary: Foo"], asks: true),
            Step(fields: ["Foo: 2"], answer: [hour, "Vary: Foo"], asks: true), Step(fields: ["Foo: 1"], asks: false),
            Step(fields: ["Foo: 2"], asks: false)),
        // §4.4: invalidation.
        Case(
            "POST that succeeds", Step(answer: [hour], asks: true), Step(method: "POST", asks: true),
            Step(answer: [hour], asks: true)),
        Case(
            "POST that fails", Step(answer: [hour], asks: true),
            Step(method: "POST", status: 500, asks: true, expect: 500),
            Step(asks: false)),
        Case(
            "DELETE elsewhere", Step(answer: [hour], asks: true), Step(method: "DELETE", asks: true, path: "/other"),
            Step(asks: false)),
        Case(
            "Location of the same host", Step(answer: [hour], asks: true),
            Step(method: "POST", answer: ["Location: /"], status: 201, asks: true, expect: 201, path: "/new"),
            Step(answer: [hour], asks: true)),
        Case(
            "Content-Location of another host", Step(answer: [hour], asks: true),
            Step(method: "PUT", answer: ["Content-Location: http://elsewhere/"], asks: true, path: "/new"),
            Step(asks: false)),
        Case(
            "an unknown method", Step(answer: [hour], asks: true), Step(method: "M", asks: true),
            Step(answer: [hour], asks: true)),
        // §4.3.2, RFC 9110 §13 and §14: conditions and parts.
        Case(
            "If-None-Match that matches", Step(answer: [hour, tag], asks: true),
            Step(fields: ["If-None-Match: \"v\""], asks: false, expect: 304)),
        Case(
            "If-None-Match, weakly", Step(answer: [hour, tag], asks: true),
            Step(fields: ["If-None-Match: \"x\", W/\"v\""], asks: false, expect: 304)),
        Case(
            "If-None-Match: *", Step(answer: [hour, tag], asks: true),
            Step(fields: ["If-None-Match: *"], asks: false, expect: 304)),
        Case(
            "If-None-Match of another", Step(answer: [hour, tag], asks: true),
            Step(fields: ["If-None-Match: \"x\""], asks: false)),
        Case(
            "If-Modified-Since", Step(answer: [hour, "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT"], asks: true),
            Step(fields: ["If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT"], asks: false, expect: 304)),
        Case(
            "If-Modified-Since before it",
            Step(answer: [hour, "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT"], asks: true),
            Step(fields: ["If-Modified-Since: Sat, 05 Nov 1994 08:49:37 GMT"], asks: false)),
        Case(
            "If-None-Match beats If-Modified-Since", Step(answer: [hour, tag], asks: true),
            Step(fields: ["If-None-Match: \"x\"", "If-Modified-Since: \(long)"], asks: false)),
        Case("a part", Step(answer: [hour], asks: true), Step(fields: ["Range: bytes=0-1"], asks: false, expect: 206)),
        Case(
            "the last bytes", Step(answer: [hour], asks: true),
            Step(fields: ["Range: bytes=-2"], asks: false, expect: 206)),
        Case(
            "a part beyond the end", Step(answer: [hour], asks: true),
            Step(fields: ["Range: bytes=900-"], asks: false, expect: 416)),
        Case("several parts", Step(answer: [hour], asks: true), Step(fields: ["Range: bytes=0-1,3-4"], asks: false)),
        Case(
            "If-Range that matches", Step(answer: [hour, tag], asks: true),
            Step(fields: ["Range: bytes=0-1", "If-Range: \"v\""], asks: false, expect: 206)),
        Case(
            "If-Range that does not", Step(answer: [hour, tag], asks: true),
            Step(fields: ["Range: bytes=0-1", "If-Range: \"x\""], asks: false)),
        Case("HEAD from GET", Step(answer: [hour], asks: true), Step(method: "HEAD", asks: false)),
        Case(
            "HEAD is not kept for GET", Step(method: "HEAD", answer: [hour], asks: true),
            Step(answer: [hour], asks: true)),
        // §4.3: asking again.
        Case(
            "304 makes it good again", Step(answer: ["Cache-Control: max-age=1", tag], asks: true),
            Step(after: 10, answer: ["Cache-Control: max-age=3600", tag], status: 304, asks: true),
            Step(after: 10, asks: false)),
        Case(
            "an answer takes its place", Step(answer: ["Cache-Control: max-age=1", tag], asks: true),
            Step(after: 10, answer: [hour], asks: true), Step(after: 10, asks: false)),
        Case(
            "HEAD tells that it has changed", Step(answer: [hour, tag], asks: true),
            Step(fields: ["Cache-Control: no-cache"], method: "HEAD", answer: [hour, "ETag: \"w\""], asks: true),
            Step(answer: [hour], asks: true)),
        // The query belongs to the URL.
        Case(
            "another query", Step(answer: [hour], asks: true, path: "/?a"),
            Step(answer: [hour], asks: true, path: "/?b")),
    ]

    @Test(arguments: cases) func sharedCachesDoWhatTheRFCSays(_ example: Case) async throws {
        let next = Mutex<Step?>(nil)
        let origin = try TestOrigin { request, responder in
            let step = next.withLock { $0 } ?? Step(asks: true)
            let body = "\(request.target) 0123456789"
            guard step.status != 304, request.method != "HEAD" else {
                responder.send(
                    "HTTP/1.1 \(step.status) Fine\r\n" + step.answer.map { $0 + "\r\n" }.joined()
                        + (step.status == 304 ? "" : "Content-Length: \(body.utf8.count)\r\n") + "\r\n")
                return
            }
            responder.answer(step.status, step.answer, body)
        }
        let gateway = try TestGateway(to: [origin.port]) { $0.routes[0].cache = AnswerCacheRules() }
        for (index, step) in example.steps.enumerated() {
            if step.after > 0 { await gateway.gateway.advance(by: .seconds(step.after)) }
            next.withLock { $0 = step }
            let before = origin.requests.count
            let answer = try RawHTTP.get(step.path, port: gateway.port, step.fields, method: step.method)
            #expect(answer.status == step.expect, "step \(index): \(answer.head)")
            let asked = origin.requests.count > before
            // What is asked for in the background may be on its way.
            let isBackground = answer["cache-status"]?.hasPrefix("outrigger; hit; ttl=-") == true
            if !isBackground { #expect(asked == step.asks, "step \(index): \(answer["cache-status"] ?? "")") }
            #expect(answer["cache-status"] != nil || step.expect == 504)
        }
    }

    @Test func ageIsToldAndFieldsThatAreSecretAreNot() async throws {
        let origin = try TestOrigin { _, responder in
            responder.answer(200, ["Cache-Control: max-age=600, no-cache=\"x-secret\"", "X-Secret: 1", "Age: 5"], "a")
        }
        let gateway = try TestGateway(to: [origin.port]) { $0.routes[0].cache = AnswerCacheRules() }
        #expect(try RawHTTP.get("/", port: gateway.port)["x-secret"] == "1")
        await gateway.gateway.advance(by: .seconds(100))
        let answer = try RawHTTP.get("/", port: gateway.port)
        #expect(answer["x-secret"] == nil)
        let age = try #require(answer["age"].flatMap { Int($0) })
        #expect(age >= 105 && age < 200)
    }

    @Test func manyWhoAskForTheSameAskOnce() async throws {
        let held = Mutex<[TestOrigin.Responder]>([])
        let origin = try TestOrigin { _, responder in held.withLock { $0.append(responder) } }
        let gateway = try TestGateway(to: [origin.port]) {
            $0.routes[0].cache = AnswerCacheRules()
            $0.routes[0].cache?.wait = .seconds(600)
        }
        let clients = try (0..<20).map { _ in try RawHTTP(port: gateway.port) }
        for client in clients { client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n") }
        try await eventually("all have come") { gateway.value("outrigger_http_cache_misses_total") == 20 }
        #expect(origin.requests.count == 1)
        held.withLock { $0[0].answer(200, ["Cache-Control: max-age=60"], "once") }
        for client in clients { #expect(try client.answer().text == "once") }
        #expect(origin.requests.count == 1)
    }

    @Test func nobodyWaitsForWhatCannotBeShared() async throws {
        let origin = try TestOrigin { _, responder in responder.answer(200, ["Cache-Control: private"], "mine") }
        let gateway = try TestGateway(to: [origin.port]) { $0.routes[0].cache = AnswerCacheRules() }
        for _ in 0..<3 { #expect(try RawHTTP.get("/", port: gateway.port).text == "mine") }
        #expect(origin.requests.count == 3)
        #expect(gateway.value("outrigger_http_cache_refused_total", ["reason": "private"]) == 3)
    }

    @Test func aCutAnswerAndOneWhoseClientLeftAreNotKept() async throws {
        let origin = try TestOrigin { request, responder in
            if request.target == "/cut" {
                responder.send(
                    "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 9\r\n\r\nhalf", thenClose: true)
            } else {
                responder.send("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 9\r\n\r\nhalf")
            }
        }
        let gateway = try TestGateway(to: [origin.port]) { $0.routes[0].cache = AnswerCacheRules() }
        for _ in 0..<2 { #expect(throws: RawHTTP.Failure.self) { try RawHTTP.get("/cut", port: gateway.port) } }
        #expect(origin.requests.count == 2)
        let client = try RawHTTP(port: gateway.port)
        client.send("GET /left HTTP/1.1\r\nHost: x\r\n\r\n")
        _ = try client.read(20)
        client.hangUp(abruptly: true)
        try await eventually("it is gone") { gateway.value("outrigger_http_requests_in_flight") == 0 }
        #expect(gateway.value("outrigger_http_cache_stored_total") == 0)
    }

    @Test func purgesForgetWhatTheyName() async throws {
        let origin = try TestOrigin { _, responder in
            responder.answer(200, ["Cache-Control: max-age=60", "Surrogate-Key: blue green"], "x")
        }
        let gateway = try TestGateway(to: [origin.port]) { $0.routes[0].cache = AnswerCacheRules() }
        func isAsked(_ path: String) throws -> Bool {
            let before = origin.requests.count
            _ = try RawHTTP.get(path, port: gateway.port)
            return origin.requests.count > before
        }
        func fill() throws { for path in ["/a/1", "/a/2", "/b"] { _ = try isAsked(path) } }
        try fill()
        #expect(await gateway.gateway.purge(.url(host: "test", target: "/a/1")) == 1)
        #expect(try isAsked("/a/1") && !isAsked("/a/2") && !isAsked("/b"))
        #expect(await gateway.gateway.purge(.prefix(host: "test", path: "/a/")) == 2)
        #expect(try isAsked("/a/1") && isAsked("/a/2") && !isAsked("/b"))
        #expect(await gateway.gateway.purge(.surrogateKey("green")) == 3)
        #expect(try isAsked("/b"))
        #expect(await gateway.gateway.purge(.everything) == 0)
        #expect(try isAsked("/b"))
    }
}
