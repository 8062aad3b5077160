import Metrics
import Runtime
import TestTools
import Testing

@testable import Operations

/// What becomes of StatsD's samples.
@Suite struct StatsDTests {
    private func recorder(_ mappings: String = "") throws -> OperationRecorder {
        OperationRecorder(try configuration(mappings.isEmpty ? "" : "statsd:\n  mappings:\n" + mappings))
    }

    @Test func timersAreMillisecondsOfOperationsAndHistogramsAndDistributionsHaveNoUnit() throws {
        let recorder = try recorder()
        recorder.take("a.b:250|ms\nresp_bytes:5000|h\nrows:0.25|d")
        #expect(recorder.value(#"outrigger_operation_duration_seconds_sum{operation="a.b",status="ok"}"#) == 0.25)
        for (name, value) in [("resp_bytes", 5000.0), ("rows", 0.25)] {
            #expect(recorder.value(#"outrigger_operations_total{operation="\#(name)",status="ok"}"#) == nil)
            #expect(recorder.value("\(name)_sum") == value)
        }
        #expect(recorder.value(#"resp_bytes_bucket{le="10000"}"#) == 1)
        #expect(recorder.value(#"resp_bytes_bucket{le="1000"}"#) == 0)
    }

    @Test func aMappedHistogramIsTimeWhereTheRuleSaysSo() throws {
        let recorder = try recorder(
            """
                - match: took
                  name: outrigger_operation_duration_seconds
                  labels: {operation: buy}
            """)
        recorder.take("took:0.25|h")
        #expect(recorder.value(#"outrigger_operation_duration_seconds_sum{operation="buy",status="ok"}"#) == 0.25)
    }

    @Test func sampleRatesScaleCounts() throws {
        let recorder = try recorder()
        recorder.take("hits:2|c|@0.1\nt:100|ms|@0.25")
        #expect(recorder.value("hits") == 20)
        #expect(recorder.value(#"outrigger_operations_total{operation="t",status="ok"}"#) == 4)
        #expect(recorder.value(#"outrigger_operation_duration_seconds_sum{operation="t",status="ok"}"#) == 0.4)
        for _ in 0..<3 { recorder.take("third:1|ms|@0.3") }
        #expect(recorder.value(#"outrigger_operation_duration_seconds_count{operation="third",status="ok"}"#) == 10)
    }

    @Test func namesThatPrometheusGivesItselfAreRefused() throws {
        let recorder = try recorder()
        recorder.take("up:1|g\nALERTS:1|g\nALERTS_FOR_STATE:1|g\nscrape.duration.seconds:1|g\nupper:1|g")
        #expect(served(recorder).filter { !$0.hasPrefix("outrigger_") } == ["upper 1"])
        #expect(recorder.value(#"outrigger_statsd_samples_dropped_total{reason="name"}"#) == 4)
    }

    @Test func countersAndGaugesKeepTheirOwnNames() throws {
        let recorder = try recorder()
        recorder.take("shop.orders-paid:3|c|#site:paris,vip\n9lives:4.5|g\ntemp:-3|g\ntemp:+1|g\ntemp:7|g\ntemp:-2|g")
        #expect(recorder.value(#"shop_orders_paid{site="paris",vip="true"}"#) == 3)
        #expect(recorder.value("_9lives") == 4.5)
        #expect(recorder.value("temp") == 5)
    }

    @Test func tagsThatPrometheusKeepsForItselfGetAPrefix() throws {
        let recorder = try recorder()
        recorder.take("a:1|c|#le:1,__name__:x,a.b:c,:none,empty:")
        #expect(recorder.value(#"a{a_b="c",tag___name__="x",tag_le="1"}"#) == 1)
    }

    @Test func aSetCountsItsMembersOnce() throws {
        let recorder = try recorder()
        recorder.take("users:ann|s\nusers:bob|s\nusers:ann|s")
        #expect(recorder.value("users") == 2)
    }

    @Test func aNameOfAnotherTypeIsDroppedAndCounted() throws {
        let recorder = try recorder("    - {match: slow, name: slow_seconds}\n")
        recorder.take("a:1|c\na:5|g\nslow:1|ms\nslow_seconds_count:1|c\noutrigger_ready:1|g")
        #expect(recorder.value("a") == 1)
        #expect(recorder.value("slow_seconds_count") == 1)
        #expect(recorder.value("outrigger_ready") == nil)
        #expect(recorder.value(#"outrigger_statsd_samples_dropped_total{reason="name"}"#) == 3)
    }

    @Test func negativeCountersAndDurationsAreDroppedAndCounted() throws {
        let recorder = try recorder("    - {match: c, name: outrigger_operation_duration_seconds}\n")
        recorder.take("a:-1|c\nb:-1|ms\nc:-1|h")
        #expect(recorder.value(#"outrigger_statsd_samples_dropped_total{reason="negative"}"#) == 3)
        #expect(recorder.value(#"outrigger_operations_total{operation="b",status="ok"}"#) == nil)
    }

    @Test func aRuleGivesATimerAHistogramOfItsOwn() throws {
        let recorder = try recorder(
            """
                - match: api.*.time
                  name: api_seconds
                  labels: {route: $1}
                  help: Time of an answer.
                  histogram_options: {buckets: [0.1, 1]}
            """)
        recorder.take("api.pay.time:300|ms|#zone:a,route:lost")
        #expect(recorder.value(#"api_seconds_bucket{le="0.1",route="pay",zone="a"}"#) == 0)
        #expect(recorder.value(#"api_seconds_bucket{le="1",route="pay",zone="a"}"#) == 1)
        #expect(recorder.value(#"api_seconds_sum{route="pay",zone="a"}"#) == 0.3)
    }

    @Test func aRuleMayNameTheOperation() throws {
        let recorder = try recorder(
            """
                - match: api.*.*.time
                  name: outrigger_operation_duration_seconds
                  labels: {operation: "api.$1", status: $2}
            """)
        recorder.take("api.pay.500.time:300|ms")
        #expect(recorder.value(#"outrigger_operations_total{operation="api.pay",status="500"}"#) == 1)
        #expect(recorder.value(#"outrigger_operation_errors_total{operation="api.pay"}"#) == 1)
    }

    @Test func aRuleMayScaleDropAndMakeASummary() throws {
        let recorder = try recorder(
            """
                - {match: kilo.*, name: kilo_bytes, scale: 1000}
                - {match: noise.*, action: drop}
                - {match: sum.*, name: sum_seconds, observer_type: summary, quantiles: [{quantile: 0.5, error: 0.05}, {quantile: 0.99, error: 0.001}]}
            """)
        recorder.take("kilo.a:2|g\nnoise.x:1|c\nnoise.x:1|c")
        for value in 1...100 { recorder.take("sum.a:\(value * 10)|ms") }
        #expect(recorder.value("kilo_bytes") == 2000)
        #expect(recorder.value(#"outrigger_statsd_samples_dropped_total{reason="mapping"}"#) == 2)
        let half = try #require(recorder.value(#"sum_seconds{quantile="0.5"}"#))
        #expect(abs(half - 0.5) < 0.01)
        let most = try #require(recorder.value(#"sum_seconds{quantile="0.99"}"#))
        #expect(abs(most - 0.99) < 0.02)
        #expect(recorder.value("sum_seconds_count") == 100)
        #expect(recorder.value("sum_seconds_sum") == 50.5)
    }

    @Test func newRulesHoldForNamesThatWereSeenBefore() throws {
        let recorder = try recorder()
        recorder.take("a.b:1|c")
        recorder.reload(try configuration("statsd: {mappings: [{match: a.*, name: mapped_total}]}"))
        recorder.take("a.b:1|c")
        #expect(recorder.value("a_b") == 1)
        #expect(recorder.value("mapped_total") == 1)
    }

    @Test func eventsAreCountedAndServiceChecksAreAGauge() throws {
        let recorder = try recorder()
        recorder.take("_e{2,2}:hi|yo|t:error\n_e{2,2}:hi|yo\n_sc|redis.up|2|#env:prod\n_sc|redis.up|0|#env:prod")
        #expect(recorder.value(#"outrigger_statsd_events_total{alert_type="error"}"#) == 1)
        #expect(recorder.value(#"outrigger_statsd_events_total{alert_type="info"}"#) == 1)
        #expect(recorder.value("outrigger_statsd_service_checks_total") == 2)
        #expect(recorder.value(#"outrigger_service_check_status{check="redis.up",env="prod"}"#) == 0)
    }

    @Test func malformedLinesAreCountedByReasonAndTheRestIsUsed() throws {
        let recorder = try recorder()
        recorder.take(Array("ok:1|c\nbad\nworse:x|c\n\u{00}\n".utf8).span)
        let invalid: [UInt8] = [0xFF, UInt8(ascii: "a")] + Array(":1|c\nok:1|c".utf8)
        recorder.take(invalid.span)
        #expect(recorder.value("ok") == 2)
        #expect(recorder.value(#"outrigger_statsd_malformed_total{reason="name"}"#) == 2)
        #expect(recorder.value(#"outrigger_statsd_malformed_total{reason="value"}"#) == 1)
        #expect(recorder.value(#"outrigger_statsd_malformed_total{reason="encoding"}"#) == 1)
    }

    @Test func theLogSaysSomethingOfMalformedLinesOnceInTenSeconds() {
        var log = MalformedLog()
        let start = ContinuousClock.now
        let bytes = Array("a\u{1}b".utf8)
        let line = 0..<bytes.count
        #expect(log.note(.name, bytes.span, line, at: start) == .init(fault: .name, excerpt: "a?b", suppressed: 0))
        #expect(log.note(.name, bytes.span, line, at: start + .seconds(1)) == nil)
        #expect(log.note(.type, bytes.span, line, at: start + .seconds(9)) == nil)
        #expect(
            log.note(.type, bytes.span, line, at: start + .seconds(10))
                == .init(fault: .type, excerpt: "a?b", suppressed: 2))
    }

    /// Many more names than are remembered at once: what is forgotten is worked out again, and nothing is counted twice.
    @Test func forgettingLinesLosesNothing() throws {
        var book = OperationBook(OperationsConfiguration(custom: .init(metricLimit: 100_000, seriesLimit: 100_000)))
        for _ in 0..<2 {
            for index in 0..<40_000 { _ = book.take(Array("name\(index):1|c".utf8).span) }
        }
        let families = book.tables.custom.families(book.tables.histograms, BoundTexts())
        #expect(families.count == 40_000)
        #expect(families.allSatisfy { $0.samples.count == 1 && $0.samples[0].value == 2 })
    }

    @Test func aSeriesWhoseTimeIsOverIsNotServedUntilTheNextSample() throws {
        var book = OperationBook(try configuration("statsd: {mappings: [{match: a, name: a_total, ttl: 1m}]}"))
        func values() -> [Double] {
            book.tables.custom.families(book.tables.histograms, BoundTexts()).flatMap { $0.samples.map(\.value) }
        }
        let start = ContinuousClock.now
        _ = book.take(Array("a:5|c".utf8).span)
        book.advance(to: start)
        book.advance(to: start + .seconds(60))
        #expect(values() == [5])
        book.advance(to: start + .seconds(61))
        #expect(values() == [])
        _ = book.take(Array("a:2|c".utf8).span)
        #expect(values() == [2])
    }
}

@Suite struct UniqueCountTests {
    @Test func fewMembersAreExactAndManyNearlySo() {
        var random = Seeded(3)
        var count = UniqueCount()
        for _ in 0..<500 { count.insert(random.next()) }
        #expect(count.count == 500)
        for _ in 0..<99_500 { count.insert(random.next()) }
        #expect(abs(count.count / 100_000 - 1) < 0.05)
    }

    @Test func membersAreForgottenAfterTwoWindows() {
        var count = UniqueCount()
        count.insert(1)
        count.rotate()
        count.insert(1)
        count.insert(2)
        #expect(count.count == 2)
        count.rotate()
        #expect(count.count == 2)
        count.rotate()
        #expect(count.count == 0)
    }
}
