/// Who serves which name, where the service may report metrics under names of its own choice: such families stand back
/// for everybody else's, for good, so that `redis_up` never means what a client of StatsD says.
struct NameOwners {
    private var taken: Set<String> = []

    /// What was left out of one collection.
    struct Refused {
        var series = 0
        /// Names that were refused for the first time.
        var names: [String] = []
    }

    /// Takes the families out of parts that yield whose names, or those of their series, another part has or once had.
    ///
    /// Costs a look-up for each family of the others, and nothing as long as nobody reports metrics of their own.
    mutating func settle(_ parts: inout [Collected]) -> Refused {
        var refused = Refused()
        var claimed: [String: String] = [:]
        for family in parts.lazy.filter(\.yields).flatMap(\.families) {
            for name in NameOwners.names(of: family.metric) { claimed[name] = family.metric.name }
        }
        guard !claimed.isEmpty else { return refused }
        for family in parts.lazy.filter({ !$0.yields }).flatMap(\.families) {
            for name in NameOwners.names(of: family.metric) {
                guard let owner = claimed[name], taken.insert(owner).inserted else { continue }
                refused.names.append(owner)
            }
        }
        guard !taken.isEmpty else { return refused }
        for index in parts.indices where parts[index].yields {
            parts[index].families.removeAll { family in
                guard taken.contains(family.metric.name) else { return false }
                refused.series += family.samples.count
                return true
            }
        }
        return refused
    }

    /// The family's name, and those that its series or the family itself have in either format.
    private static func names(of metric: Metric) -> [String] {
        let name = metric.name
        switch metric.kind {
        case .histogram: return [name, name + "_bucket", name + "_sum", name + "_count"]
        case .summary: return [name, name + "_sum", name + "_count"]
        case .counter where name.hasSuffix("_total"): return [name, String(name.dropLast("_total".count))]
        case .counter, .gauge, .untyped, .stateSet, .info: return [name]
        }
    }
}
