import Metrics
import Runtime
import Testing

@testable import Operations

@Suite struct EventsRequestTests {
    private func answer(_ body: String, _ recorder: OperationRecorder = .init(.init())) -> (status: Int, body: String) {
        let response = EventsRequest.answer(Array(body.utf8), recorder)
        return (response.status, String(decoding: response.body, as: UTF8.self))
    }

    @Test func theSeedServicesCallsMapOneToOne() {
        let recorder = OperationRecorder(OperationsConfiguration(operations: .init(tags: ["table"])))
        // record_request(0.2), record_performance_event("render", 1.5), record_metric("query", 40, {"table": "users"})
        let result = answer(
            """
            [{"name": "request", "duration_seconds": 0.2},
             {"name": "render", "duration_seconds": 1.5, "status": "failed", "count": 2},
             {"name": "query", "duration_ms": 40, "tags": {"table": "users", "user": 7}}]
            """, recorder)
        #expect(result.status == 200)
        #expect(result.body == #"{"accepted":3}"#)
        let sum = "outrigger_operation_duration_seconds_sum"
        #expect(recorder.value(#"\#(sum){operation="request",status="ok"}"#) == 0.2)
        #expect(recorder.value(#"\#(sum){operation="render",status="failed"}"#) == 3)
        #expect(recorder.value(#"\#(sum){operation="query",status="ok",table="users"}"#) == 0.04)
        #expect(recorder.value("outrigger_events_received_total") == 3)
    }

    @Test func anEventWithoutADurationIsCounted() {
        let recorder = OperationRecorder(OperationsConfiguration())
        #expect(answer(#"[{"name": "signup", "status": 201}]"#, recorder).status == 200)
        #expect(recorder.value(#"outrigger_operations_total{operation="signup",status="201"}"#) == 1)
        #expect(recorder.value(#"outrigger_operation_duration_seconds_count{operation="signup",status="201"}"#) == nil)
    }

    @Test(arguments: [
        ("", #"{"error":"JSON: the text ends too early"}"#),
        ("{}", #"{"error":"the body must be a JSON array of events"}"#),
        ("[1]", #"{"error":"an event must be an object","index":0}"#),
        (#"[{"name":"a"},{}]"#, #"{"error":"the name is missing","index":1,"field":"name"}"#),
        (#"[{"name":""}]"#, #"{"error":"must be text","index":0,"field":"name"}"#),
        (#"[{"name":"a","duration_ms":-1}]"#, #"{"error":"must be a number from 0","index":0,"field":"duration_ms"}"#),
        (#"[{"name":"a","duration_ms":"1"}]"#, #"{"error":"must be a number from 0","index":0,"field":"duration_ms"}"#),
        (
            #"[{"name":"a","duration_ms":1,"duration_seconds":1}]"#,
            #"{"error":"has two durations","index":0,"field":"duration_seconds"}"#
        ),
        (
            #"[{"name":"a","count":0}]"#,
            #"{"error":"must be a whole number from 1 to 1000000","index":0,"field":"count"}"#
        ),
        (#"[{"name":"a","tags":[]}]"#, #"{"error":"must be an object","index":0,"field":"tags"}"#),
        (#"[{"name":"a","took":1}]"#, #"{"error":"unknown field","index":0,"field":"took"}"#),
    ])
    func aRefusalNamesElementAndField(_ body: String, _ expected: String) {
        let recorder = OperationRecorder(OperationsConfiguration())
        let result = answer(body, recorder)
        #expect(result.status == 400)
        #expect(result.body == expected)
        #expect(recorder.value("outrigger_events_received_total") == 0)
        #expect(recorder.value("outrigger_events_requests_refused_total") == 1)
        #expect(served(recorder).allSatisfy { !$0.hasPrefix("outrigger_operations_total") })
    }

    @Test func bodyAndNumberOfEventsAreBounded() {
        let many =
            "[" + Array(repeating: #"{"name":"a"}"#, count: EventsRequest.eventLimit + 1).joined(separator: ",") + "]"
        #expect(answer(many).status == 413)
        #expect(answer("[" + String(repeating: " ", count: EventsRequest.bodyLimit) + "]").status == 413)
    }

    @Test func aBodyCutAnywhereIsRefusedAndNothingOfItIsUsed() {
        let body = #"[{"name": "é", "duration_ms": 1.5e1, "status": "ok", "tags": {"a": true}, "count": 2}]"#
        let recorder = OperationRecorder(OperationsConfiguration())
        for cut in 0..<body.utf8.count {
            #expect(EventsRequest.answer(Array(body.utf8.prefix(cut)), recorder).status == 400, "cut at \(cut)")
        }
        #expect(recorder.value("outrigger_events_received_total") == 0)
        #expect(answer(body, recorder).status == 200)
    }
}
