import Metrics
import Runtime
import TestTools
import Testing

@testable import Alerting

/// Saved state, times of requests and answers of webhooks, damaged. `TEST_FUZZ` sets how many of each, `TEST_SEED` which.
@Suite struct AlertingInputFuzzTests {
    private static let rounds = Seeded.rounds(default: 2000)

    private static let entries = [
        """
        {"group":"{}:{a=\\"b\\"}","receiver":"r","kind":"webhook","index":0,"firing":["1a2b"],"resolved":[],"begun":[],\
        "time":1700000000000,"expires":1700000600000}
        """,
        """
        {"version":1,"groups":[{"file":"f","name":"g","rules":[{"name":"r","labels":{"a":"b"},"alerts":[{"labels":{"a":"b"},\
        "annotations":{},"state":"firing","value":"1","activeAt":1700000000000,"firedAt":1700000000000,"lastSentAt":1,\
        "validUntil":2}]}]}]}
        """,
    ].map { Array($0.utf8) }

    @Test func fuzzedStateIsReadOrForgotten() {
        var random = Seeded(fuzzing: 97)
        for _ in 0..<Self.rounds {
            let bytes = random.mutated(random.pick(Self.entries))
            if let entry = NotificationLog.Entry(encoded: bytes) {
                _ = entry.encoded
                _ = entry.expiresAt - entry.time
                _ = entry.time + .seconds(1 << 40)
            }
            _ = try? SavedAlerts(bytes)
        }
    }

    private static let times = [
        "2026-11-21T08:55:08.7Z", "2026-11-21T08:55:08+01:00", "1700000000.123", "5m30s", "120",
        "Wed, 21 Oct 2026 07:28:00 GMT", "-292273086-05-16T16:47:06Z",
    ].map { Array($0.utf8) }

    @Test func fuzzedTimesAreReadOrRefused() {
        var random = Seeded(fuzzing: 98)
        for _ in 0..<Self.rounds * 4 {
            let text = String(decoding: random.mutated(random.pick(Self.times)), as: UTF8.self)
            if let moment = Moment(text) { _ = moment.description + moment.withMilliseconds }
            _ = RetryAfter.parse(text, at: Moment(milliseconds: 1_700_000_000_000))
            _ = APITime.time(text)
            _ = APITime.duration(text)
        }
    }

    private func expanded(_ text: String) -> String {
        let environment = TemplateEnvironment(now: 0) { _ throws(TemplateFailure) in [] }
        let data = TemplateData(labels: .none, value: 1_643_114_203.5)
        return Template.expandText(text, name: "__alert_a", data, in: environment)
    }

    @Test(arguments: [
        ("{{ (toTime $value).Year }}-{{ (toTime $value).Day }}", "2022-25"),
        ("{{ with toTime $value }}{{ .Hour }}:{{ .Minute }}:{{ .Second }}{{ end }}", "12:36:43"),
        ("{{ $t := toTime $value }}{{ $t.Unix }} {{ $t.UTC.YearDay }}", "1643114203 25"),
        ("{{ ($value | toTime).UnixMilli }}", "1643114203500"), ("{{ (toDuration 90).Minutes }}", "1.5"),
        ("{{ (toDuration 90).String }}", "1m30s"),
    ]) func momentsAndDurationsHaveMethods(_ text: String, _ wanted: String) {
        #expect(expanded(text) == wanted)
    }

    @Test(arguments: [
        "{{ (toTime $value).Yaer }}", "{{ ($value | toTime).Format }}", "{{ $t := toTime 1 }}{{ $t.Weekdays }}",
        "{{ (toDuration $value).Days }}",
    ]) func aMethodThatIsUnknownIsRefusedWhenTheTemplateIsLoaded(_ text: String) {
        #expect(throws: TemplateError.self) { try Template.parse(text) }
    }

    @Test(arguments: [Int64.min, .max]) func theEndsOfTimeCanBeShownAndCompared(_ milliseconds: Int64) {
        let moment = Moment(milliseconds: milliseconds)
        #expect(moment.description.hasSuffix("Z") && moment.withMilliseconds.hasSuffix("Z"))
        #expect((moment - Moment(milliseconds: -1)).seconds.magnitude > 1e15)
        _ = moment + .seconds(1) - .seconds(2)
    }

    @Test(arguments: ["\"\\u+041\"", "\"\\x+4\"", "\"\\U+0000041\"", "\"\\u-041\""])
    func anEscapeHasDigitsAndNoSign(_ literal: String) {
        #expect(GoQuote.unquoted(literal) == nil)
        #expect(GoQuote.unquoted("\"\\u0041\"") == "A")
    }
}
