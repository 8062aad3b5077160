import Metrics
import Runtime
import Testing

@testable import Alerting

@Suite struct RetryPolicyTests {
    private let now = Moment(milliseconds: 1_000_000)

    @Test func pausesGrowByHalfUpToAMinuteAndAreSpread() {
        var policy = RetryPolicy(deadline: now + .seconds(100_000))
        var pauses: [Double] = []
        for _ in 0..<14 {
            guard case .retry(let next) = policy.finished(.timedOut, at: now, random: 0.5) else { break }
            pauses.append((next - now).seconds)
        }
        #expect(pauses[..<4] == [0.5, 0.75, 1.125, 1.687])
        #expect(pauses.last == 60)
        var early = RetryPolicy(deadline: now + .seconds(10))
        #expect(early.finished(.timedOut, at: now, random: 0) == .retry(at: now + .milliseconds(250)))
        var late = RetryPolicy(deadline: now + .seconds(10))
        #expect(late.finished(.timedOut, at: now, random: 0.999) == .retry(at: now + .milliseconds(749)))
    }

    @Test func nothingIsTriedAfterTheDeadline() {
        for (outcome, failure) in [
            (DeliveryOutcome.timedOut, DeliveryFailure.contextDeadlineExceeded), (.failed("x"), .other),
            (.refused(status: 502, retryAfter: nil), .serverError),
        ] {
            var policy = RetryPolicy(deadline: now + .milliseconds(500))
            #expect(policy.finished(outcome, at: now, random: 0.5) == .giveUp(failure))
        }
    }

    @Test(arguments: [400, 401, 404, 422, 429, 302]) func otherStatusesAreLeftToTheNextFlush(_ status: Int) {
        var policy = RetryPolicy(deadline: now + .seconds(100))
        let verdict = policy.finished(.refused(status: status, retryAfter: nil), at: now, random: 0.5)
        #expect(verdict == .giveUp(status == 302 ? .other : .clientError))
    }

    @Test func retryAfterIsSecondsOrADate() throws {
        let now = try #require(Moment("2026-10-21T07:27:00Z"))
        #expect(RetryAfter.parse("120", at: now) == .seconds(120))
        #expect(RetryAfter.parse("Wed, 21 Oct 2026 07:28:00 GMT", at: now) == .seconds(60))
        #expect(RetryAfter.parse("Wed, 21 Oct 2020 07:28:00 GMT", at: now) == .zero)
        for text in ["", "-1", "soon", "Wed, 41 Oct 2026 07:28:00 GMT", "1.5"] {
            #expect(RetryAfter.parse(text, at: now) == nil)
        }
    }
}

@Suite struct NotificationLogTests {
    private let key = NotificationLog.Key(
        group: #"{}:{a="b"}"#, integration: IntegrationID(receiver: "r", kind: "webhook", index: 0))
    private let now = Moment(milliseconds: 1_000_000_000)

    private func reason(
        last: (firing: Set<UInt64>, resolved: Set<UInt64>)?, firing: Set<UInt64>, resolved: Set<UInt64> = [],
        sendsResolved: Bool = true, after: Duration = .seconds(60)
    ) -> NotificationLog.Reason? {
        var log = NotificationLog()
        if let last {
            log.record(
                NotificationLog.Entry(
                    key: key, firing: Set(last.firing.map { Fingerprint($0) }),
                    resolved: Set(last.resolved.map { Fingerprint($0) }), time: now - after,
                    expiresAt: now + .seconds(3600)))
        }
        return log.reason(
            for: key, firing: Set(firing.map { Fingerprint($0) }), resolved: Set(resolved.map { Fingerprint($0) }),
            sendsResolved: sendsResolved, repeatInterval: .seconds(300), at: now)
    }

    @Test func thereIsNewsWhenAlertmanagerSaysSo() {
        #expect(reason(last: nil, firing: [1]) == .first)
        #expect(reason(last: nil, firing: [], resolved: [1]) == nil)
        #expect(reason(last: ([1], []), firing: [1, 2]) == .newAlerts)
        #expect(reason(last: ([1, 2], []), firing: [1]) == nil)
        #expect(reason(last: ([1, 2], []), firing: [1], resolved: [2]) == .someResolved)
        #expect(reason(last: ([1, 2], [2]), firing: [1], resolved: [2]) == nil)
        #expect(reason(last: ([1, 2], []), firing: [1], resolved: [2], sendsResolved: false) == nil)
        #expect(reason(last: ([1], []), firing: [], resolved: [1]) == .allResolved)
        #expect(reason(last: ([1], []), firing: [], resolved: [1], sendsResolved: false) == .allResolved)
        #expect(reason(last: ([], [1]), firing: [], resolved: [1, 2]) == nil)
        #expect(reason(last: ([1], []), firing: [1], after: .seconds(300)) == nil)
        #expect(reason(last: ([1], []), firing: [1], after: .seconds(301)) == .repeated)
    }

    @Test func anExpiredEntryCountsAsNone() {
        let entry = NotificationLog.Entry(key: key, firing: [], resolved: [], time: now, expiresAt: now + .seconds(10))
        var log = NotificationLog([entry])
        log.removeExpired(at: now + .seconds(9))
        #expect(log.count == 1)
        log.removeExpired(at: now + .seconds(10))
        #expect(log.count == 0)
    }

    @Test func anEntryIsReadBackFromDisk() {
        let entry = NotificationLog.Entry(
            key: key, firing: [Fingerprint(1), Fingerprint(.max)], resolved: [], time: now, expiresAt: now + .seconds(1)
        )
        #expect(NotificationLog.Entry(encoded: entry.encoded) == entry)
        #expect(NotificationLog.Entry(encoded: Array("{}".utf8)) == nil)
    }

    private func alert(_ name: String, annotation: String = "<b>\u{e9}</b>") -> Alert {
        Alert(
            labels: Labels(["alertname": name]), annotations: [Label("summary", annotation), Label("empty", "")],
            startsAt: now, endsAt: now + .seconds(1), generatorURL: "http://g?a=b&c", updatedAt: now,
            endIsAssumed: true)
    }

    @Test func theAlertsThatWereToldAreReadBackWithIt() {
        var log = NotificationLog()
        let entry = log.entry(for: key, telling: [alert("A"), alert("B")], repeatInterval: .seconds(60), at: now)
        #expect(entry.begun.count == 2 && NotificationLog.Entry(encoded: entry.encoded) == entry)
        let announced = log.announce([alert("A"), alert("B")], before: entry, at: now)
        #expect(announced?.underWay?.count == 2)
        #expect(announced.flatMap { NotificationLog.Entry(encoded: $0.encoded) } == announced)
    }

    /// A record that the journal does not take would end the process.
    @Test func ofVeryManyAlertsOnlyTheFingerprintsAreKept() {
        let text = String(repeating: "x", count: 1000)
        let alerts = (0..<10_000).map { alert("A\($0)", annotation: text) }
        let entry = NotificationLog().entry(for: key, telling: alerts, repeatInterval: .seconds(60), at: now)
        #expect(entry.encoded.count < NotificationLog.Entry.detailLimit)
        let read = NotificationLog.Entry(encoded: entry.encoded)
        #expect(read?.firing == entry.firing && read?.begun == [:])
    }

    @Test func theNewerOfTwoEntriesStays() {
        var entry = NotificationLog.Entry(key: key, firing: [], resolved: [], time: now, expiresAt: now + .seconds(9))
        var log = NotificationLog([entry])
        entry.time = now - .seconds(1)
        log.record(entry)
        #expect(log[key]?.time == now)
    }
}

@Suite struct SilenceTests {
    private let now = Moment(milliseconds: 1_000_000_000)

    private func silence(_ start: Int, _ end: Int, _ matcher: String = "a=b", id: String = "") throws -> Silence {
        Silence(
            id: id, matchers: [try Matcher(parsing: matcher)], startsAt: now + .seconds(start),
            endsAt: now + .seconds(end), updatedAt: now, createdBy: "me", comment: "why")
    }

    @Test func aSilenceIsPendingThenActiveThenExpired() throws {
        let silence = try silence(10, 20)
        #expect(silence.state(at: now) == .pending)
        #expect(silence.state(at: now + .seconds(10)) == .active)
        #expect(silence.state(at: now + .seconds(20)) == .expired)
        let silences = Silences([try self.silence(10, 20, id: "x")])
        let labels = Labels(["a": "b"])
        #expect(silences.silencing(labels, at: now).isEmpty)
        #expect(silences.silencing(labels, at: now + .seconds(15)) == ["x"])
        #expect(silences.silencing(Labels(["a": "c"]), at: now + .seconds(15)).isEmpty)
    }

    @Test func badSilencesAreRefused() throws {
        var silences = Silences()
        var none = try silence(0, 10)
        none.matchers = []
        for (bad, error) in [
            (none, SilenceError.noMatchers), (try silence(0, 10, "a=~.*"), .matchesEverything),
            (try silence(10, 10), .endsBeforeItStarts), (try silence(-20, -10), .endsInThePast),
            (try silence(0, 10, id: "unknown"), .notFound("unknown")),
        ] {
            #expect(throws: error) { try silences.set(bad, newID: "1", at: now) }
        }
        #expect(silences.count == 0)
    }

    @Test func aNewSilenceDoesNotBeginInThePast() throws {
        var silences = Silences()
        #expect(try silences.set(try silence(-10, 10), newID: "1", at: now) == "1")
        #expect(silences["1"]?.startsAt == now)
    }

    @Test func theEndOfAnActiveSilenceMayChangeAndWhatElseChangesMakesANewOne() throws {
        var silences = Silences()
        _ = try silences.set(try silence(0, 100), newID: "1", at: now)
        #expect(try silences.set(try silence(0, 200, id: "1"), newID: "2", at: now + .seconds(5)) == "1")
        #expect(silences["1"]?.endsAt == now + .seconds(200))
        #expect(try silences.set(try silence(0, 200, "a=c", id: "1"), newID: "2", at: now + .seconds(6)) == "2")
        #expect(silences["1"]?.state(at: now + .seconds(6)) == .expired)
        #expect(silences["2"]?.startsAt == now + .seconds(6))
        #expect(try silences.set(try silence(0, 200, id: "1"), newID: "3", at: now + .seconds(7)) == "3")
    }

    @Test func aPendingSilenceMayMoveAndEndsBeforeItBegan() throws {
        var silences = Silences()
        _ = try silences.set(try silence(50, 100), newID: "1", at: now)
        #expect(try silences.set(try silence(60, 90, id: "1"), newID: "2", at: now) == "1")
        try silences.expire("1", at: now + .seconds(1))
        #expect(silences["1"]?.state(at: now + .seconds(1)) == .expired)
        try silences.expire("1", at: now + .seconds(2))
        #expect(silences["1"]?.endsAt == now + .seconds(1))
        #expect(throws: SilenceError.notFound("9")) { try silences.expire("9", at: now) }
    }

    @Test func oldSilencesAreForgotten() throws {
        var silences = Silences([try silence(0, 10, id: "1")])
        let early = silences.removeOld(at: now + .seconds(120 * 3600))
        #expect(!early)
        let late = silences.removeOld(at: now + .seconds(120 * 3600 + 10))
        #expect(late)
        #expect(silences.count == 0)
    }

    @Test func silencesAreListedActiveFirst() throws {
        let silences = Silences([
            try silence(-20, -10, id: "old"), try silence(-20, -5, id: "recent"), try silence(50, 60, id: "later"),
            try silence(40, 60, id: "soon"), try silence(0, 20, id: "long"), try silence(0, 10, id: "short"),
        ])
        #expect(silences.sorted(at: now).map(\.id) == ["short", "long", "soon", "later", "recent", "old"])
    }

    @Test func configuredSilencesComeAndGoWithTheConfigurationAndCannotBeChangedElsewhere() throws {
        var silences = Silences([try silence(0, 10, "c=d", id: "posted")])
        silences.configure([try silence(0, 100, id: "written")])
        let labels = Labels(["a": "b", "c": "d"])
        #expect(silences.silencing(labels, at: now) == ["posted", "written"])
        #expect(silences.sorted(at: now).map(\.id) == ["posted", "written"])
        #expect(throws: SilenceError.isConfigured("written")) { try silences.expire("written", at: now) }
        let longer = try silence(0, 200, id: "written")
        #expect(throws: SilenceError.isConfigured("written")) { _ = try silences.set(longer, newID: "x", at: now) }
        #expect(!String(decoding: silences.encoded, as: UTF8.self).contains("written"))
        silences.configure([])
        #expect(silences.silencing(labels, at: now) == ["posted"])
    }

    @Test func silencesAreReadBackFromDisk() throws {
        let silences = Silences([
            try silence(0, 10, #"a=~"x\"y|z""#, id: "1"), try silence(5, 10, "b!=c", id: "2"),
        ])
        let read = try #require(Silences(encoded: silences.encoded))
        #expect(read.sorted(at: now) == silences.sorted(at: now))
        #expect(Silences(encoded: Array("[{}]".utf8)) == nil)
    }
}

@Suite struct InhibitionTests {
    private let now = Moment(milliseconds: 0)

    private func alert(_ labels: KeyValuePairs<String, String>, end: Int = 10) -> Alert {
        Alert(labels: Labels(labels), startsAt: now - .seconds(9), endsAt: now + .seconds(end), updatedAt: now)
    }

    private func isInhibited(_ target: Alert, by source: Alert, _ rule: InhibitRule) -> Bool {
        !InhibitionSources([rule], among: [source, target], at: now).inhibiting(target).isEmpty
    }

    @Test func aSourceQuietsATargetWithEqualLabelsWhileItFires() throws {
        let rule = InhibitRule(
            source: [try Matcher(parsing: "s=1")], target: [try Matcher(parsing: "t=1")], equal: ["x", "y"])
        #expect(isInhibited(alert(["t": "1", "x": "a"]), by: alert(["s": "1", "x": "a"]), rule))
        #expect(!isInhibited(alert(["t": "1", "x": "a"]), by: alert(["s": "1", "x": "b"]), rule))
        #expect(!isInhibited(alert(["t": "1", "x": "a"]), by: alert(["s": "1", "x": "a", "y": "1"]), rule))
        #expect(!isInhibited(alert(["t": "1", "x": "a"]), by: alert(["s": "1", "x": "a"], end: 0), rule))
        #expect(!isInhibited(alert(["t": "2", "x": "a"]), by: alert(["s": "1", "x": "a"]), rule))
    }

    @Test func whatIsOnBothSidesQuietsNeitherItselfNorItsLike() throws {
        let rule = InhibitRule(source: [try Matcher(parsing: "s=1")], target: [try Matcher(parsing: "t=1")])
        let both = alert(["s": "1", "t": "1"])
        #expect(!isInhibited(both, by: both, rule))
        #expect(!isInhibited(both, by: alert(["s": "1", "t": "1", "n": "2"]), rule))
        #expect(isInhibited(both, by: alert(["s": "1"]), rule))
        #expect(isInhibited(alert(["t": "1"]), by: both, rule))
    }
}

@Suite struct AlertQueueTests {
    private func alerts(_ range: Range<Int>) -> [Alert] {
        range.map {
            Alert(labels: Labels(["n": "\($0)"]), startsAt: Moment(milliseconds: 0), updatedAt: Moment(milliseconds: 0))
        }
    }

    @Test func theOldestMakeRoomAndBatchesAreBounded() {
        var queue = AlertQueue()
        #expect(queue.append(alerts(0..<10_300)) == 300)
        #expect(queue.count == 10_000)
        #expect(queue.append(alerts(0..<5)) == 5)
        let batch = queue.nextBatch()
        #expect(batch.count == 256 && batch.first?.labels["n"] == "305")
        var total = batch.count
        while case let batch = queue.nextBatch(), !batch.isEmpty { total += batch.count }
        #expect(total == 10_000 && queue.count == 0)
    }
}

@Suite struct WebhookMessageTests {
    @Test func onlySoManyAlertsAreListedAndTheRestCounted() throws {
        let now = Moment(milliseconds: 0)
        let alerts = (0..<5).map { Alert(labels: Labels(["n": "\($0)"]), startsAt: now, updatedAt: now) }
        let message = WebhookMessage(
            receiver: "a.b(c)", alerts: alerts, groupLabels: .none, groupKey: "{}:{}", externalURL: "", maxAlerts: 2,
            time: now)
        let json = try JSON.parse(message.body)
        #expect(json["alerts"]?.array?.count == 2 && json["truncatedAlerts"]?.integer == 3)
        #expect(json["receiver"]?.string == #"a\.b\(c\)"#)
    }

    @Test func whatIsCommonToAllIsToldApart() throws {
        let now = Moment(milliseconds: 0)
        let alerts = [("1", "x"), ("2", "x")].map {
            Alert(
                labels: Labels(["n": $0.0, "c": "<&>"]), annotations: [Label("d", $0.1), Label("e", "")], startsAt: now,
                updatedAt: now)
        }
        let message = WebhookMessage(
            receiver: "r", alerts: alerts, groupLabels: .none, groupKey: "k", externalURL: "u", time: now)
        let body = String(decoding: message.body, as: UTF8.self)
        #expect(body.contains(#""commonLabels":{"c":"\u003c\u0026\u003e"},"commonAnnotations":{"d":"x","e":""}"#))
    }
}
