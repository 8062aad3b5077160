import Metrics
import Runtime
import Testing

@testable import Operations

@Suite struct OperationRecorderTests {
    @Test func anOperationBecomesAHistogramATotalAndErrors() {
        let recorder = OperationRecorder(OperationsConfiguration(operations: .init(buckets: [0.1, 1])))
        recorder.record(operation: "checkout", duration: .milliseconds(50))
        recorder.record(operation: "checkout", duration: .milliseconds(500), count: 3)
        recorder.record(operation: "checkout", status: "503", duration: .seconds(2))
        recorder.record(operation: "checkout", status: "404", duration: nil)
        #expect(
            Array(served(recorder).prefix(14)) == [
                #"outrigger_operation_duration_seconds_bucket{le="0.1",operation="checkout",status="ok"} 1"#,
                #"outrigger_operation_duration_seconds_bucket{le="1",operation="checkout",status="ok"} 4"#,
                #"outrigger_operation_duration_seconds_bucket{le="+Inf",operation="checkout",status="ok"} 4"#,
                #"outrigger_operation_duration_seconds_sum{operation="checkout",status="ok"} 1.55"#,
                #"outrigger_operation_duration_seconds_count{operation="checkout",status="ok"} 4"#,
                #"outrigger_operation_duration_seconds_bucket{le="0.1",operation="checkout",status="503"} 0"#,
                #"outrigger_operation_duration_seconds_bucket{le="1",operation="checkout",status="503"} 0"#,
                #"outrigger_operation_duration_seconds_bucket{le="+Inf",operation="checkout",status="503"} 1"#,
                #"outrigger_operation_duration_seconds_sum{operation="checkout",status="503"} 2"#,
                #"outrigger_operation_duration_seconds_count{operation="checkout",status="503"} 1"#,
                #"outrigger_operations_total{operation="checkout",status="ok"} 4"#,
                #"outrigger_operations_total{operation="checkout",status="503"} 1"#,
                #"outrigger_operations_total{operation="checkout",status="404"} 1"#,
                #"outrigger_operation_errors_total{operation="checkout"} 1"#,
            ])
    }

    @Test func aBoundTakesWhatEqualsIt() {
        let recorder = OperationRecorder(OperationsConfiguration(operations: .init(buckets: [0.1, 1])))
        recorder.record(operation: "a", duration: .milliseconds(100))
        recorder.record(operation: "a", duration: .seconds(1))
        #expect(
            recorder.value(#"outrigger_operation_duration_seconds_bucket{le="0.1",operation="a",status="ok"}"#) == 1)
        #expect(recorder.value(#"outrigger_operation_duration_seconds_bucket{le="1",operation="a",status="ok"}"#) == 2)
    }

    @Test func onlyTagsOfTheListBecomeLabels() {
        let recorder = OperationRecorder(OperationsConfiguration(operations: .init(tags: ["region"])))
        recorder.take("pay:10|ms|#region:eu,user:8812,status:failed")
        #expect(recorder.value(#"outrigger_operations_total{operation="pay",region="eu",status="failed"}"#) == 1)
        #expect(recorder.value(#"outrigger_operation_errors_total{operation="pay"}"#) == 1)
    }

    @Test func whatBeganAndHasNotEndedIsInFlight() {
        let recorder = OperationRecorder(OperationsConfiguration())
        let inFlight = #"outrigger_operations_in_flight{operation="sync"}"#
        recorder.end(operation: "sync")
        #expect(recorder.value(inFlight) == nil)
        recorder.begin(operation: "sync")
        recorder.begin(operation: "sync")
        #expect(recorder.value(inFlight) == 2)
        for _ in 0..<3 { recorder.end(operation: "sync") }
        #expect(recorder.value(inFlight) == 0)
    }

    @Test func operationsBeyondTheLimitAreCountedAsOther() {
        let recorder = OperationRecorder(OperationsConfiguration(operations: .init(limit: 3)))
        for index in 0..<10 { recorder.take("op\(index):1|ms\nop\(index):1|ms") }
        #expect(recorder.value(#"outrigger_operations_total{operation="op2",status="ok"}"#) == 2)
        #expect(recorder.value(#"outrigger_operations_total{operation="op3",status="ok"}"#) == nil)
        #expect(recorder.value(#"outrigger_operations_total{operation="other",status="ok"}"#) == 14)
        #expect(recorder.value(#"outrigger_operation_limit_total{limit="operations"}"#) == 14)
    }

    @Test func tagValuesBeyondTheLimitAreCountedAsOther() {
        let recorder = OperationRecorder(
            OperationsConfiguration(
                operations: .init(tags: ["user"], tagValueLimit: 2), custom: .init(tagValueLimit: 2)))
        for index in 0..<5 { recorder.take("a:1|ms|#user:u\(index)\nb:1|c|#user:u\(index)") }
        #expect(recorder.value(#"outrigger_operations_total{operation="a",status="ok",user="u1"}"#) == 1)
        #expect(recorder.value(#"outrigger_operations_total{operation="a",status="ok",user="other"}"#) == 3)
        #expect(recorder.value(#"b{user="other"}"#) == 3)
        #expect(recorder.value(#"outrigger_operation_limit_total{limit="tag_values"}"#) == 6)
    }

    @Test func seriesBeyondTheLimitAreCountedAsOther() {
        let recorder = OperationRecorder(
            OperationsConfiguration(operations: .init(seriesLimit: 2, tags: ["t"]), custom: .init(seriesLimit: 2)))
        for index in 0..<5 { recorder.take("a:1|ms|#t:\(index)\nb:1|c|#t:\(index)") }
        #expect(recorder.value(#"outrigger_operations_total{operation="other",status="ok"}"#) == 3)
        #expect(recorder.value(#"b{series="other"}"#) == 3)
        #expect(recorder.value(#"outrigger_operation_limit_total{limit="series"}"#) == 6)
    }

    @Test func metricsBeyondTheLimitAreDroppedAndCounted() {
        let recorder = OperationRecorder(OperationsConfiguration(custom: .init(metricLimit: 2)))
        recorder.take("a:1|c\nb:1|c\nc:1|c\nc:1|c\na:1|c")
        #expect(recorder.value("a") == 2)
        #expect(recorder.value("c") == nil)
        #expect(recorder.value(#"outrigger_statsd_samples_dropped_total{reason="limit"}"#) == 2)
    }

    @Test func aPlaceIsTheSameSeriesAsItsName() {
        let recorder = OperationRecorder(OperationsConfiguration())
        let place = recorder.place(operation: "redis.get")
        #expect(recorder.value(#"outrigger_operations_total{operation="redis.get",status="ok"}"#) == nil)
        recorder.record(place, seconds: 80e-6)
        recorder.record(operation: "redis.get", duration: .microseconds(80))
        #expect(recorder.value(#"outrigger_operations_total{operation="redis.get",status="ok"}"#) == 2)
    }

    @Test func theSeedServicesSwitchesAreRead() throws {
        let off = OperationRecorder(try configuration("", environment: ["PERFORMANCE_MONITORING_ENABLED": "false"]))
        off.take("a:1|c")
        #expect(off.value("a") == nil)
        let silent = OperationRecorder(try configuration("", environment: ["PERFORMANCE_ENABLE_METRICS": "false"]))
        silent.take("a:1|c")
        #expect(served(silent).isEmpty)
        let on = OperationRecorder(try configuration("", environment: ["PERFORMANCE_MONITORING_ENABLED": "true"]))
        on.take("a:1|c")
        #expect(on.value("a") == 1)
    }

    @Test func everySettingThatIsWrongIsNamed() throws {
        for (yaml, complaint) in [
            ("operations: {buckets: [1, x]}", #"o.yml: operations.buckets: "x" is not a number"#),
            ("operations: {tags: [status]}", "o.yml: operations.tags: status is a label of every operation already"),
            ("statsd: {unixgram_mode: 9}", #"o.yml: statsd.unixgram_mode: "9" is not octal permissions"#),
            ("statsd: {listen_address: here}", #"o.yml:1: statsd.listen_address: "here" is not an address"#),
        ] {
            let error = #expect(throws: SettingsError.self) { try configuration(yaml) }
            #expect(error?.description.hasPrefix(complaint) == true, "\(error?.description ?? "")")
        }
    }
}
