import Foundation
import Metrics
import Network
import Runtime
import Synchronization
import TestTools
import Testing

@testable import Alerting

/// A webhook consumer that answers as it is told and remembers what it got.
final class Consumer: Sendable {
    let server: HTTPServer
    private let box: Box

    private final class Box: Sendable {
        let all = Mutex<[HTTPRequest]>([])
    }

    init(_ answer: @escaping @Sendable (Int, HTTPRequest) async -> HTTPResponse = { _, _ in HTTPResponse() }) throws {
        let requests = Box()
        box = requests
        server = try HTTPServer(ListenAddress(host: "127.0.0.1", port: 0)) { request in
            let number = requests.all.withLock { list in
                list.append(request)
                return list.count
            }
            return await answer(number, request)
        }
    }

    var url: String { "http://\(server.address)/hook" }
    var received: [HTTPRequest] { box.all.withLock { $0 } }

    /// What came until there were `count` requests, or until `patience` ended.
    func received(_ count: Int, within patience: Duration = .seconds(100)) async throws -> [HTTPRequest] {
        let deadline = Deadline.after(patience)
        while received.count < count, !deadline.hasPassed { try await Task.sleep(for: .milliseconds(10)) }
        return received
    }

    func stop() async { await server.stop(within: .seconds(5)) }
}

@Suite struct DispatcherTests {
    private let client = HTTPClient()
    private let quick = Route(
        receiver: "r", groupWait: .milliseconds(50), groupInterval: .milliseconds(300), repeatInterval: .seconds(600))

    private func dispatcher(
        _ receivers: [Receiver], _ route: Route? = nil, heartbeats: [Heartbeat] = [],
        store: NotificationStore = NotificationStore(nil), log: NotificationLog = NotificationLog()
    ) -> Dispatcher {
        let configuration = Switchboard.Configuration(
            route: route ?? quick, receivers: receivers, externalURL: "http://out.example")
        return Dispatcher(
            configuration, heartbeats: heartbeats, client: client, userAgent: "Outrigger/test", store: store, log: log)
    }

    private func alert(_ name: String, _ labels: KeyValuePairs<String, String> = [:], end: Duration = .seconds(3600))
        -> Alert
    {
        Alert(
            labels: Labels([Label("alertname", name)] + labels.map { Label($0.key, $0.value) }), startsAt: .now,
            endsAt: .now + end, updatedAt: .now)
    }

    private func webhook(_ url: String, _ change: (inout WebhookSettings) -> Void = { _ in }) -> WebhookSettings {
        var settings = WebhookSettings(url: .text(url))
        change(&settings)
        return settings
    }

    @Test func alertsArriveGroupedWithEveryHeaderAndOnceOnly() async throws {
        let consumer = try Consumer()
        let folder = try TemporaryFolder()
        try Files.write("s3cret\n", to: folder.path + "/token")
        try Files.write(consumer.url + "\n", to: folder.path + "/url")
        var settings = WebhookSettings(url: .file(folder.path + "/url"))
        settings.http.authorization = .header(scheme: "Bearer", credentials: .file(folder.path + "/token"))
        settings.http.headers = [("X-Team", .text("db"))]
        settings.signature = SignatureSettings(
            secret: .text("key"), header: "X-Signature", timestampHeader: "X-Timestamp")
        let dispatcher = dispatcher([Receiver(name: "r", webhooks: [settings])])
        await dispatcher.receive([alert("A"), alert("B")])
        let request = try #require(try await consumer.received(1).first)
        #expect(request.method == "POST" && request.path == "/hook")
        #expect(request.header("content-type") == "application/json")
        #expect(request.header("user-agent") == "Outrigger/test")
        #expect(request.header("authorization") == "Bearer s3cret" && request.header("x-team") == "db")
        let timestamp = try #require(request.header("x-timestamp"))
        let digest = HMAC.sha256(key: Array("key".utf8), Array("\(timestamp):".utf8) + request.body).hexadecimal
        #expect(request.header("x-signature") == digest)
        let body = try JSON.parse(request.body)
        #expect(body["alerts"]?.array?.count == 2 && body["status"]?.string == "firing")
        #expect(body["externalURL"]?.string == "http://out.example" && request.body.last == 0x0a)

        try Files.write("other", to: folder.path + "/token")
        await dispatcher.receive([alert("A", end: .milliseconds(-1)), alert("B", end: .milliseconds(-1))])
        let resolved = try #require(try await consumer.received(2).last)
        #expect(try JSON.parse(resolved.body)["status"]?.string == "resolved")
        #expect(resolved.header("authorization") == "Bearer other")
        try await Task.sleep(for: .milliseconds(700))
        #expect(consumer.received.count == 2)
        #expect(dispatcher.metrics.notifications.with(["r", "webhook"]).count == 2)
        await dispatcher.stop()
        await consumer.stop()
    }

    @Test func aStuckAndAFailingReceiverDelayNobody() async throws {
        let gate = Gate()
        let stuck = try Consumer { _, _ in
            await gate.wait()
            return HTTPResponse()
        }
        let failing = try Consumer { _, _ in HTTPResponse(status: 503) }
        let healthy = try Consumer()
        var root = Route(receiver: "stuck", groupWait: .zero, groupInterval: .milliseconds(200))
        root.routes = ["stuck", "failing", "healthy"].map {
            root.child(receiver: $0, matchers: [], continues: true)
        }
        let dispatcher = dispatcher(
            [("stuck", stuck), ("failing", failing), ("healthy", healthy)].map {
                Receiver(name: $0.0, webhooks: [webhook($0.1.url)])
            }, root)
        // All of this happens while the gate is closed.
        for number in 1...5 {
            await dispatcher.receive([alert("A\(number)")])
            #expect(try await healthy.received(number).count >= number)
        }
        #expect(try await failing.received(2).count >= 2)
        #expect(try await stuck.received(1).count >= 1)
        #expect(dispatcher.metrics.failedRequests.with(["failing", "webhook"]).count >= 1)
        await dispatcher.stop(within: .milliseconds(100))
        gate.open()
        for consumer in [stuck, failing, healthy] { await consumer.stop() }
    }

    @Test func aConsumerThatRecoversGetsTheMessageByItself() async throws {
        let consumer = try Consumer { number, _ in HTTPResponse(status: number < 3 ? 500 : 200) }
        let dispatcher = dispatcher([Receiver(name: "r", webhooks: [webhook(consumer.url)])])
        await dispatcher.receive([alert("A")])
        let requests = try await consumer.received(3)
        #expect(Set(requests.map(\.body)).count == 1)
        try await Task.sleep(for: .milliseconds(700))
        #expect(consumer.received.count == 3)
        #expect(dispatcher.metrics.requests.with(["r", "webhook"]).count == 3)
        #expect(dispatcher.metrics.failedRequests.with(["r", "webhook"]).count == 2)
        await dispatcher.stop()
        await consumer.stop()
    }

    @Test func retryAfterOfAnOverloadedConsumerIsObeyed() async throws {
        let consumer = try Consumer { number, _ in
            number == 1 ? HTTPResponse(status: 429, headers: [("Retry-After", "1")]) : HTTPResponse()
        }
        let dispatcher = dispatcher([Receiver(name: "r", webhooks: [webhook(consumer.url)])])
        await dispatcher.receive([alert("A")])
        _ = try await consumer.received(1)
        let began = ContinuousClock.now
        #expect(try await consumer.received(2).count == 2)
        #expect(ContinuousClock.now - began > .milliseconds(900))
        await dispatcher.stop()
        await consumer.stop()
    }

    @Test func aTimeoutEndsOneAttemptOnly() async throws {
        let gate = Gate()
        let consumer = try Consumer { number, _ in
            if number == 1 { await gate.wait() }
            return HTTPResponse()
        }
        let dispatcher = dispatcher([
            Receiver(name: "r", webhooks: [webhook(consumer.url) { $0.timeout = .milliseconds(200) }])
        ])
        await dispatcher.receive([alert("A")])
        #expect(try await consumer.received(2).count >= 2)
        gate.open()
        await dispatcher.stop()
        await consumer.stop()
    }

    @Test func whatWasAcceptedIsKnownAfterARestart() async throws {
        let consumer = try Consumer()
        let folder = try TemporaryFolder()
        let state = folder.path + "/state"
        let began = alert("A")
        do {
            let store = NotificationStore(try StateFolder(state))
            let dispatcher = dispatcher([Receiver(name: "r", webhooks: [webhook(consumer.url)])], store: store)
            await dispatcher.receive([began])
            _ = try await consumer.received(1)
            await dispatcher.stop()
        }
        let store = NotificationStore(try await released(state))
        let (log, _) = try await store.load(at: .now)
        #expect(log.count == 1)
        let dispatcher = dispatcher([Receiver(name: "r", webhooks: [webhook(consumer.url)])], store: store, log: log)
        await dispatcher.receive([began])
        try await Task.sleep(for: .milliseconds(600))
        #expect(consumer.received.count == 1)
        await dispatcher.receive([alert("A", end: .milliseconds(-1))])
        #expect(try JSON.parse(try await consumer.received(2)[1].body)["status"]?.string == "resolved")
        await dispatcher.stop()
        await consumer.stop()
    }

    /// The folder, once the last task of a dispatcher that was stopped has let go of it.
    private func released(_ path: String) async throws -> StateFolder {
        let deadline = Deadline.after(.seconds(120))
        while true {
            do { return try StateFolder(path) } catch { try #require(!deadline.hasPassed, "\(error)") }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    @Test func aLongJournalIsWrittenAnewAndLosesNothing() async throws {
        let folder = try TemporaryFolder()
        let state = try StateFolder(folder.path + "/state")
        let store = NotificationStore(state)
        _ = try await store.load(at: .now)
        let log = Mutex(NotificationLog())
        for number in 0..<80 {
            let integration = IntegrationID(receiver: "r", kind: "webhook", index: number % 3)
            let entry = NotificationLog.Entry(
                key: NotificationLog.Key(group: "g", integration: integration),
                firing: Set((0..<1000).map { Fingerprint(UInt64(number * 1000 + $0)) }), resolved: [], time: .now,
                expiresAt: .now + .seconds(60))
            log.withLock { $0.record(entry) }
            try await store.append(entry) { log.withLock { $0 } }
        }
        #expect(try Files.read(state.path + "/notifications.journal").count < 1_100_000)
        let (loaded, _) = try await store.load(at: .now)
        let expected = log.withLock { $0 }
        #expect(loaded.count == 3)
        for entry in expected.all { #expect(loaded[entry.key] == entry) }
    }

    @Test func twoProcessesDoNotShareAStateFolder() throws {
        let folder = try TemporaryFolder()
        let first = try StateFolder(folder.path)
        #expect(throws: FileError.self) { try StateFolder(folder.path) }
        #expect(first.path == folder.path)
    }

    @Test func theHeartbeatBeats() async throws {
        let consumer = try Consumer()
        let heartbeat = Heartbeat(receiver: "r", interval: .milliseconds(200), labels: Labels(["host": "h1"]))
        let dispatcher = dispatcher([Receiver(name: "r", webhooks: [webhook(consumer.url)])], heartbeats: [heartbeat])
        await dispatcher.start()
        let requests = try await consumer.received(3)
        let body = try JSON.parse(requests[2].body)
        #expect(body["groupKey"]?.string == #"{}:{alertname="Watchdog", host="h1"}"#)
        #expect(
            body["alerts"]?.array?.first?["startsAt"]
                == (try JSON.parse(requests[0].body))["alerts"]?.array?.first?["startsAt"])
        #expect(dispatcher.metrics.heartbeatTime.with(["r"]).value > 1_700_000_000)
        await dispatcher.stop()
        let count = consumer.received.count
        try await Task.sleep(for: .milliseconds(500))
        #expect(consumer.received.count == count)
        await consumer.stop()
    }

    @Test func alertmanagersGetBatchesAndNeitherWaitsForTheOther() async throws {
        let gate = Gate()
        let dead = try Consumer { _, _ in
            await gate.wait()
            return HTTPResponse(status: 500)
        }
        let alive = try Consumer()
        let urls = [dead, alive].map { "http://\($0.server.address)/am/" }
        var settings = AlertmanagerSettings(urls: urls)
        settings.timeout = .seconds(100)
        let dispatcher = dispatcher([Receiver(name: "r", alertmanagers: [settings])])
        await dispatcher.receive((0..<600).map { alert("A\($0)") })
        let requests = try await alive.received(3)
        #expect(try requests.map { try JSON.parse($0.body).array?.count } == [256, 256, 88])
        #expect(requests.allSatisfy { $0.path == "/am/api/v2/alerts" })
        #expect(try await dead.received(1).count == 1)
        await dispatcher.receive((0..<10_300).map { alert("B\($0)") })
        #expect(dispatcher.metrics.dropped.with(["alertmanager_queue"]).count >= 300)
        await dispatcher.stop(within: .milliseconds(100))
        gate.open()
        for consumer in [dead, alive] { await consumer.stop() }
    }

    @Test func aSecretThatCannotBeReadIsAFailureThatIsTriedAgain() async throws {
        let consumer = try Consumer()
        let folder = try TemporaryFolder()
        let path = folder.path + "/url"
        let dispatcher = dispatcher([Receiver(name: "r", webhooks: [WebhookSettings(url: .file(path))])])
        await dispatcher.receive([alert("A")])
        try await Task.sleep(for: .milliseconds(200))
        try Files.write(consumer.url, to: path)
        #expect(try await consumer.received(1).count == 1)
        await dispatcher.stop()
        await consumer.stop()
    }
}
