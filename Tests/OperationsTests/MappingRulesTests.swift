import Runtime
import Testing

@testable import Operations

@Suite struct MappingRulesTests {
    /// The metric and its labels as a rule names them.
    private func mapped(_ name: String, _ rules: String, _ kind: StatsDKind = .counter) throws -> String? {
        let rules = try configuration("statsd:\n  mappings:\n" + rules).rules
        guard let found = rules.match(name, kind: kind) else { return nil }
        guard found.rule.action == .map else { return "dropped" }
        return ([found.name] + found.labels.map { "\($0.name)=\($0.value)" }).joined(separator: " ")
    }

    @Test func aGlobTakesOnePartBetweenDots() throws {
        let rules = """
              - {match: "shop.*.orders.*", name: shop_orders_total, labels: {site: $1, result: $2, job: "${1}_shop"}}
            """
        #expect(
            try mapped("shop.paris.orders.paid", rules) == "shop_orders_total site=paris result=paid job=paris_shop")
        #expect(try mapped("shop.paris.orders", rules) == nil)
        #expect(try mapped("shop.paris.orders.paid.twice", rules) == nil)
        #expect(try mapped("store.paris.orders.paid", rules) == nil)
    }

    @Test func theFirstGlobWinsAndExpressionsComeAfterGlobs() throws {
        let rules = #"""
              - {match: 'a\.(.*)', match_type: regex, name: by_regex}
              - {match: "a.*", name: first}
              - {match: "*.b", name: second}
            """#
        #expect(try mapped("a.b", rules) == "first")
        #expect(try mapped("c.b", rules) == "second")
        #expect(try mapped("a.b.c", rules) == "by_regex")
    }

    @Test func anExpressionNamesGroupsAsGoDoes() throws {
        let rules = #"""
              - match: '^(\w+)--(?P<verb>get|put)\.count$'
                match_type: regex
                name: "${1}_requests_total"
                labels: {verb: $verb, odd: "$1_x"}
            """#
        #expect(try mapped("web--get.count", rules) == "web_requests_total verb=get odd=")
        #expect(try mapped("web--delete.count", rules) == nil)
    }

    @Test func aRuleMayBeForOneTypeOnly() throws {
        let rules = """
              - {match: "x.*", name: x_seconds, match_metric_type: observer}
              - {match: "x.*", name: x_total, match_metric_type: counter}
            """
        #expect(try mapped("x.y", rules, .timer) == "x_seconds")
        #expect(try mapped("x.y", rules, .distribution) == "x_seconds")
        #expect(try mapped("x.y", rules, .counter) == "x_total")
        #expect(try mapped("x.y", rules, .gauge) == nil)
    }

    @Test func dropNeedsNoName() throws {
        #expect(try mapped("debug.x", "      - {match: debug.*, action: drop}") == "dropped")
    }

    @Test(arguments: [
        ("{name: x}", "o.yml:3: statsd.mappings[0].match: is missing"),
        ("{match: a}", "o.yml:3: statsd.mappings[0].name: is missing"),
        (
            "{match: a*, name: x}",
            #"o.yml:3: statsd.mappings[0].match: "a*" is no glob: between dots stands a name or *"#
        ),
        ("{match: (, name: x, match_type: regex}", "o.yml:3: statsd.mappings[0].match: "),
        (
            "{match: a, name: x, match_type: fuzzy}",
            #"o.yml:3: statsd.mappings[0].match_type: "fuzzy" is none of glob, regex"#
        ),
        ("{match: a, name: x, lables: {}}", "o.yml:3: statsd.mappings[0].lables: unknown, did you mean labels?"),
        ("{match: a, name: x, labels: {le: b}}", #"o.yml:3: statsd.mappings[0].labels: "le" cannot be a label's name"#),
        ("{match: a, name: x, action: keep}", #"o.yml:3: statsd.mappings[0].action: "keep" is none of map, drop"#),
        (
            "{match: a, name: x, buckets: [2, 1]}",
            "o.yml:3: statsd.mappings[0].buckets: 1 does not rise above the bound before it"
        ),
        (
            "{match: a, name: outrigger_ready}",
            #"o.yml:3: statsd.mappings[0].name: "outrigger_ready" begins with outrigger_"#
        ),
        ("3", "o.yml:3: statsd.mappings[0]: must be a mapping, but is a value"),
    ])
    func aWrongRuleStopsTheStartWithItsLine(_ rule: String, _ complaint: String) {
        let error = #expect(throws: SettingsError.self) {
            try configuration("statsd:\n  mappings:\n    - \(rule)\n")
        }
        #expect(error?.description.hasPrefix(complaint) == true, "\(error?.description ?? "")")
    }
}
