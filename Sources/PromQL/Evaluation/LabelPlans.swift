import Metrics
import Runtime

/// `label_replace` and `label_join`: one label is set, the values stay.
final class LabelPlan: VectorPlan {
    enum Change {
        case replace(Pattern, source: String, template: String)
        case join([String], separator: String)
    }

    /// Bytes a made value may have: calls inside one another could double it each time.
    private static let valueLimit = 65_536

    private let vector: VectorPlan
    private let destination: String
    private let change: Change

    /// The new labels, or nil where they stay as they are.
    private var changed = Remembered<Labels?>()
    private var madeTooLong = false

    init(_ vector: VectorPlan, destination: String, _ change: Change) throws(PromQLError) {
        self.vector = vector
        self.destination = destination
        self.change = change
        guard !destination.isEmpty else { throw .evaluation("invalid destination label name \(quoted(destination))") }
        super.init(
            isConstant: vector.isConstant, hasSingleName: vector.hasSingleName && destination != nameLabel)
    }

    override func prepareParts(_ schedule: Schedule, _ run: Evaluation) throws(PromQLError) {
        try vector.prepare(schedule, run)
    }

    override func compute(_ elements: inout Elements, at time: Int64, _ run: Evaluation) throws(PromQLError) {
        let start = elements.count
        try vector.fill(&elements, at: time, run)
        var hasChanged = false
        madeTooLong = false
        for index in start..<elements.count {
            let labels = elements[index].labels
            let hidesName = elements[index].dropsName && run.hidesDroppedNames
            let made = changed.value(at: index - start, of: labels, hidesName: hidesName) {
                change(hidesName ? labels.removing(nameLabel) : labels, run)
            }
            if madeTooLong { break }
            guard let made else { continue }
            hasChanged = true
            elements[index].labels = made
            if hidesName || destination == nameLabel { elements[index].dropsName = false }
        }
        try run.checkTime()
        if madeTooLong {
            changed.forget()
            throw .evaluation("label \(quoted(destination)) would be longer than \(LabelPlan.valueLimit) bytes")
        }
        changed.keep(elements.count - start)
        if hasChanged { try checkDistinct(elements[start...]) }
    }

    private func change(_ labels: Labels, _ run: Evaluation) -> Labels? {
        let value: String
        switch change {
        case .replace(let pattern, let source, let template):
            let text = labels[source] ?? ""
            // Out of time: the labels do not matter any more, the query ends at the next look at the clock.
            guard run.deadline.allows(pattern.stepsPerByte * (text.utf8.count + 1)),
                let match = pattern.wholeMatch(of: text)
            else { return nil }
            value = pattern.expand(template, match, in: text)
        case .join(let sources, let separator):
            value = sources.map { labels[$0] ?? "" }.joined(separator: separator)
        }
        guard value.utf8.count <= LabelPlan.valueLimit else {
            madeTooLong = true
            return nil
        }
        return value.isEmpty ? labels.removing(destination) : labels.adding([Label(destination, value)])
    }

    private func checkDistinct(_ elements: ContiguousArray<Element>.SubSequence) throws(PromQLError) {
        var seen: Set<Labels> = []
        for element in elements where !seen.insert(element.labels).inserted {
            throw .evaluation("vector cannot contain metrics with the same labelset")
        }
    }
}
