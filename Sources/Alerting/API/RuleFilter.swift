import Metrics
import PromQL

/// Which rules a client of `/api/v1/rules` asks for.
struct RuleFilter {
    let excludesAlerts: Bool
    private let type: String
    private let names: Set<String>
    private let groups: Set<String>
    private let files: Set<String>
    private let matcherSets: [[PromQL.Matcher]]
    private let groupLimit: Int
    private let token: String

    init(_ parameters: FormParameters) throws(QueryRefusal) {
        type = parameters["type"].lowercased()
        guard ["", "alert", "record"].contains(type) else {
            throw .invalid("type", "not supported value \(GoQuote.quoted(type))")
        }
        names = Set(parameters.all("rule_name[]"))
        groups = Set(parameters.all("rule_group[]"))
        files = Set(parameters.all("file[]"))
        matcherSets = try parameters.all("match[]").map { text throws(QueryRefusal) in
            do throws(PromQLError) {
                guard case .vector(let selector) = try Query(text).expression else {
                    throw .evaluation("expected a series selector")
                }
                return selector.matchers
            } catch {
                throw .invalid("match[]", "\(error)")
            }
        }
        let exclude = parameters["exclude_alerts"].lowercased()
        guard ["", "true", "false", "1", "0", "t", "f"].contains(exclude) else {
            throw .invalid("exclude_alerts", "error converting exclude_alerts: \(GoQuote.quoted(exclude))")
        }
        excludesAlerts = ["true", "1", "t"].contains(exclude)
        groupLimit = try parameters.limit("group_limit")
        token = parameters["group_next_token"]
        guard token.isEmpty || groupLimit > 0 else {
            throw .invalid("group_limit", "group_limit needs to be set in order to paginate over the groups")
        }
    }

    /// The groups that have rules left, with these; and what to ask with for those that follow.
    func page(_ all: [RulesSnapshot.Group]) throws(QueryRefusal) -> (
        groups: [(RulesSnapshot.Group, [RulesSnapshot.Rule])], nextToken: String?
    ) {
        var page: [(RulesSnapshot.Group, [RulesSnapshot.Rule])] = []
        var hasStarted = token.isEmpty
        for group in all {
            if !hasStarted {
                hasStarted = token == RuleFilter.token(of: group)
                guard hasStarted else { continue }
            }
            guard groups.isEmpty || groups.contains(group.definition.name), files.isEmpty || files.contains(group.file)
            else { continue }
            let rules = group.rules.filter { accepts($0.rule) }
            guard !rules.isEmpty else { continue }
            if groupLimit > 0, page.count == groupLimit { return (page, RuleFilter.token(of: group)) }
            page.append((group, rules))
        }
        guard hasStarted else {
            throw .invalid("group_next_token", "invalid group_next_token '\(token)'. were rule groups changed?")
        }
        return (page, nil)
    }

    private func accepts(_ rule: Rule) -> Bool {
        guard names.isEmpty || names.contains(rule.name) else { return false }
        switch (type, rule) {
        case ("alert", .recording), ("record", .alerting): return false
        default: break
        }
        guard !matcherSets.isEmpty else { return true }
        let labels = Labels(rule.labels)
        return matcherSets.contains { matchers in matchers.allSatisfy { $0.matches(labels) } }
    }

    /// Hexadecimal, so that it needs no escaping.
    private static func token(of group: RulesSnapshot.Group) -> String {
        "\(group.file);\(group.definition.name)".utf8.map { byte in
            (byte < 0x10 ? "0" : "") + String(byte, radix: 16)
        }.joined()
    }
}
