import Metrics

extension ScriptCase {
    /// What an answer has that was not expected or lacks, remarks included; nil if all is well.
    func difference(from answer: Answer) -> String? {
        difference(from: answer.value)
            ?? difference("warning", answer.warnings, expected: warnings, forbidden: forbidsWarnings)
            ?? difference("info", answer.remarks, expected: remarks, forbidden: forbidsRemarks)
    }

    private func difference(_ kind: String, _ found: [String], expected: [ScriptExpectation], forbidden: Bool)
        -> String?
    {
        if forbidden, let first = found.first { return "unexpected \(kind): \(first)" }
        for one in expected where !found.contains(where: one.accepts) {
            return "expected \(kind) \(one.description), got \(found)"
        }
        return nil
    }

    func difference(from value: Value) -> String? {
        switch (result, value) {
        case (.scalar(let expected), .scalar(let number)):
            return agree(expected, number) ? nil : "expected \(expected), got \(number)"
        case (.string(let expected), .string(let text)):
            return expected == text ? nil : "expected \(quoted(expected)), got \(quoted(text))"
        case (.series(let expected), .vector(let samples)):
            return difference(expected, samples)
        case (.series(let expected), .matrix(let series)):
            let times: (from: Int64, to: Int64, step: Int64)
            if case .range(let from, let to, let step) = self.times {
                times = (from, to, step)
            } else if let vectorTimes {
                times = vectorTimes
            } else {
                return "got a matrix, which the script does not expect"
            }
            return difference(expected, series, from: times.from, to: times.to, step: times.step)
        case (.scalar(let expected), .matrix(let series)) where series.count == 1 && series[0].labels.isEmpty:
            let wrong = series[0].points.first { !agree(expected, $0.value) }
            return wrong.map { "expected \(expected), got \($0.value) at \($0.time) ms" }
        default: return "expected \(result), got \(value)"
        }
    }

    private func difference(_ expected: [ScriptSeries], _ samples: [Sample]) -> String? {
        var left = Dictionary(samples.enumerated().map { ($1.labels, ($0, $1.value)) }) { first, _ in first }
        guard left.count == samples.count else { return "two series with the same labels" }
        for (place, one) in expected.enumerated() {
            guard let (foundPlace, value) = left.removeValue(forKey: one.labels) else {
                return "\(one.labels) is missing; got \(samples.map { "\($0.labels) \($0.value)" })"
            }
            guard case .number(let number)? = one.values.first, one.values.count == 1 else {
                return "\(one.labels): an instant query has one value"
            }
            guard agree(number, value) else { return "\(one.labels): expected \(number), got \(value)" }
            if isOrdered, foundPlace != place { return "\(one.labels) is at place \(foundPlace), not \(place)" }
        }
        return left.first.map { "unexpected \($0.key) \($0.value.1)" }
    }

    private func difference(_ expected: [ScriptSeries], _ series: [Series], from: Int64, to: Int64, step: Int64)
        -> String?
    {
        var left = Dictionary(series.map { ($0.labels, $0.points) }) { first, _ in first }
        guard left.count == series.count else { return "two series with the same labels" }
        for one in expected {
            let points = left.removeValue(forKey: one.labels) ?? []
            var wanted: [Point] = []
            for (index, value) in one.values.enumerated() {
                if case .number(let number) = value {
                    wanted.append(Point(time: from + Int64(index) * step, value: number))
                }
            }
            guard wanted.map(\.time) == points.map(\.time),
                zip(wanted, points).allSatisfy({ agree($0.value, $1.value) })
            else { return "\(one.labels): expected \(wanted.brief), got \(points.brief)" }
        }
        return left.first { !$0.value.isEmpty }.map { "unexpected \($0.key) \($0.value.brief)" }
    }

    private func agree(_ left: Double, _ right: Double) -> Bool { almostEqual(left, right, tolerance: 1e-6) }
}

extension [Point] {
    fileprivate var brief: String { "[" + map { "\($0.value)@\($0.time)" }.joined(separator: " ") + "]" }
}
