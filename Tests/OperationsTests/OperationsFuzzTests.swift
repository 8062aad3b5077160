import TestTools
import Testing

@testable import Operations

/// Packets and events, damaged. `TEST_FUZZ` sets how many, `TEST_SEED` which.
@Suite struct OperationsFuzzTests {
    private static let packets = [
        "a.b:1|c\na.b:2.5:3|ms|@0.1|#k:v,flag\ng:+4|g\ns:x|s\n", "h:5000|h|#a:b|c:abc|T1656581400\nd:1:2:3|d|@0.5\n",
        "_e{5,4}:title|text|t:error|#a:b\n", "_sc|name|2|d:1|h:x|#a:b|m:hello\n",
    ].map { Array($0.utf8) }

    private static let events = [
        "[{\"name\": \"a\", \"duration_ms\": 12.5, \"status\": 200, \"tags\": {\"k\": \"v\"}, \"count\": 3}]",
        "{\"name\": \"a\", \"duration_seconds\": 1e3, \"status\": \"ok\"}",
    ].map { Array($0.utf8) }

    @Test func fuzzedPacketsAndEventsAreReadOrRefused() {
        var random = Seeded(fuzzing: 95)
        for _ in 0..<Seeded.rounds(default: 3000) {
            let packet = random.mutated(random.pick(Self.packets))
            var reader = StatsDReader()
            var items = 0
            while reader.next(in: packet.span) != nil { items += 1 }
            #expect(items <= packet.count)
            _ = try? EventsRequest.parse(random.mutated(random.pick(Self.events)))
        }
    }
}
