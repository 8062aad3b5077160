import LocalServers
import Network
import Runtime
import Synchronization
import TestTools
import Testing

@testable import Gateway

/// Several instances, and what happens when they go.
@Suite struct UpstreamTests {
    @Test func requestsGoToAllInstances() throws {
        let origins = try (0..<3).map { index in
            try TestOrigin { _, responder in responder.answer(200, [], "\(index)") }
        }
        let gateway = try TestGateway(to: origins.map(\.port))
        var seen: Set<String> = []
        for _ in 0..<9 { seen.insert(try RawHTTP.get("/", port: gateway.port).text) }
        #expect(seen == ["0", "1", "2"])
    }

    @Test func anInstanceThatIsNotThereIsGoneAround() throws {
        let origin = try TestOrigin { _, responder in responder.answer() }
        let gateway = try TestGateway(to: [FreePort.next(), origin.port])
        for _ in 0..<10 {
            #expect(try RawHTTP.get("/", port: gateway.port, method: "POST", body: "x").status == 200)
        }
        #expect(origin.requests.count == 10)
    }

    @Test func aServiceThatIsBeingStartedIsWaitedFor() async throws {
        let port = FreePort.next()
        let gateway = try TestGateway(to: [port]) { $0.routes[0].restartPatience = .seconds(60) }
        let client = try RawHTTP(port: gateway.port)
        client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
        try await eventually("it was tried") {
            gateway.value("outrigger_http_retries_total", ["reason": "connect"]) >= 1
        }
        let origin = try TestOrigin(port: port) { request, responder in responder.answer(200, [], request.text) }
        #expect(try client.answer().text == "abc")
        #expect(origin.requests.count == 1)
    }

    @Test func whereAllAreLeftAloneOneIsTriedNowAndThen() {
        var health = UpstreamHealth(UpstreamHealth.Rules())
        #expect(health.isWorthAsking(nowMs: 0))
        for failure in 0..<3 { #expect(health.failed(nowMs: failure) == (failure == 2)) }
        #expect(
            !health.isWorthAsking(nowMs: 900) && !health.isLastResort(nowMs: 100) && health.isLastResort(nowMs: 300))
        #expect(health.isWorthAsking(nowMs: 1100))
        health.answered(nowMs: 1100)
        #expect(health.isUp)
    }

    @Test func aServiceThatStaysAwayIsSaidToBe() throws {
        let gateway = try TestGateway(to: [FreePort.next()]) { $0.routes[0].restartPatience = .milliseconds(100) }
        #expect(try RawHTTP.get("/", port: gateway.port).status == 502)
    }

    @Test func whatMayHaveArrivedIsRepeatedOnlyIfItMayBe() throws {
        let count = Mutex(0)
        let origin = try TestOrigin { _, responder in
            let number = count.withLock { count in
                count += 1
                return count
            }
            // The first is closed without an answer.
            if number == 1 { responder.send("", thenClose: true) } else { responder.answer(200, [], "\(number)") }
        }
        let gateway = try TestGateway(to: [origin.port])
        func first() { count.withLock { $0 = 0 } }
        #expect(try RawHTTP.get("/", port: gateway.port).text == "2")
        first()
        #expect(try RawHTTP.get("/", port: gateway.port, method: "POST", body: "x").status == 502)
        first()
        #expect(try RawHTTP.get("/", port: gateway.port, ["Idempotency-Key: 1"], method: "POST", body: "x").text == "2")
        first()
        #expect(try RawHTTP.get("/", port: gateway.port, method: "PUT", body: "x").text == "2")
    }

    @Test func repeatingHasABudget() throws {
        let origin = try TestOrigin { _, responder in responder.send("", thenClose: true) }
        let gateway = try TestGateway(to: [origin.port]) {
            $0.routes[0].restartPatience = .seconds(60)
            $0.retryShare = 0
        }
        #expect(try RawHTTP.get("/", port: gateway.port).status == 502)
        #expect(origin.requests.count == 1)
    }

    @Test func aServiceThatDoesNotAnswerIsGivenUp() throws {
        let origin = try TestOrigin { _, _ in }
        let gateway = try TestGateway(to: [origin.port]) { $0.routes[0].answerTimeout = .milliseconds(300) }
        #expect(try RawHTTP.get("/", port: gateway.port).status == 504)
    }

    @Test func checksFindWhoIsWell() async throws {
        let isIll = SharedFlag()
        let first = try TestOrigin { request, responder in
            responder.answer(request.target == "/health" && isIll.isSet ? 500 : 200, [], "a")
        }
        let second = try TestOrigin { _, responder in responder.answer(200, [], "b") }
        let gateway = try TestGateway(to: [first.port, second.port]) {
            $0.routes[0].health.path = "/health"
            $0.routes[0].health.interval = .milliseconds(50)
            $0.routes[0].health.failures = 2
        }
        let name = "127.0.0.1:\(first.port)"
        try await eventually("both are well") { gateway.value("outrigger_http_upstream_up", ["upstream": name]) == 1 }
        isIll.set()
        try await eventually("one is ill") { gateway.value("outrigger_http_upstream_up", ["upstream": name]) == 0 }
        for _ in 0..<6 { #expect(try RawHTTP.get("/", port: gateway.port).text == "b") }
    }

    @Test func aReloadUnderLoadLosesNothing() async throws {
        let origin = try TestOrigin { request, responder in responder.answer(200, [], request.target) }
        let gateway = try TestGateway(to: [origin.port])
        let client = try RawHTTP(port: gateway.port)
        for number in 0..<200 {
            client.send("GET /\(number) HTTP/1.1\r\nHost: x\r\n\r\n")
            if number % 10 == 0 {
                gateway.gateway.reload(
                    GatewayRules(routes: [try TestGateway.route("r\(number % 3)", to: [origin.port])]))
            }
            #expect(try client.answer().text == "/\(number)")
        }
    }

    /// Answers carry the token of their question; clients leave at random moments.
    @Test func noAnswerReachesAnother() async throws {
        let origin = try TestOrigin { request, responder in
            let token = request["x-token"] ?? ""
            responder.answer(
                200, ["X-Token: \(token)"], String(repeating: token + ".", count: 1 + token.utf8.count % 50))
        }
        let gateway = try TestGateway(to: [origin.port])
        await withTaskGroup(of: Void.self) { group in
            for worker in 0..<3 {
                group.addTask {
                    do {
                        var random = Seeded(UInt64(worker))
                        for round in 0..<60 {
                            let client = try RawHTTP(port: gateway.port)
                            for step in 0..<10 {
                                let token = "\(worker)-\(round)-\(step)-\(random.below(1_000_000))"
                                client.send("GET / HTTP/1.1\r\nHost: x\r\nX-Token: \(token)\r\n\r\n")
                                if random.chance(0.05) {
                                    client.hangUp(abruptly: random.chance(0.5))
                                    break
                                }
                                let answer = try client.answer()
                                #expect(answer["x-token"] == token && answer.text.hasPrefix(token + "."))
                            }
                        }
                    } catch { Issue.record("\(error)") }
                }
            }
        }
    }
}
