/// What a server has reported of its settings (ParameterStatus). Two with the same values are the same object, so that
/// comparing what a client knows with what its server has costs nothing.
final class ReportedParameters {
    let values: [[UInt8]: [UInt8]]

    fileprivate init(_ values: [[UInt8]: [UInt8]]) { self.values = values }
}

/// Every set of reported settings that somebody has, once each. For one loop.
final class ReportedSets {
    private struct Held { weak var set: ReportedParameters? }

    let none = ReportedParameters([:])
    private var known: [[[UInt8]: [UInt8]]: Held] = [:]
    private var pruneAt = 256

    func set(_ pairs: [(name: [UInt8], value: [UInt8])]) -> ReportedParameters {
        set(Dictionary(pairs.map { ($0.name, $0.value) }) { $1 })
    }

    func setting(_ name: [UInt8], to value: [UInt8], in old: ReportedParameters) -> ReportedParameters {
        guard old.values[name] != value else { return old }
        var values = old.values
        values[name] = value
        return set(values)
    }

    private func set(_ values: [[UInt8]: [UInt8]]) -> ReportedParameters {
        if let known = known[values]?.set { return known }
        if known.count >= pruneAt {
            known = known.filter { $0.value.set != nil }
            pruneAt = max(256, known.count * 2)
        }
        let fresh = ReportedParameters(values)
        known[values] = Held(set: fresh)
        return fresh
    }
}
