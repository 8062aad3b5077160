import Metrics
import Runtime
import Testing

@testable import Alerting

/// A switchboard, a clock that is moved by hand, and what was sent.
private struct Stage {
    static let start = Moment(milliseconds: 1_800_000_000_000)

    var board: Switchboard
    var now = Stage.start
    var open: [Switchboard.Message] = []
    var recorded: [NotificationLog.Entry] = []
    var gaveUp = 0

    init(_ route: Route, _ receivers: [Receiver]? = nil, inhibit: [InhibitRule] = []) {
        let names = Set(RouteTree(route).branches.map(\.route.receiver))
        let receivers =
            receivers ?? names.map { Receiver(name: $0, webhooks: [WebhookSettings(url: .text("http://x"))]) }
        board = Switchboard(Switchboard.Configuration(route: route, receivers: receivers, inhibitRules: inhibit))
    }

    /// Seconds since the start.
    var clock: Double { (now - Stage.start).seconds }

    mutating func fire(_ names: String..., labels: KeyValuePairs<String, String> = [:], since: Double? = nil) {
        board.receiveAll(names.map { alert($0, labels, since: since, end: 3600) }, at: now)
    }

    mutating func resolve(_ names: String..., labels: KeyValuePairs<String, String> = [:]) {
        board.receiveAll(names.map { alert($0, labels, since: nil, end: 0) }, at: now)
    }

    func alert(
        _ name: String, _ labels: KeyValuePairs<String, String>, since: Double?, end: Double
    ) -> Alert {
        let labels = Labels([Label("alertname", name)] + labels.map { Label($0.key, $0.value) })
        let known = board.alerts[Fingerprint(labels)]?.startsAt
        let start = since.map { Stage.start + .milliseconds(Int($0 * 1000)) } ?? known ?? now
        return Alert(labels: labels, startsAt: start, endsAt: now + .milliseconds(Int(end * 1000)), updatedAt: now)
    }

    /// Moves the clock to `second`, doing what is due on the way, and accepts everything at once unless told otherwise.
    ///
    /// - Returns: what was sent, as `second receiver: names of firing alerts/names of resolved ones`.
    @discardableResult
    mutating func run(until second: Double, accept: Bool = true) throws -> [String] {
        var told: [String] = []
        let end = Stage.start + .milliseconds(Int(second * 1000))
        while let next = board.nextDue, next <= end {
            now = max(now, next)
            told += try work(accept: accept)
        }
        now = end
        return told + (try work(accept: accept))
    }

    private mutating func work(accept: Bool) throws -> [String] {
        var told: [String] = []
        for work in board.due(at: now) {
            switch work {
            case .record(let entry): recorded.append(entry)
            case .gaveUp: gaveUp += 1
            case .send(let message):
                told.append("\(clock) \(message.integration.receiver): \(try summary(message.body))")
                if accept { _ = finish(message, .accepted) } else { open.append(message) }
            }
        }
        return told
    }

    mutating func finish(
        _ message: Switchboard.Message, _ outcome: DeliveryOutcome, random: Double = 0.5
    ) -> RetryPolicy.Verdict {
        if outcome == .accepted, let entry = board.entry(for: message.id, at: now) { recorded.append(entry) }
        return board.finished(message.id, outcome, at: now, random: random)
    }

    private func summary(_ body: [UInt8]) throws -> String {
        let alerts = try JSON.parse(body)["alerts"]?.array ?? []
        func names(_ status: String) -> String {
            alerts.filter { $0["status"]?.string == status }.compactMap { $0["labels"]?["alertname"]?.string }.joined()
        }
        return names("firing") + "/" + names("resolved")
    }
}

extension Switchboard {
    fileprivate mutating func receiveAll(_ alerts: [Alert], at now: Moment) { _ = receive(alerts, at: now) }
}

@Suite struct SwitchboardTests {
    @Test func theClockIsSetAndWhatWaitsGoesOnWaiting() throws {
        for step in [-3_600_000, 3_600_000] as [Int64] {
            var stage = Stage(Route(receiver: "r", grouping: .by(["alertname"]), groupWait: .seconds(30)))
            stage.fire("A")
            try stage.run(until: 10)
            stage.board.move(by: step)
            stage.now = stage.now.moved(by: step)
            let due = try #require(stage.board.nextDue)
            #expect(due - stage.now == .seconds(20))
            let alert = try #require(stage.board.alerts.values.first)
            #expect(stage.now - alert.startsAt == .seconds(10))
        }
    }

    @Test func aFloodOfOneNameLeavesRoomForOthers() {
        var configuration = Switchboard.Configuration(
            route: Route(receiver: "r", grouping: .by(["alertname"])),
            receivers: [Receiver(name: "r", webhooks: [WebhookSettings(url: .text("http://x"))])])
        configuration.limits.alertsPerName = 3
        var board = Switchboard(configuration)
        func alerts(_ name: String, _ count: Int) -> [Alert] {
            (0..<count).map {
                Alert(
                    labels: Labels([Label("alertname", name), Label("n", "\($0)")]), startsAt: Stage.start,
                    endsAt: Stage.start + .seconds(600), updatedAt: Stage.start)
            }
        }
        #expect(board.receive(alerts("Flood", 10), at: Stage.start).droppedOfName == 7)
        #expect(board.receive(alerts("Critical", 1), at: Stage.start).lost == 0)
        #expect(board.receive(alerts("Flood", 3), at: Stage.start).lost == 0)
        // A minute after they have been over for a quarter of an hour, there is room again.
        _ = board.due(at: Stage.start + .seconds(600 + 901))
        #expect(board.receive(alerts("Flood", 3), at: Stage.start + .seconds(1502)).lost == 0)
    }

    /// Waits 10 s, then every 60 s, repeats after 10 min.
    private let route = Route(
        receiver: "r", groupWait: .seconds(10), groupInterval: .seconds(60), repeatInterval: .seconds(600))

    @Test func aGroupIsToldAfterItsWaitAndItsNewsAtEachInterval() throws {
        var stage = Stage(route)
        stage.fire("A")
        #expect(try stage.run(until: 5).isEmpty)
        stage.fire("B")
        #expect(try stage.run(until: 20) == ["10.0 r: AB/"])
        stage.fire("C")
        #expect(try stage.run(until: 69).isEmpty)
        #expect(try stage.run(until: 71) == ["70.0 r: ABC/"])
        stage.resolve("A")
        #expect(try stage.run(until: 200) == ["130.0 r: BC/A"])
        stage.resolve("B", "C")
        #expect(try stage.run(until: 300) == ["250.0 r: /BC"])
        #expect(try stage.run(until: 2000).isEmpty)
        #expect(stage.board.groups.isEmpty)
    }

    @Test func anAlertThatBeganLongAgoIsToldAtOnce() throws {
        var stage = Stage(route)
        stage.fire("A", since: -11)
        #expect(try stage.run(until: 1) == ["0.0 r: A/"])
        stage.fire("B", since: -20)
        #expect(try stage.run(until: 59).isEmpty)
    }

    @Test func whatIsUnchangedIsRepeatedAtTheFirstIntervalAfterTheRepeatInterval() throws {
        var stage = Stage(
            Route(receiver: "r", groupWait: .seconds(1), groupInterval: .seconds(8), repeatInterval: .seconds(30)))
        stage.fire("A")
        #expect(try stage.run(until: 70) == ["1.0 r: A/", "33.0 r: A/", "65.0 r: A/"])
    }

    @Test func anAlertNobodySendsAgainEndsAtItsEnd() throws {
        var stage = Stage(route)
        stage.fire("A")
        #expect(try stage.run(until: 3600 + 60).last == "3610.0 r: /A")
    }

    @Test func anAlertThatIsOverBeforeItsGroupIsToldIsNeverTold() throws {
        var stage = Stage(route)
        stage.fire("A")
        try stage.run(until: 5)
        stage.resolve("A")
        #expect(try stage.run(until: 1000).isEmpty)
    }

    @Test func anAlertThatComesBackKeepsToTheGroupsInterval() throws {
        var stage = Stage(route)
        stage.fire("A")
        try stage.run(until: 15)
        stage.resolve("A")
        #expect(try stage.run(until: 75) == ["70.0 r: /A"])
        stage.fire("A")
        #expect(try stage.run(until: 129).isEmpty)
        #expect(try stage.run(until: 131) == ["130.0 r: A/"])
    }

    @Test func aReceiverThatDoesNotWantResolvedAlertsIsNotToldButTheLogIs() throws {
        var settings = WebhookSettings(url: .text("http://x"))
        settings.sendsResolved = false
        var stage = Stage(route, [Receiver(name: "r", webhooks: [settings])])
        stage.fire("A", "B")
        #expect(try stage.run(until: 20) == ["10.0 r: AB/"])
        stage.resolve("A")
        #expect(try stage.run(until: 100).isEmpty)
        stage.resolve("B")
        #expect(try stage.run(until: 200).isEmpty)
        #expect(stage.recorded.last?.firing.isEmpty == true)
        stage.fire("B")
        #expect(try stage.run(until: 300).count == 1)
    }

    @Test func eachWebhookOfAReceiverIsToldOnItsOwnAccount() throws {
        let receiver = Receiver(
            name: "r", webhooks: [WebhookSettings(url: .text("http://x")), WebhookSettings(url: .text("http://y"))])
        var stage = Stage(route, [receiver])
        stage.fire("A")
        try stage.run(until: 10, accept: false)
        #expect(stage.open.map(\.integration.index) == [0, 1])
        #expect(stage.finish(stage.open[0], .accepted) == .done)
        #expect(stage.finish(stage.open[1], .refused(status: 400, retryAfter: nil)) == .giveUp(.clientError))
        stage.open = []
        try stage.run(until: 71, accept: false)
        #expect(stage.open.map(\.integration.index) == [1])
    }

    @Test func aRefusedMessageIsSentAgainAtTheNextIntervalAndAFailedOneSooner() throws {
        var stage = Stage(route)
        stage.fire("A")
        try stage.run(until: 10, accept: false)
        #expect(stage.finish(stage.open.removeFirst(), .refused(status: 404, retryAfter: nil)) == .giveUp(.clientError))
        #expect(try stage.run(until: 69, accept: false).isEmpty)
        #expect(try stage.run(until: 70, accept: false) == ["70.0 r: A/"])
        #expect(
            stage.finish(stage.open.removeFirst(), .refused(status: 503, retryAfter: nil))
                == .retry(at: stage.now + .milliseconds(500)))
        #expect(try stage.run(until: 71, accept: false) == ["70.5 r: A/"])
        #expect(stage.open[0].attempt == 2)
        #expect(stage.finish(stage.open.removeFirst(), .failed("reset")) == .retry(at: stage.now + .milliseconds(750)))
        #expect(try stage.run(until: 80) == ["71.75 r: A/"])
        #expect(try stage.run(until: 200).isEmpty)
    }

    @Test func resolvedAlertsStayUntilTheyWereToldAndUnlessTheyCameBackMeanwhile() throws {
        var stage = Stage(route)
        stage.fire("A", "B")
        try stage.run(until: 10)
        stage.resolve("A", "B")
        try stage.run(until: 70, accept: false)
        _ = stage.finish(stage.open.removeFirst(), .refused(status: 400, retryAfter: nil))
        #expect(try stage.run(until: 130, accept: false) == ["130.0 r: /AB"])
        stage.now = stage.now + .seconds(1)
        stage.fire("B", since: 131)
        _ = stage.finish(stage.open.removeFirst(), .accepted)
        #expect(try stage.run(until: 190) == ["190.0 r: B/"])
    }

    @Test func aGroupWhoseMessageIsUnderWayIsNotToldAgainBeforeThat() throws {
        var stage = Stage(route)
        stage.fire("A")
        try stage.run(until: 10, accept: false)
        stage.fire("B")
        #expect(try stage.run(until: 200, accept: false).isEmpty)
        #expect(stage.finish(stage.open.removeFirst(), .accepted) == .done)
        #expect(try stage.run(until: 200) == ["200.0 r: AB/"])
    }

    @Test func aPauseThatWasAskedForHoldsBackEveryMessageToThatIntegration() throws {
        var root = route
        root.grouping = .byAllLabels
        var stage = Stage(root)
        stage.fire("A")
        try stage.run(until: 10, accept: false)
        #expect(
            stage.finish(stage.open.removeFirst(), .refused(status: 429, retryAfter: .seconds(20)))
                == .retry(at: stage.now + .seconds(20)))
        stage.fire("B")
        #expect(try stage.run(until: 29, accept: false).isEmpty)
        #expect(try stage.run(until: 31).sorted() == ["30.0 r: A/", "30.0 r: B/"])
    }

    @Test func aPauseLongerThanTheFlushEndsIt() throws {
        var stage = Stage(route)
        stage.fire("A")
        try stage.run(until: 10, accept: false)
        #expect(
            stage.finish(stage.open.removeFirst(), .refused(status: 429, retryAfter: .seconds(90)))
                == .giveUp(.clientError))
        #expect(try stage.run(until: 99).isEmpty)
        #expect(try stage.run(until: 101) == ["100.0 r: A/"])
    }

    @Test func onlySomeMessagesToOneIntegrationAreUnderWayAtOnce() throws {
        var root = route
        root.grouping = .byAllLabels
        var stage = Stage(root)
        for index in 0..<20 { stage.fire("A\(index)") }
        #expect(try stage.run(until: 10, accept: false).count == 8)
        #expect(stage.board.queueLengths.values.first == 20)
        _ = stage.finish(stage.open.removeFirst(), .accepted)
        #expect(try stage.run(until: 10, accept: false).count == 1)
        // Those that never had their turn are given up at the flush's deadline, and tried again with the next flush.
        try stage.run(until: 70, accept: false)
        #expect(stage.gaveUp == 11)
    }

    @Test func aSilencedAlertVanishesFromTheMessageAndAnEmptyMessageIsNotSent() throws {
        var stage = Stage(route)
        let silence = Silence(
            matchers: [try Matcher(parsing: "alertname=B")], startsAt: stage.now, endsAt: stage.now + .seconds(100),
            updatedAt: stage.now, createdBy: "me", comment: "")
        _ = try stage.board.silences.set(silence, newID: "1", at: stage.now)
        stage.fire("A", "B")
        #expect(try stage.run(until: 20) == ["10.0 r: A/"])
        stage.resolve("A")
        #expect(try stage.run(until: 80) == ["70.0 r: /A"])
        #expect(try stage.run(until: 140) == ["130.0 r: B/"])
    }

    @Test func aSilenceOfTheConfigurationHoldsUntilAReloadTakesItAway() throws {
        var stage = Stage(route)
        var configuration = stage.board.configuration
        configuration.silences = [
            Silence(
                id: "s", matchers: [try Matcher(parsing: "alertname=A")], startsAt: Moment(milliseconds: 0),
                endsAt: stage.now + .seconds(9999), updatedAt: stage.now, createdBy: "", comment: "")
        ]
        stage.board.reconfigure(configuration, at: stage.now)
        stage.fire("A")
        #expect(try stage.run(until: 20) == [])
        configuration.silences = []
        stage.board.reconfigure(configuration, at: stage.now)
        #expect(try stage.run(until: 40) == ["20.0 r: A/"])
    }

    @Test func anInhibitedAlertIsNotToldAndWhenItEndsSoNeitherIsThat() throws {
        let rule = InhibitRule(
            source: [try Matcher(parsing: "severity=critical")], target: [try Matcher(parsing: "severity=warning")],
            equal: ["db"])
        var stage = Stage(route, inhibit: [rule])
        stage.fire("C", labels: ["severity": "critical", "db": "x"])
        stage.fire("W", labels: ["severity": "warning", "db": "x"])
        stage.fire("V", labels: ["severity": "warning", "db": "y"])
        #expect(try stage.run(until: 20) == ["10.0 r: CV/"])
        stage.resolve("W", labels: ["severity": "warning", "db": "x"])
        #expect(try stage.run(until: 80).isEmpty)
        stage.resolve("C", labels: ["severity": "critical", "db": "x"])
        #expect(try stage.run(until: 140) == ["130.0 r: V/C"])
    }

    @Test func aRestartTellsNothingTwiceAndForgetsNothing() throws {
        var stage = Stage(route)
        stage.fire("A", "B")
        try stage.run(until: 10)
        var after = Stage(route)
        after.board = Switchboard(stage.board.configuration, log: NotificationLog(stage.recorded))
        after.now = Stage.start + .seconds(30)
        after.fire("A", since: 0)
        #expect(try after.run(until: 40).isEmpty)
        after.resolve("A", "B")
        #expect(try after.run(until: 200).count == 1)
    }

    @Test func anAlertThatEndedWhileNobodyWatchedIsToldAfterTheRestart() throws {
        var stage = Stage(route)
        stage.fire("A")
        try stage.run(until: 10)
        var after = Stage(route)
        after.board = Switchboard(stage.board.configuration, log: NotificationLog(stage.recorded))
        after.now = Stage.start + .seconds(30)
        after.resolve("A")
        #expect(try after.run(until: 100) == ["40.0 r: /A"])
    }

    @Test func aReloadTellsNothingTwiceAndFinishesWhatIsUnderWay() throws {
        var stage = Stage(route)
        stage.fire("A")
        try stage.run(until: 10, accept: false)
        stage.board.reconfigure(stage.board.configuration, at: stage.now)
        #expect(try stage.run(until: 25).isEmpty)
        #expect(stage.finish(stage.open.removeFirst(), .accepted) == .done)
        #expect(try stage.run(until: 100).isEmpty)
        stage.fire("B")
        #expect(try stage.run(until: 200).count == 1)
    }

    @Test func tablesHaveLimits() throws {
        var root = route
        root.grouping = .byAllLabels
        var configuration = Switchboard.Configuration(
            route: root, receivers: [Receiver(name: "r", webhooks: [WebhookSettings(url: .text("x"))])])
        configuration.limits.alerts = 3
        configuration.limits.groups = 2
        var board = Switchboard(configuration)
        let stage = Stage(root)
        let reception = board.receive(
            ["A", "B", "C", "D", "A"].map { stage.alert($0, [:], since: nil, end: 10) }, at: stage.now)
        #expect(reception.droppedAlerts == 1 && reception.ungroupedAlerts == 1)
        #expect(board.alerts.count == 3 && board.groups.count == 2)
    }

    @Test func alertmanagersGetAlertsAtOnceAndUngrouped() throws {
        let receiver = Receiver(name: "r", alertmanagers: [AlertmanagerSettings(urls: ["http://a"])])
        var stage = Stage(route, [receiver])
        let reception = stage.board.receive([stage.alert("A", [:], since: nil, end: 10)], at: stage.now)
        #expect(reception.forwards.map { $0.alerts.map(\.name) } == [["A"]])
        #expect(stage.board.nextDue == nil)
    }
}
