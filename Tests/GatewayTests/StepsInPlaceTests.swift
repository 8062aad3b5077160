import Network
import Runtime
import Synchronization
import Testing

@testable import Gateway

/// The steps within a gateway.
@Suite struct StepsInPlaceTests {
    private static func gateway(
        _ handler: @escaping TestOrigin.Handler = { $1.answer(200, [], $0.text) },
        _ change: (inout GatewayRules) -> Void
    ) throws -> (TestOrigin, TestGateway) {
        let origin = try TestOrigin(handler)
        return (origin, try TestGateway(to: [origin.port], keeping: origin, change))
    }

    @Test func inputIsLimited() throws {
        let (origin, gateway) = try Self.gateway {
            var input = InputLimits()
            (input.body, input.query, input.jsonDepth) = (20, 5, 2)
            (input.contentTypes, input.methods) = (["application/json"], ["GET", "POST"])
            input.normalisesPath = true
            $0.routes[0].input = input
        }
        func status(_ path: String, _ fields: [String] = [], method: String = "GET", body: String? = nil) throws -> Int
        {
            try RawHTTP.get(path, port: gateway.port, fields, method: method, body: body).status
        }
        let json = ["Content-Type: application/json; charset=utf-8"]
        #expect(try status("/", method: "PUT") == 405)
        #expect(try status("/?123456") == 414)
        #expect(try status("/%252e") == 400)
        #expect(try status("/", json, method: "POST", body: "[[1]]") == 200)
        #expect(try status("/", json, method: "POST", body: "[[[1]]]") == 400)
        #expect(try status("/", json, method: "POST", body: "\"12345678901234567890\"") == 413)
        #expect(try status("/", ["Content-Type: text/plain"], method: "POST", body: "a") == 415)
        #expect(try status("/", method: "POST", body: "a") == 415)
        #expect(try status("/a/../b/%61") == 200)
        #expect(origin.requests.last?.target == "/b/a")
        #expect(gateway.gateway.security.newest.count == 7)
    }

    @Test func tokensOpenTheDoorAndTellWhoComes() throws {
        let (origin, gateway) = try Self.gateway {
            var rules = TokenRules()
            rules.fields = [("sub", "X-User")]
            rules.wanted = [("role", "admin")]
            $0.routes[0].token = rules
            $0.tokenKeys = try? TokenKeys([(nil, try SignatureKey(.hs256, secret: TokenTests.secret))])
        }
        func token(_ claims: String) -> String { TokenTests.signed(#"{"alg":"HS256"}"#, claims) }
        let good = token(#"{"sub":"jo\r\ne","role":"admin","exp":99999999999}"#)
        let absent = try RawHTTP.get("/", port: gateway.port)
        #expect(absent.status == 401)
        #expect(absent["www-authenticate"] == "Bearer realm=\"outrigger\"")
        let bad = try RawHTTP.get("/", port: gateway.port, ["Authorization: Bearer \(good)x"])
        #expect(bad.status == 401)
        #expect(bad["www-authenticate"]?.contains("error=\"invalid_token\"") == true)
        #expect(try RawHTTP.get("/", port: gateway.port, ["Authorization: Basic x"]).status == 401)
        let two = ["Authorization: Bearer \(good)", "Authorization: Bearer \(good)"]
        #expect(try RawHTTP.get("/", port: gateway.port, two).status == 401)
        let poor = token(#"{"sub":"jim","exp":99999999999}"#)
        #expect(try RawHTTP.get("/", port: gateway.port, ["Authorization: Bearer \(poor)"]).status == 403)
        #expect(origin.requests.isEmpty)
        for name in ["X-User", "x_user", "X.User"] {
            #expect(
                try RawHTTP.get("/", port: gateway.port, ["Authorization: bearer \(good)", "\(name): root"]).status
                    == 200)
            #expect(origin.requests.last?.all("x-user") == ["jo%0D%0Ae"])
            #expect(origin.requests.last?.raw.contains("root") == false)
        }
        gateway.gateway.features.set(.jwt, percent: 0)
        #expect(try RawHTTP.get("/", port: gateway.port).status == 200)
    }

    @Test func ratesAreLimitedForEachClient() async throws {
        let (_, gateway) = try Self.gateway {
            $0.routes[0].rates = [
                RateRule(name: "each", count: 3, key: [.header("x-who")]),
                RateRule(name: "all", count: 5, key: [.route]),
            ]
        }
        func ask(_ who: String) throws -> RawHTTP.Answer { try RawHTTP.get("/", port: gateway.port, ["X-Who: \(who)"]) }
        for left in [2, 1, 0] { #expect(try ask("a").all("ratelimit")[0].hasPrefix("\"each\";r=\(left + 1);")) }
        let refused = try ask("a")
        #expect(refused.status == 429)
        #expect(refused["retry-after"].flatMap { Int($0) } ?? 0 >= 1)
        #expect(refused["ratelimit-policy"] == "\"each\";q=3;w=60")
        #expect(try ask("b").status == 200 && ask("c").status == 200)
        #expect(try ask("d").status == 429)
        await gateway.gateway.advance(by: .seconds(180))
        #expect(try ask("a").status == 200)
        #expect(gateway.value("outrigger_http_rate_limited_total", ["limit": "each", "decision": "refused"]) == 1)
    }

    @Test func aDryRunRefusesNobody() throws {
        let (_, gateway) = try Self.gateway {
            $0.routes[0].rates = [RateRule(count: 1)]
            $0.routes[0].rates[0].isDryRun = true
        }
        for _ in 0..<3 { #expect(try RawHTTP.get("/", port: gateway.port).status == 200) }
        #expect(gateway.value("outrigger_http_rate_limited_total", ["decision": "dry_run"]) == 2)
    }

    @Test func whoIsOneTooManyWaitsAndOneMoreIsTurnedAway() async throws {
        let held = Mutex<[TestOrigin.Responder]>([])
        let (origin, gateway) = try Self.gateway({ _, responder in held.withLock { $0.append(responder) } }) {
            $0.queue = AdmissionQueue.Rules(workers: 1, waiting: 2, targetMs: 0)
        }
        let clients = try (0..<4).map { _ in try RawHTTP(port: gateway.port) }
        for (index, client) in clients.prefix(3).enumerated() {
            client.send("POST /\(index) HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na")
            try await eventually("it is there") {
                Int(gateway.value("outrigger_http_requests_in_flight")) == index + 1
            }
        }
        clients[3].send("GET /3 HTTP/1.1\r\nHost: x\r\n\r\n")
        let full = try clients[3].answer()
        #expect(full.status == 503 && full["retry-after"] == "1")
        // The client of the second leaves, so that the third comes next.
        clients[1].hangUp()
        try await eventually("it has left") { gateway.value("outrigger_http_clients") == 3 }
        try await eventually("the first is there") { held.withLock { $0.count } == 1 }
        held.withLock { $0[0].answer() }
        #expect(try clients[0].answer().status == 200)
        try await eventually("the third is there") { held.withLock { $0.count } == 2 }
        held.withLock { $0[1].answer() }
        #expect(try clients[2].answer().status == 200)
        #expect(origin.requests.map(\.target) == ["/0", "/2"])
    }

    @Test func aServiceThatFailsIsLeftAlone() async throws {
        let shared = SharedFlag()
        let (origin, gateway) = try Self.gateway({ _, responder in responder.answer(shared.isSet ? 200 : 500) }) {
            var rules = RatioBreaker.Rules()
            (rules.least, rules.probes) = (4, 1)
            $0.routes[0].breaker = rules
            $0.routes[0].breakerBody = "{\"sorry\":true}"
        }
        for _ in 0..<4 { #expect(try RawHTTP.get("/", port: gateway.port).status == 500) }
        let answer = try RawHTTP.get("/", port: gateway.port)
        #expect(answer.status == 503 && answer.text == "{\"sorry\":true}" && answer["retry-after"] != nil)
        #expect(origin.requests.count == 4)
        #expect(gateway.value("outrigger_circuit_breaker_open", ["breaker": "gateway:default"]) == 1)
        shared.set()
        await gateway.gateway.advance(by: .seconds(10))
        for _ in 0..<3 { #expect(try RawHTTP.get("/", port: gateway.port).status == 200) }
        #expect(gateway.value("outrigger_circuit_breaker_open", ["breaker": "gateway:default"]) == 0)
        #expect(gateway.value("outrigger_circuit_breaker_openings_total", ["breaker": "gateway:default"]) == 1)
    }

    @Test func answersAreCompressedForWhoTakesThem() throws {
        let text = String(repeating: "hello compression ", count: 200)
        let (_, gateway) = try Self.gateway({ request, responder in
            switch request.target {
            case "/short": responder.answer(200, ["Content-Type: text/plain"], "short")
            case "/image": responder.answer(200, ["Content-Type: image/png"], text)
            case "/events": responder.answer(200, ["Content-Type: text/event-stream"], text)
            case "/plain": responder.answer(200, ["Content-Type: text/plain", "Cache-Control: no-transform"], text)
            case "/cookie": responder.answer(200, ["Content-Type: text/plain", "Set-Cookie: a=b"], text)
            case "/coded": responder.answer(200, ["Content-Type: text/plain", "Content-Encoding: gzip"], text)
            default: responder.answer(200, ["Content-Type: text/plain", "ETag: \"v\"", "Vary: Origin"], text)
            }
        }) { $0.routes[0].compression = CompressionRules() }
        func ask(_ path: String, _ accept: String?) throws -> RawHTTP.Answer {
            try RawHTTP.get(path, port: gateway.port, accept.map { ["Accept-Encoding: \($0)"] } ?? [])
        }
        for coding in ["br", "gzip"] {
            let answer = try ask("/", coding)
            #expect(answer["content-encoding"] == coding)
            #expect(answer.body.count < text.utf8.count / 4)
            #expect(answer["etag"] == "W/\"v\"")
            #expect(answer.all("vary") == ["Origin, Accept-Encoding"])
        }
        let plain = try ask("/", nil)
        #expect(plain["content-encoding"] == nil && plain.text == text && plain["etag"] == "\"v\"")
        #expect(plain.all("vary") == ["Origin, Accept-Encoding"])
        for path in ["/short", "/image", "/events", "/plain", "/cookie"] {
            #expect(try ask(path, "br, gzip")["content-encoding"] == nil, "\(path)")
        }
        #expect(try ask("/coded", "br").text == text)
    }

    @Test func keptAnswersAreCompressedOnce() throws {
        let text = String(repeating: "hello compression ", count: 200)
        let (origin, gateway) = try Self.gateway({ _, responder in
            responder.answer(200, ["Content-Type: text/plain", "Cache-Control: max-age=600", "ETag: \"v\""], text)
        }) {
            $0.routes[0].cache = AnswerCacheRules()
            $0.routes[0].compression = CompressionRules()
        }
        #expect(try RawHTTP.get("/", port: gateway.port).text == text)
        for _ in 0..<3 {
            let answer = try RawHTTP.get("/", port: gateway.port, ["Accept-Encoding: br"])
            #expect(answer["content-encoding"] == "br" && answer["etag"] == "W/\"v\"")
            #expect(answer["cache-status"]?.hasPrefix("outrigger; hit") == true)
        }
        #expect(try RawHTTP.get("/", port: gateway.port).text == text)
        #expect(origin.requests.count == 1)
        #expect(gateway.value("outrigger_http_compressed_total", ["coding": "br"]) == 1)
        #expect(
            try RawHTTP.get("/", port: gateway.port, ["Accept-Encoding: br", "If-None-Match: W/\"v\""]).status == 304)
    }

    @Test func explainSaysWhatEveryStepWouldDo() async throws {
        let (origin, gateway) = try Self.gateway {
            $0.routes[0].cache = AnswerCacheRules()
            $0.routes[0].rates = [RateRule(count: 10)]
        }
        let steps = await gateway.gateway.explain(method: "GET", host: "test", target: "/", fields: [], client: "::1")
        #expect(steps.map(\.step) == ["reader", "route", "rate_limit default", "cache", "upstream"])
        #expect(steps[3].does == "has nothing of this URL")
        let bad = await gateway.gateway.explain(method: "G T", host: "test", target: "/", fields: [], client: "::1")
        #expect(bad.map(\.does).last?.hasPrefix("answers 400") == true)
        #expect(origin.requests.isEmpty)
    }
}

/// Set once, from any thread.
final class SharedFlag: Sendable {
    private let flag = Atomic<Bool>(false)
    var isSet: Bool { flag.load(ordering: .relaxed) }
    func set() { flag.store(true, ordering: .relaxed) }
}
