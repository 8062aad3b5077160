import Alerting
import Metrics
import Runtime
import TestTools
import Testing

@Suite struct TemplateTests {
    private let labels = Labels(["instance": "db1:5432", "job": "pg", "severity": "page"])

    private func expand(_ text: String, value: Double = 2) throws(TemplateError) -> String {
        let data = TemplateData(
            labels: labels, externalLabels: Labels(["cluster": "lab"]), externalURL: "http://out.example:9847/rigger",
            value: value)
        let environment = TemplateEnvironment(now: 1_700_000_000) { query throws(TemplateFailure) in
            switch query {
            case "pair":
                return [
                    TemplateSample(labels: Labels(["n": "b", "__value__": "two"]), value: 2),
                    TemplateSample(labels: Labels(["n": "a"]), value: 1),
                ]
            case "none": return []
            default: throw TemplateFailure("parse error: \(query)")
            }
        }
        return try Template.parse(text).expand(data, in: environment)
    }

    @Test(arguments: [
        ("plain } text {", "plain } text {"),
        ("{{ $labels.job }}/{{ .Labels.job }}/{{ index $labels \"job\" }}", "pg/pg/pg"),
        (
            "{{ $labels.nope }}|{{ $externalLabels.cluster }}|{{ externalURL }}|{{ pathPrefix }}",
            "|lab|http://out.example:9847/rigger|/rigger"
        ),
        ("a {{- 1 -}} b", "a1b"), ("a\n  {{- /* gone */ -}}\n b", "ab"),
        ("{{ `raw\\n` }}{{ \"\\u00e9\\n\" }}", "raw\\né\n"),
        ("{{ if $labels.nope }}1{{ else if eq $labels.job `pg` }}2{{ else }}3{{ end }}", "2"),
        ("{{ with $labels.nope }}1{{ else with $labels.job }}{{ . }}{{ end }}", "pg"),
        ("{{ range $i, $s := query \"pair\" }}{{ $i }}={{ $s.Labels.n }} {{ end }}", "0=b 1=a "),
        ("{{ range query \"none\" }}x{{ else }}empty{{ end }}", "empty"),
        (
            "{{ range $k, $v := $labels }}{{ if eq $k `job` }}{{ continue }}{{ end }}{{ $k }},{{ end }}",
            "instance,severity,"
        ),
        ("{{ range $labels }}{{ . }}{{ break }}{{ end }}", "db1:5432"),
        ("{{ range 3 }}{{ . }}{{ end }}", "012"),
        ("{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ $y := 3 }}{{ end }}{{ $x }}", "2"),
        (
            "{{ define `t` }}[{{ .arg0 }}-{{ .arg1 }}-{{ .arg2 }}]{{ end }}{{ template `t` args 1 `b` }}",
            "[1-b-<no value>]"
        ),
        ("{{ block `b` $labels.job }}<{{ . }}>{{ end }}", "<pg>"),
        ("{{ (query \"pair\" | first).Labels.n }} {{ query \"pair\" | first | strvalue }}", "b two"),
        (
            "{{ (index (query \"pair\") 1).Value }} {{ query \"pair\" | sortByLabel \"n\" | first | label \"n\" }}",
            "1 a"
        ),
        ("{{ len (query \"pair\") }} {{ len (slice (query \"pair\") 1) }}", "2 1"),
        ("{{ and 1 0 2 }} {{ or 0 `` 3 }} {{ not `` }} {{ or true (index `` 1) }}", "0 3 true true"),
        (
            "{{ eq 1 2 1 }} {{ ne `a` `b` }} {{ lt 1.5 2.5 }} {{ le `a` `a` }} {{ gt 2 1 }} {{ ge 1 2 }}",
            "true true true true true false"
        ),
        ("{{ 0x1F }} {{ 1_000 }} {{ 'a' }} {{ 1e3 }} {{ -2.50 }} {{ 017 }} {{ 0b11 }}", "31 1000 97 1000 -2.5 15 3"),
        ("{{ print 1 2 `a` `b` 3 4 nil }}|{{ println `x` 1 }}", "1 2a b3 4 <nil>|x 1\n".replacing("a b", with: "ab")),
        ("{{ html `<a href=\"x\">'&` }}", "&lt;a href=&#34;x&#34;&gt;&#39;&amp;"),
        ("{{ js `<=\"\\` }}", #"\u003C\u003D\"\\"#), ("{{ urlquery `a b` `&` }}", "a+b%26"),
        ("{{ toUpper `straße` }} {{ toLower `ÄB` }} {{ title `o'neil x_y 3d` }}", "STRAßE äb O'Neil X_y 3d"),
        (
            "{{ stripPort `[::1]:80` }} {{ stripPort `a:b:c` }} {{ stripDomain `10.0.0.1:80` }} {{ stripDomain `h.x` }}",
            "::1 a:b:c 10.0.0.1:80 h"
        ),
        ("{{ stripDomain `::ffff:1.2.3.4` }} {{ stripDomain `a.b:1` }}", "::ffff:1.2.3.4 a:1"),
        (
            "{{ match `^d.*2$` $labels.instance }} {{ reReplaceAll `(\\w+):(\\d+)` `$2-${1}x` $labels.instance }}",
            "true 5432-db1x"
        ),
        (
            "{{ parseDuration `1d2h` }} {{ toDuration 90.5 }} {{ now | toTime }}",
            "93600 1m30.5s 2023-11-14 22:13:20 +0000 UTC"
        ),
        ("{{ 1.0 | humanizeDuration }} {{ `0.25` | humanizePercentage }} {{ 2048 | humanize1024 }}", "1s 25% 2ki"),
        ("{{ urlQueryEscape `a/b c` }} {{ safeHtml `<b>` }}", "a%2Fb+c <b>"),
        ("{{ query \"pair\" | first }}", "{map[__value__:two n:b] 2}"),
        ("{{ . }}", "{map[instance:db1:5432 job:pg severity:page] map[cluster:lab] http://out.example:9847/rigger 2}"),
    ]) func theLanguageIsGos(_ text: String, _ expected: String) throws {
        #expect(try expand(text) == expected, "\(text)")
    }

    @Test(arguments: [
        (#"printf "%5d|%-5d|%05d|%+d|% d" 42 42 -42 42 42"#, "   42|42   |-0042|+42| 42"),
        (#"printf "%x %X %#x %o %#o %b %c %q %U" 255 255 255 8 8 5 97 97 97"#, "ff FF 0xff 10 010 101 a 'a' U+0061"),
        (
            #"printf "%.3d|%8.3f|%-8.1f|%08.2f|%+.1e" 7 3.14159 2.5 -1.5 1234.5"#,
            "007|   3.142|2.5     |-0001.50|+1.2e+03"
        ),
        (#"printf "%g %G %e %6.2f%%" 1e21 1e21 1.0 99.5"#, "1e+21 1E+21 1.000000e+00  99.50%"),
        (
            #"printf "%s|%10s|%-10s|%.2s|%q|%x" "héllo" "é" "é" "héllo" "a\"b" "hi""#,
            "héllo|         é|é         |hé|\"a\\\"b\"|6869"
        ),
        (#"printf "%t %v %5t" true false true"#, "true false  true"),
        (#"printf "%d %s""#, "%!d(MISSING) %!s(MISSING)"),
        (#"printf "%d" 1 "x" 2.5"#, "1%!(EXTRA string=x, float64=2.5)"),
        (#"printf "%s %d %t" 1 "a" 1"#, "%!s(int=1) %!d(string=a) %!t(int=1)"),
        (#"printf "%z %" 1"#, "%!z(int=1) %!(NOVERB)"),
        (#"printf "%[2]d %[1]d" 1 2"#, "2 1"), (#"printf "%[3]d" 1"#, "%!d(BADINDEX)"),
        (#"printf "%*d|%.*f" 5 42 1 2.55"#, "   42|2.5"),
        (#"printf "%v %s %d" nil nil nil"#, "<nil> %!s(<nil>) %!d(<nil>)"),
        (
            #"printf "%v %+d %T %T" $labels 5 $labels 1.5"#,
            "map[instance:db1:5432 job:pg severity:page] +5 map[string]string float64"
        ),
        (#"printf "%6.2v|%05v" 3.14159 1.5"#, "   3.1|001.5"), (#"printf "%99999d" 1"#, "%!(BADWIDTH)1"),
    ]) func printfIsGos(_ action: String, _ expected: String) throws {
        #expect(try expand("{{ \(action) }}") == expected, "\(action)")
    }

    @Test(arguments: [
        ("{{ nope }}", #"template: t:1: function "nope" not defined"#),
        ("\n{{ $x }}", #"template: t:2: undefined variable "$x""#),
        ("{{ if }}x{{ end }}", "template: t:1: missing value for if"),
        ("{{ if true }}", "template: t:1: unexpected EOF"), ("{{ end }}", "template: t:1: unexpected {{end}}"),
        ("{{ else }}", "template: t:1: unexpected {{else}}"), ("{{ ", "template: t:1: unclosed action"),
        ("{{ \"a }}", "template: t:1: unterminated quoted string"), ("{{/* a }}", "template: t:1: unclosed comment"),
        ("{{ (1 }}", "template: t:1: unclosed left paren"), ("{{ 1) }}", "template: t:1: unexpected right paren"),
        ("{{ break }}", "template: t:1: {{break}} outside {{range}}"),
        ("{{ 1 | 2 }}", "template: t:1: non executable command in pipeline stage 2"),
        ("{{ template x }}", "template: t:1: unexpected \"x\" in template clause"),
        ("{{ 3x }}", "template: t:1: bad number syntax: \"3x\""),
        ("{{ @ }}", "template: t:1: unrecognized character in action: U+0040 '@'"),
        ("{{ 1 := 2 }}", "template: t:1: unexpected \":=\" in operand"),
        ("{{ $x, $y := 1 }}", "template: t:1: too many declarations in command"),
        (
            "{{ define \"a\" }}1{{ end }}{{ define \"a\" }}2{{ end }}",
            "template: t:1: template: multiple definition of template \"a\""
        ),
        ("{{ define \"a\" }}{{ $labels }}{{ end }}", #"template: t:1: undefined variable "$labels""#),
    ]) func aTextThatIsNoTemplateIsRefusedAsGoRefusesIt(_ text: String, _ message: String) {
        do {
            _ = try Template.parse(text)
            Issue.record("\(text) was accepted")
        } catch {
            #expect(error.describe(name: "t") == message)
        }
    }

    @Test(arguments: [
        (
            "{{ printf $value }}",
            "template: t:1:122: executing \"t\" at <$value>: wrong type for value; expected string; got float64"
        ),
        ("{{ .Nope }}", "at <.Nope>: can't evaluate field Nope in type struct"),
        ("{{ query 3 }}", "expected string; found 3"),
        ("{{ query \"bad(\" }}", "at <query \"bad(\">: error calling query: parse error: bad("),
        ("{{ first }}", "wrong number of args for first: want 1 got 0"),
        ("{{ index `a` 3 }}", "error calling index: index out of range: 3"),
        ("{{ gt $value 1 }}", "error calling gt: incompatible types for comparison"),
        ("{{ eq $labels $labels }}", "error calling eq: invalid type for comparison"),
        ("{{ humanize `x` }}", "error calling humanize: strconv.ParseFloat: parsing \"x\": invalid syntax"),
        ("{{ humanize true }}", "error calling humanize: can't convert bool to float"),
        ("{{ match `(` `a` }}", "error calling match: error parsing regexp: missing closing )"),
        ("{{ parseDuration `1x` }}", #"error calling parseDuration: not a valid duration string: "1x""#),
        ("{{ template `no` }}", "template \"no\" not defined"),
        ("{{ nil }}", "nil is not a command"), ("{{ 1 2 }}", "can't give argument to non-function 1"),
        ("{{ range $value }}{{ end }}", "range can't iterate over 2"),
        ("{{ value nil }}", "error calling value: runtime error: invalid memory address or nil pointer dereference"),
    ]) func whatCannotBeEvaluatedSaysWhereAndWhy(_ text: String, _ message: String) {
        do {
            Issue.record("\(text) became \(try expand(text))")
        } catch {
            #expect(error.describe(name: "t").contains(message), "\(error.describe(name: "t"))")
        }
    }

    @Test(arguments: [
        ("{{ define `r` }}{{ template `r` }}{{ end }}{{ template `r` }}", "exceeded maximum template depth"),
        ("{{ range 1000 }}{{ range 1000 }}{{ range 1000 }}{{ end }}{{ end }}{{ end }}", "exceeded 200000 steps"),
        ("{{ range 1000000000 }}{{ end }}", "exceeded 200000 steps"),
        ("{{ $x := `0123456789` }}{{ range 100 }}{{ $x = print $x $x }}{{ end }}", "exceeds the limits"),
        ("{{ range 10000 }}{{ printf `%1000d` . }}{{ end }}", "exceeded"),
        ("many parentheses", "nested deeper than 64"),
    ]) func aHostileTemplateEndsInAnError(_ text: String, _ message: String) {
        let deep = "{{ " + String(repeating: "(", count: 10_000)
        let text = text.hasPrefix("{{") ? text : deep
        do {
            Issue.record("became \(try expand(text).utf8.count) bytes")
        } catch {
            #expect(error.description.contains(message), "\(error)")
        }
    }

    @Test func whatARuleShowsForABrokenTemplateIsPrometheusText() {
        let environment = TemplateEnvironment(now: 0) { _ throws(TemplateFailure) in [] }
        let data = TemplateData(labels: labels, value: 1)
        #expect(
            Template.expandText("{{ nope }}", name: "__alert_A", data, in: environment)
                == "<error expanding template: error parsing template __alert_A: "
                + "template: __alert_A:1: function \"nope\" not defined>")
        #expect(
            Template.expandText("{{ first (query \"x\") }}", name: "__alert_A", data, in: environment)
                == "<error expanding template: error executing template __alert_A: template: __alert_A:1:115: "
                + "executing \"__alert_A\" at <first (query \"x\")>: error calling first: "
                + "first() called on vector with no elements>")
    }

    /// `TEST_FUZZ` sets how many.
    @Test func mutilatedTemplatesNeverTrap() {
        let pieces = [
            "{{", "}}", "{{-", " -}}", "if", "range", "with", "end", "else", "define", "template", "block", "\"t\"",
            "$x",
            "$labels", ":=", "=", ",", "|", "(", ")", ".", ".a", "1", "1.5e", "'a'", "`r`", " ", "\n", "printf",
            "\"%d\"",
            "query", "nil", "true", "é", "\\", "/*", "*/", "break", "and", "slice", "index", "humanize", "-", "\u{0}",
        ]
        var random = Seeded(fuzzing: 17)
        for _ in 0..<Seeded.rounds(default: 20_000) {
            let text =
                "{{ "
                + (0..<Int.random(in: 1...12, using: &random)).map { _ in random.pick(pieces) }
                .joined(separator: random.chance(0.5) ? " " : "") + " }}"
            _ = try? expand(text)
        }
    }
}
