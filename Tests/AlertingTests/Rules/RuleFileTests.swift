import Alerting
import Metrics
import PromQL
import Runtime
import TestTools
import Testing

@Suite struct RuleFileTests {
    private func problems(_ text: String) -> [String] {
        do {
            _ = try RuleFile.parse(text)
            return []
        } catch {
            return error.problems.map(\.description)
        }
    }

    @Test func everyFieldIsRead() throws {
        let file = try RuleFile.parse(
            """
            groups:
            - name: g
              interval: 1m30s
              limit: 10
              query_offset: 30s
              labels: {team: dba}
              rules:
              - alert: A
                expr: up == 0
                for: 5m
                keep_firing_for: 10m
                labels: {severity: page}
                annotations: {summary: '{{ $labels.instance }} is down'}
              - record: job:up:sum
                expr: sum by (job) (up)
                labels: {team: own}
            """)
        let group = file.groups[0]
        #expect(group.interval == 90_000)
        #expect(group.limit == 10)
        #expect(group.queryOffset == 30_000)
        guard case .alerting(let alert) = group.rules[0], case .recording(let record) = group.rules[1] else {
            Issue.record("wrong kinds: \(group.rules)")
            return
        }
        #expect(alert.holdDuration == 300_000)
        #expect(alert.keepFiringFor == 600_000)
        #expect(alert.labels.map(\.name) == ["severity", "team"])
        #expect(record.labels == [Label("team", "own")])
    }

    @Test func everythingThatIsWrongIsNamedWithItsLine() {
        let found = problems(
            """
            groups:
            - name: g
              rules:
              - alert: A
                expr: up ==
              - record: "a b"
                expr: up
                for: 3m
              - alert: B
                record: b
                expr: up
              - alert: C
                expr: up
                labels: {"a-b": x, __name__: y}
                annotations: {"c-d": "{{ nope }}", e: "{{ $x }}"}
                colour: red
              - {alert: D, expr: up, for: 3 minutes}
              - expr: up
              - alert: E
            - name: g
            """)
        #expect(
            found == [
                #"5: group "g", rule 1, "A": could not parse expression: 1:6: parse error: unexpected end of input"#,
                #"8: group "g", rule 2, "a b": invalid field 'for' in recording rule"#,
                #"6: group "g", rule 2, "a b": invalid recording rule name: a b"#,
                #"10: group "g", rule 3, "B": only one of 'record' and 'alert' must be set"#,
                #"16: field colour not found in a rule"#,
                #"14: group "g", rule 4, "C": invalid label name: a-b"#,
                #"14: group "g", rule 4, "C": invalid label name: __name__"#,
                #"15: group "g", rule 4, "C": invalid annotation name: c-d"#,
                #"15: group "g", rule 4, "C": annotation "c-d": template: __alert_C:1: function "nope" not defined"#,
                #"15: group "g", rule 4, "C": annotation "e": template: __alert_C:1: undefined variable "$x""#,
                #"17: not a valid duration string: "3 minutes""#,
                #"18: group "g", rule 6, "": one of 'record' or 'alert' must be set"#,
                #"19: group "g", rule 7, "E": field 'expr' must be set in rule"#,
                #"20: groupname: "g" is repeated in the same file"#,
            ])
    }

    @Test func onlyTheFirstDocumentCountsAndThatIsSaid() throws {
        let file = try RuleFile.parse("---\n# first\ngroups: []\n---\nnonsense: 1\n")
        #expect(file.groups.isEmpty)
        #expect(file.warnings.count == 1)
        #expect(try RuleFile.parse("---\ngroups: []\n").warnings.isEmpty)
    }

    @Test func anEmptyFileHasNoRules() throws {
        for text in ["", "\n", "# nothing\n", "groups:\n", "groups: []\n", "~"] {
            #expect(try RuleFile.parse(text).groups.isEmpty)
        }
    }

    @Test func aRuleThatStandsTwiceIsFound() throws {
        let file = try RuleFile.parse(
            """
            groups:
            - name: a
              rules: [{record: r, expr: '1', labels: {x: y}}, {record: r, expr: '2'}, {alert: A, expr: '1'}]
            - name: b
              rules: [{record: r, expr: '3', labels: {x: y}}]
            """)
        #expect(file.duplicates.map(\.name) == ["r"])
        #expect(file.duplicates.map(\.labels) == [["x: y"]])
    }

    @Test func whatOnlyPrometheus3ReadsIsReadToo() throws {
        for text in [
            "groups: [{name: g, query_offset: 1m, rules: []}]",
            "groups: [{name: g, labels: {a: b}, rules: [{record: r, expr: '1'}]}]",
            "groups: [{name: g, rules: [{record: r, expr: 'rate(up[300])'}]}]",
            #"groups: [{name: g, rules: [{record: r, expr: '{"foo.bar"="1"}'}]}]"#,
        ] {
            #expect(throws: Never.self) { try RuleFile.parse(text) }
        }
    }

    // MARK: promtool as the judge

    /// A rule in the middle of a file, or a whole file where it begins with `groups`.
    static let corpus: [String] =
        rules.map { "groups:\n- name: g\n  rules:\n  - " + $0.replacing("\n", with: "\n    ") + "\n" } + files

    private static let rules = [
        "record: a\nexpr: up", "record: a:b:c\nexpr: 1", "record: 1a\nexpr: up", "record: a-b\nexpr: up",
        "record: a{}\nexpr: up", "record: ''\nexpr: up", "record: ~\nexpr: up", "record: 5\nexpr: up",
        "record: [a]\nexpr: up", "record: a\nexpr: [up]", "record: a\nexpr: ''", "record: a\nexpr: 5",
        "record: a\nexpr: 'sum('", "record: a\nexpr: 'nope(up)'", "record: a\nexpr: 'rate(up)'",
        "record: a\nexpr: '\"text\"'", "record: a\nexpr: 'up[5m]'", "record: a\nexpr: 'up offset 5m'",
        "record: a\nexpr: 'up @ 3'", "record: a\nexpr: '{}'", "record: a\nexpr: '{x=\"\"}'",
        "record: a\nexpr: 'up == bool 1'",
        "record: a\nexpr: '1 > 2'", "record: a\nexpr: 'sum by (x, (up))'", "record: a\nexpr: 'up{a=~\"(\"}'",
        "record: a\nexpr: |\n  sum by (x) (\n    up\n  )", "record: a\nfor: 5m\nexpr: up",
        "record: a\nfor: 0s\nexpr: up",
        "record: a\nkeep_firing_for: 5m\nexpr: up", "record: a\nexpr: up\nannotations: {}",
        "record: a\nexpr: up\nannotations: {a: b}", "record: a\nexpr: up\nlabels: {a: b}",
        "record: a\nexpr: up\nlabels: {a: '{{ broken'}", "record: a\nexpr: up\nlabels: {a: 5, b: true, c: ~}",
        "record: a\nexpr: up\nlabels: {a: [b]}", "record: a\nexpr: up\nlabels: [a]", "record: a\nexpr: up\nlabels: x",
        "record: a\nexpr: up\nlabels: {a-b: c}", "record: a\nexpr: up\nlabels: {'': c}",
        "record: a\nexpr: up\nlabels: {__name__: c}", "record: a\nexpr: up\nlabels: {1a: c}",
        "record: a\nexpr: up\nlabels: {é: c}", "record: a\nexpr: up\nx-extra: 1", "record: a\nexpr: up\nexpr: down",
        "alert: A\nexpr: up", "alert: A b-c\nexpr: up", "alert: ''\nexpr: up", "alert: A\nrecord: a\nexpr: up",
        "alert: A", "expr: up", "alert: A\nexpr: up\nfor: 5m", "alert: A\nexpr: up\nfor: 5",
        "alert: A\nexpr: up\nfor: 0",
        "alert: A\nexpr: up\nfor: ''", "alert: A\nexpr: up\nfor: ~", "alert: A\nexpr: up\nfor: -5m",
        "alert: A\nexpr: up\nfor: 1.5m", "alert: A\nexpr: up\nfor: 1m1h", "alert: A\nexpr: up\nfor: 1y1w1d1h1m1s1ms",
        "alert: A\nexpr: up\nfor: 5m5m", "alert: A\nexpr: up\nfor: [5m]", "alert: A\nexpr: up\nfor: 999999y",
        "alert: A\nexpr: up\nkeep_firing_for: 5m", "alert: A\nexpr: up\nkeep_firing_for: x",
        "alert: A\nexpr: up\nlabels: {alertname: B}", "alert: A\nexpr: up\nannotations: {a b: c}",
        "alert: A\nexpr: up\nannotations: {a: '{{ $labels.x }} {{ $value | humanize }}'}",
        "alert: A\nexpr: up\nannotations: {a: '{{ $label.x }}'}", "alert: A\nexpr: up\nannotations: {a: '{{ if }}'}",
        "alert: A\nexpr: up\nannotations: {a: '{{ nope 1 }}'}", "alert: A\nexpr: up\nlabels: {a: '{{ nope 1 }}'}",
        "alert: A\nexpr: up\nannotations: {a: '{{ end }}'}",
        "alert: A\nexpr: up\nannotations: {a: '{{ range .X }}{{ end }}'}",
        "alert: A\nexpr: up\nannotations: {a: '{{ printf \"%d\" $value }}'}",
        "alert: A\nexpr: up\nannotations: {a: '{{'}",
        "alert: A\nexpr: up\nannotations: {a: '}}'}", "alert: A\nexpr: up\nannotations: {a: ~}",
        "alert: A\nexpr: up\nannotations: {a: '{{ define \"x\" }}{{ end }}{{ template \"x\" }}'}",
        "alert: A\nexpr: up\nannotations: {a: '{{ template \"y\" }}'}",
        "alert: A\nexpr: up\nannotations: {a: '{{ .Foo }}'}",
        "alert: A\nexpr: up\nannotations: {a: '{{ query \"up(\" | first }}'}", "- alert: A", "alert: &x A\nexpr: up",
        "alert: !!str A\nexpr: up", "alert: A\nexpr: up\nfor: !!int 5", "just a text", "[]",
    ]

    private static let files = [
        "", "groups:", "groups: ~", "groups: {}", "groups: x", "- a", "a: b", "groups: []\nmore: 1", "groups: [~]",
        "groups: [1]", "groups: [{}]", "groups: [{name: a}]", "groups: [{name: a, rules: ~}]",
        "groups: [{name: a, rules: {}}]", "groups: [{name: a, rules: [~]}]", "groups: [{name: '', rules: []}]",
        "groups: [{rules: []}]", "groups: [{name: a}, {name: a}]", "groups: [{name: a}, {name: b}]",
        "groups: [{name: 5}]", "groups: [{name: [a]}]", "groups: [{name: a, interval: 5m}]",
        "groups: [{name: a, interval: 5}]", "groups: [{name: a, interval: 0s}]", "groups: [{name: a, interval: ''}]",
        "groups: [{name: a, limit: 5}]", "groups: [{name: a, limit: -5}]", "groups: [{name: a, limit: '5'}]",
        "groups: [{name: a, limit: 5.0}]", "groups: [{name: a, limit: 5.7}]", "groups: [{name: a, limit: 0x10}]",
        "groups: [{name: a, limit: 1_000}]", "groups: [{name: a, limit: 99999999999999999999}]",
        "groups: [{name: a, limit: x}]", "groups: [{name: a, limit: ~}]", "groups: [{name: a, limit: true}]",
        "groups: [{name: a, source_tenants: [x]}]", "groups: [{name: a, partial_response_strategy: warn}]",
        "groups: [{name: a, name: b}]", "groups: [", "groups: ]", "\tgroups: []", "groups: []\n\tx", "groups: 'x",
        "groups: []\n---\nrubbish: 1", "groups: []\n---\n\"x\n", "groups: []\n---\n@x", "groups: []\n...\nmore: 1\n",
        "groups: []\n---\na: b: c\n",
        "groups: []\n---\na\n  b: c\n", "groups: []\n---\na: 1\nb: c: d\n", "---\ngroups: []", "---\n---\ngroups: []",
        "%YAML 1.1\n---\ngroups: []",
        "groups: *nope", "groups: &a [{name: x, rules: *a}]", "groups: []\ngroups: []",
        "x: &r {alert: A, expr: up}\ngroups: []", "groups: [{name: g, rules: [{<<: {alert: A}, expr: up}]}]",
        "groups: [{name: g, rules: [&r {alert: A, expr: up}, *r]}]", "{\"groups\": [{\"name\": \"g\", \"rules\": []}]}",
        "groups:\n- name: g\n  rules:\n  - alert: A\n   expr: up",
        "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: up: down",
        "groups: [{name: g, rules: [{record: r, expr: '1'}, {record: r, expr: '2'}]}]",
    ]

    @Test(.enabled(if: Tool.promtool != nil, "no promtool on this machine"))
    func theSameFilesAreRefusedAsByPromtool() async throws {
        let folder = try TemporaryFolder()
        for (index, text) in Self.corpus.enumerated() {
            let path = "\(folder.path)/\(index).yml"
            try Files.write(text, to: path)
            let theirs = try await Tool.run(try #require(Tool.promtool), ["check", "rules", path], in: folder.path)
            let ours = problems(text)
            #expect((theirs.status == 0) == ours.isEmpty, "\(text)\npromtool: \(theirs.text)\nours: \(ours)")
        }
    }

    @Test(.enabled(if: SharedData.isPresent, SharedData.absence))
    func publishedRuleFilesAreRead() throws {
        let folder = Facts.sharedPath("rules")
        for name in try Files.list(folder) {
            let file = try RuleFile.load(folder + "/" + name)
            #expect(!file.groups.flatMap(\.rules).isEmpty)
        }
    }

    // MARK: Fuzzing

    /// Damaged files are refused or read, and nothing else happens. `TEST_FUZZ` sets how many.
    @Test func noFileBringsTheLoaderDown() {
        let rounds = Seeded.rounds(default: 4000)
        var random = Seeded(fuzzing: 20_261_121)
        let words = [
            "{{", "}}", "*x", "&x ", ": ", "- ", "\n", "  ", "[", "]", "{", "}", "\"", "'", "|", ">-", "<<: ", "~",
            "9223372036854775808", "1e999", "5m", "groups", "rules", "expr", "\u{0}", "\u{FFFD}", "(", ")", "!!binary ",
            "---\n",
        ]
        var refused = 0
        for round in 0..<rounds {
            var bytes = Array(Self.corpus[random.below(Self.corpus.count)].utf8)
            for _ in 0...random.below(4) {
                let place = random.below(bytes.count + 1)
                switch random.below(4) {
                case 0: bytes.insert(contentsOf: words[random.below(words.count)].utf8, at: place)
                case 1: bytes.removeSubrange(place..<min(bytes.count, place + random.below(9)))
                case 2: bytes.insert(UInt8(random.below(256)), at: place)
                default: bytes.insert(contentsOf: bytes[..<place].suffix(20), at: place)
                }
            }
            do {
                let file = try RuleFile.parse(bytes, path: "\(round)")
                // What was read can be told again.
                for rule in file.groups.flatMap(\.rules) {
                    #expect(throws: Never.self) { try Query(rule.query.expression.description) }
                }
            } catch {
                refused += 1
                #expect(!error.problems.isEmpty)
            }
        }
        #expect(refused > rounds / 4 && refused < rounds)
    }
}
