import Metrics
import Testing

@testable import Alerting

@Suite struct MomentTests {
    @Test(arguments: [
        ("2026-11-21T08:55:08.702Z", "2026-11-21T08:55:08.702Z"), ("2026-11-21T08:55:08Z", "2026-11-21T08:55:08Z"),
        ("2026-11-21T08:55:08.100Z", "2026-11-21T08:55:08.1Z"),
        ("2026-11-21T08:55:08.702306643Z", "2026-11-21T08:55:08.702Z"),
        ("2026-11-21T09:55:08.5+01:00", "2026-11-21T08:55:08.5Z"),
        ("2000-02-29T23:59:59-00:30", "2000-03-01T00:29:59Z"),
        ("1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.5Z"),
    ]) func rfc3339IsReadAndWritten(_ text: String, _ written: String) {
        #expect(Moment(text)?.description == written)
    }

    @Test(arguments: [
        "", "2026-11-21", "2026-02-30T00:00:00Z", "2026-11-21T24:00:00Z", "2026-11-21T08:55:08",
        "2026-11-21T08:55:08.Z",
        "2026-11-21T08:55:08Zx", "2026-13-01T00:00:00Z", "2026-11-21T08:55:08+1:00", "26-11-21T08:55:08Z",
    ]) func whatIsNoMomentIsRefused(_ text: String) {
        #expect(Moment(text) == nil)
    }

    @Test func threeDigitsAreAlwaysWrittenForTheAPI() {
        #expect(Moment(milliseconds: 0).withMilliseconds == "1970-01-01T00:00:00.000Z")
        #expect(Moment(milliseconds: 1).withMilliseconds == "1970-01-01T00:00:00.001Z")
    }
}

@Suite struct AlertTests {
    private func alert(
        _ start: Int64, _ end: Int64?, updated: Int64, assumed: Bool = false,
        labels: Labels = Labels(["alertname": "A"])
    ) -> Alert {
        Alert(
            labels: labels, startsAt: Moment(milliseconds: start), endsAt: end.map { Moment(milliseconds: $0) },
            updatedAt: Moment(milliseconds: updated), endIsAssumed: assumed)
    }

    private func merge(_ known: Alert, _ new: Alert, at now: Int64) -> [Int64?] {
        let merged = new.merged(withKnown: known, at: Moment(milliseconds: now))
        return [merged.startsAt.milliseconds, merged.endsAt?.milliseconds]
    }

    @Test func theEarliestStartOfAStoryCounts() {
        #expect(merge(alert(10, 100, updated: 10), alert(50, 150, updated: 50), at: 50) == [10, 150])
    }

    @Test func whatBeginsAfterTheEndIsANewStory() {
        #expect(merge(alert(10, 20, updated: 20), alert(50, 150, updated: 50), at: 50) == [50, 150])
    }

    @Test func aPromisedEndIsNotShortenedExceptByAResolution() {
        #expect(merge(alert(10, 200, updated: 10), alert(10, 150, updated: 50), at: 50) == [10, 200])
        #expect(merge(alert(10, 200, updated: 10, assumed: true), alert(10, 150, updated: 50), at: 50) == [10, 150])
        #expect(merge(alert(10, 200, updated: 10), alert(10, 50, updated: 50), at: 50) == [10, 50])
        #expect(merge(alert(10, 45, updated: 10), alert(10, 40, updated: 50), at: 50) == [10, 45])
    }

    @Test func theYoungerWordCounts() {
        #expect(merge(alert(10, 200, updated: 60), alert(20, 100, updated: 50), at: 60) == [10, 200])
    }

    @Test func anAlertIsOverWhenItsEndIsReached() {
        let now = Moment(milliseconds: 100)
        #expect(alert(0, 100, updated: 0).isResolved(at: now))
        #expect(!alert(0, 101, updated: 0).isResolved(at: now))
        #expect(!alert(0, nil, updated: 0).isResolved(at: now))
    }

    @Test func alertsAreListedByJobThenInstanceThenLabels() {
        let sets: [Labels] = [
            Labels(["alertname": "B", "instance": "2", "job": "a"]),
            Labels(["alertname": "A", "instance": "2", "job": "a"]),
            Labels(["alertname": "C", "instance": "1", "job": "b"]),
            Labels(["alertname": "C", "instance": "1", "job": "a"]),
            Labels(["alertname": "A"]), Labels(["alertname": "A", "instance": "0"]),
            Labels(["alertname": "A", "z": "1"]),
            Labels(["alertname": "A", "b": "1"]),
        ]
        let sorted = sets.map { alert(0, nil, updated: 0, labels: $0) }.sorted(by: Alert.precedes).map(\.labels.goText)
        #expect(
            sorted == [
                #"{alertname="C", instance="1", job="a"}"#, #"{alertname="A", instance="2", job="a"}"#,
                #"{alertname="B", instance="2", job="a"}"#, #"{alertname="C", instance="1", job="b"}"#,
                #"{alertname="A", instance="0"}"#, #"{alertname="A"}"#, #"{alertname="A", z="1"}"#,
                #"{alertname="A", b="1"}"#,
            ])
    }

    @Test func externalLabelsFillOnlyWhatIsMissing() {
        let plain = alert(0, nil, updated: 0, labels: Labels(["alertname": "A", "cluster": "own"]))
        let added = plain.adding(externalLabels: Labels(["cluster": "lab", "replica": "1"]))
        #expect(added.labels == Labels(["alertname": "A", "cluster": "own", "replica": "1"]))
        #expect(added.fingerprint != plain.fingerprint)
    }

    @Test func fingerprintsAreAlertmanagers() {
        let labels = Labels([
            "alertname": "HighLatency", "cluster": "lab", "db": "orders", "instance": "a", "job": "demo",
            "replica": "r1",
            "severity": "warning", "team": "dba",
        ])
        #expect(Fingerprint(labels).description == "21a4358097056e7e")
    }
}
