/// A rule that stands in a file twice: same name, same labels. Prometheus loads such a file, but the two write over each
/// other's series.
public struct DuplicateRule: Sendable, Equatable {
    public let name: String
    /// As `name: value`, sorted.
    public let labels: [String]
}

extension RuleFile {
    /// Each rule that occurs more than once, named once, in the order of their names.
    public var duplicates: [DuplicateRule] {
        var counts: [RuleIdentity: Int] = [:]
        for rule in groups.flatMap(\.rules) { counts[rule.identity, default: 0] += 1 }
        return counts.filter { $0.value > 1 }.keys.sorted {
            ($0.name, $0.labels.description) < ($1.name, $1.labels.description)
        }.map { identity in
            DuplicateRule(name: identity.name, labels: identity.labels.pairs.map { "\($0.name): \($0.value)" })
        }
    }
}
