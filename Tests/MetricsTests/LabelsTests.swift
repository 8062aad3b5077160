import Metrics
import Testing

@Suite struct LabelsTests {
    @Test func labelsAreSortedAndEscaped() {
        let labels = Labels(["b": "two\n\"\\", "a": "1", "empty": ""])
        #expect(labels.description == #"{a="1",b="two\n\"\\"}"#)
    }

    @Test func theLaterOfTwoLabelsWithOneNameStays() {
        #expect(Labels([Label("a", "1"), Label("a", "2")]) == Labels(["a": "2"]))
    }

    @Test func labelsAreComparedByBytesNotByCanonicalEquivalence() {
        #expect(Labels(["name": "\u{e9}"]) != Labels(["name": "e\u{301}"]))
    }
}
