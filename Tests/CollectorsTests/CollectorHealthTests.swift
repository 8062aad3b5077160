import Metrics
import Testing

@testable import Collectors

@Suite struct CollectorHealthTests {
    @Test func everyCollectorTellsItsLastRun() {
        var health = CollectorHealth(target: Labels(["target": "main"]))
        health.record("locks", took: .milliseconds(250))
        health.record("wal", took: .milliseconds(10), error: .permission)

        let families = health.families

        #expect(
            families.map(\.metric.name) == [
                "outrigger_collector_duration_seconds", "outrigger_collector_success", "outrigger_collector_last_error",
            ])
        #expect(families[0].samples.map(\.value) == [0.25, 0.01])
        #expect(families[1].samples.map(\.value) == [1, 0])
        #expect(families[1].samples[0].labels == Labels(["collector": "locks", "target": "main"]))
        #expect(
            families[2].samples.map(\.labels) == [
                Labels(["class": "permission", "collector": "wal", "target": "main"])
            ])
    }

    @Test func aClassOfErrorsGoesToZeroWhenItIsOver() {
        var health = CollectorHealth()
        health.record("wal", took: .zero, error: .permission)
        health.record("wal", took: .zero, error: .timeout)

        let labels = [
            Labels(["class": "permission", "collector": "wal"]), Labels(["class": "timeout", "collector": "wal"]),
        ]
        #expect(health.families[2].samples.map(\.labels) == labels)
        #expect(health.families[2].samples.map(\.value) == [0, 1])

        health.record("wal", took: .zero)
        #expect(health.families[1].samples.map(\.value) == [1])
        #expect(health.families[2].samples.map(\.value) == [0, 0])
    }

    @Test func aLateTargetFailsEveryCollectorThatEverRan() {
        var health = CollectorHealth()
        health.record("locks", took: .zero)
        health.record("wal", took: .zero)

        #expect(health.failed(.timeout).families[1].samples.map(\.value) == [0, 0])
        #expect(health.families[1].samples.map(\.value) == [1, 1])
    }
}
