import PromQL
import Testing

@Suite struct ParserTests {
    @Test(arguments: [
        ("", "1:1: parse error: no expression found in input"),
        ("ratee(x[5m])", "1:1: parse error: unknown function with name \"ratee\"; did you mean \"rate\"?"),
        ("1 + summ(x)", "1:5: parse error: unknown function with name \"summ\"; did you mean \"sum\"?"),
        ("frobnicate(x)", "1:1: parse error: unknown function with name \"frobnicate\""),
        ("up{job=\"a\"", "1:3: parse error: unexpected end of input inside braces"),
        ("up{job=a}", "1:8: parse error: unexpected \"a\" in label matching, expected string"),
        ("up{job~\"a\"}", "1:7: parse error: unexpected character: \"~\""),
        ("up{job=~\"a(\"}", "1:11: parse error: error parsing regexp: missing closing )"),
        ("{job=~\".*\"}", "1:1: parse error: vector selector must contain at least one non-empty matcher"),
        ("up{__name__=\"down\"}", "1:1: parse error: metric name must not be set twice: \"up\" or \"down\""),
        ("(up", "1:1: parse error: unclosed left parenthesis"),
        ("sum(up", "1:4: parse error: unclosed left parenthesis"),
        ("up[5m", "1:3: parse error: unclosed left bracket"),
        ("up[0s]", "1:4: parse error: duration must be greater than 0"),
        ("up[5q]", "1:4: parse error: bad number or duration syntax: \"5q\""),
        ("sum(up)[5m]", "1:1: parse error: ranges only allowed for vector selectors"),
        ("up offset 5m[5m]", "1:1: parse error: no offset modifiers allowed before range"),
        ("up @ 1 @ 2", "1:8: parse error: @ <timestamp> may not be set multiple times"),
        (
            "1 offset 5m",
            "1:1: parse error: offset modifier must be preceded by an instant vector selector or range vector selector or a subquery"
        ),
        ("up up", "1:4: parse error: unexpected \"up\" after the expression"),
        ("up +", "1:5: parse error: unexpected end of input"),
        ("1 > 2", "1:3: parse error: comparisons between scalars must use BOOL modifier"),
        ("up + bool 1", "1:6: parse error: bool modifier can only be used on comparison operators"),
        ("1 and up", "1:3: parse error: set operator \"and\" not allowed in binary scalar expression"),
        ("a and on(x) group_left b", "1:13: parse error: no grouping allowed for \"and\" operation"),
        ("a * on(x) group_left(x) b", "1:3: parse error: label \"x\" must not occur in ON and GROUP clause at once"),
        ("1 + on(x) up", "1:5: parse error: vector matching only allowed between instant vectors"),
        ("rate(up)", "1:6: parse error: expected type range vector in call to function \"rate\", got instant vector"),
        ("rate(up[5m], 1)", "1:1: parse error: expected 1 argument(s) in call to \"rate\", got 2"),
        ("round()", "1:1: parse error: expected at least 1 argument(s) in call to \"round\", got 0"),
        ("clamp_max(up, 1,)", "1:17: parse error: trailing commas not allowed in function call args"),
        (
            "topk(up)",
            "1:1: parse error: wrong number of arguments for aggregate expression provided, expected 2, got 1"
        ),
        ("sum(1)", "1:5: parse error: expected type instant vector in aggregation expression, got scalar"),
        (
            "-\"a\"",
            "1:1: parse error: unary expression only allowed on expressions of type scalar or instant vector, got \"string\""
        ),
        ("\"abc", "1:1: parse error: unterminated quoted string"),
        (
            "up\n  + rate(\n up)",
            "3:2: parse error: expected type range vector in call to function \"rate\", got instant vector"
        ),
        ("up #comment\n*", "2:2: parse error: unexpected end of input"),
    ])
    func aMistakeIsNamedWithItsPlace(text: String, message: String) {
        let error = #expect(throws: PromQLError.self) { try Query(text) }
        #expect(error?.description == message)
    }

    @Test(arguments: [
        ("histogram_sum(x)", "the function histogram_sum needs native histograms"),
        ("mad_over_time(x[5m])", "the function mad_over_time is experimental"),
        ("limitk(2, x)", "the aggregation limitk is experimental"),
        ("rate(x[5m] anchored)", "the anchored modifier is experimental"),
        ("x[5m+1m]", "duration expressions are experimental"),
        ("x offset (5m)", "duration expressions are experimental"),
        ("a + fill(0) b", "the fill modifier is experimental"),
        ("a </ 3", "the operator </ needs native histograms"),
    ])
    func whatIsLeftOutSaysSo(text: String, reason: String) {
        let error = #expect(throws: PromQLError.self) { try Query(text) }
        guard case .syntax(let problem) = error else { return }
        #expect(problem.isUnsupported)
        #expect(problem.message == "not supported here: \(reason)")
    }

    @Test(arguments: [
        ("a+b*c", "a + b * c"), ("(a+b)*c", "(a + b) * c"), ("2^3^2", "2 ^ 3 ^ 2"), ("-a^2", "-a ^ 2"), ("- 1", "-1"),
        ("SUM BY(b,a)(x)", "sum by (b, a) (x)"), ("sum(x)without(a)", "sum without (a) (x)"),
        ("sum by () (x)", "sum(x)"), ("topk (3,x)", "topk(3, x)"),
        ("x{b='2',a=~\"1\"}[90m:5m] offset -1h", "x{a=~\"1\",b=\"2\"}[1h30m:5m] offset -1h"),
        ("x[1d]@1.5 offset 7d", "x[1d] @ 1.500 offset 1w"), ("x @ start()", "x @ start()"), ("x[90d]", "x[90d]"),
        ("{__name__=\"x\"}", "{__name__=\"x\"}"), ("{\"a.b\",\"c d\"=\"e\"}", "{\"c d\"=\"e\",__name__=\"a.b\"}"),
        ("a>bool on(x)group_left b", "a > bool on (x) group_left () b"),
        ("a/ignoring(x,y)group_right(z)b", "a / ignoring (x, y) group_right (z) b"), ("a unless b", "a unless b"),
        ("1e3", "1000"), ("0x1F", "31"), ("017", "15"), ("1_000", "1000"), (".5", "0.5"), ("1e-9", "0.000000001"),
        ("5m", "5m"), ("Inf", "+Inf"), ("nan", "NaN"), ("'a\\'\\n'", "\"a'\\n\""), ("`\\n`", "\"\\\\n\""),
        ("x[300]", "x[5m]"), ("x[5m:]", "x[5m:]"), ("vector(1)==bool 1", "vector(1) == bool 1"),
        ("by", "by"), ("and and and", "and and and"), ("sum{a=\"1\"}", "sum{a=\"1\"}"), ("a:b", "a:b"),
        ("label_replace(x,\"a\",\"$1\",\"b\",\"(.*)\")", "label_replace(x, \"a\", \"$1\", \"b\", \"(.*)\")"),
    ])
    func printingIsCanonicalAndReadsBack(text: String, canonical: String) throws {
        let printed = try Query(text).expression.description
        #expect(printed == canonical)
        #expect(try Query(printed).expression.description == printed)
    }

    @Test func whatAQueryReadsIsKnown() throws {
        let reads = try Query("rate(a[5m] offset 1h) + max_over_time(sum(b)[1d:5m] offset 2h) > on() {job=\"c\"} @ 7")
            .expression.reads
        #expect(reads.map(\.metricName) == ["a", "b", nil])
        #expect(reads.map(\.reach) == [3_900_000, 93_600_000, 0])
        #expect(reads.map(\.window) == [300_000, nil, nil])
        #expect(reads.map(\.isPinned) == [false, false, true])
    }

    @Test(arguments: [
        ("1h30m", 5_400_000), ("1d", 86_400_000), ("250ms", 250), ("1y2w", 32_745_600_000), ("0", 0),
    ])
    func durationsAreMilliseconds(text: String, milliseconds: Int64) {
        #expect(DurationText.parse(text) == milliseconds)
    }

    @Test(arguments: ["", "5", "1m1h", "1m1m", "m", "-1m", "1.5m", "300y", "99999999999999999999s", "1 m"])
    func whatIsNoDurationIsRefused(text: String) {
        #expect(DurationText.parse(text) == nil)
    }
}
