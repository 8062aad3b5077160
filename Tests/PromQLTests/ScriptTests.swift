import PromQL
import Testing

@Suite struct ScriptTests {
    @Test func aReportCountsCasesAndNamesTheReasons() throws {
        var report = ScriptReport()
        try report.add(
            """
            load 1m
              hits{host="a"} 1+2x3 _ stale
              native {{count:1 sum:2}}

            eval instant at 3m hits
              hits{host="a"} 7

            eval instant at 3m hits * 2
              {host="a"} 15

            eval instant at 3m native

            eval instant at 3m limitk(1, hits)

            eval instant at 3m hits +
              expect fail regex: end of input

            eval range from 2m to 5m step 1m hits
              hits{host="a"} 5 7 7 _
            """, named: "mine.test", test: PromQLTest())
        #expect((report.passed, report.failed, report.skipped) == (3, 1, 2))
        #expect(
            report.description == """
                FAIL mine.test:8: hits * 2: {host="a"}: expected 15.0, got 14.0
                SKIP mine.test:11: native: selects native histograms
                SKIP mine.test:13: limitk(1, hits): not supported here: the aggregation limitk is experimental
                3 passed, 1 failed, 2 skipped
                """)
    }

    @Test func smoothingGoesByItsOldNameAsWell() throws {
        var report = ScriptReport()
        try report.add(
            """
            load 1m
              hits 1 2 4

            eval instant at 2m double_exponential_smoothing(hits[5m], 0.5, 0.5)
              {} 3.5

            eval instant at 2m holt_winters(hits[5m], 0.5, 0.5)
              {} 3.5

            eval instant at 0m holt_winters(hits[5m], 0.5, 0.5)

            eval instant at 2m holt_winters(hits[5m], 0, 0.5)
              expect fail regex: invalid smoothing factor

            eval instant at 2m holt_winters(hits[5m], 0.5, 1)
              expect fail regex: invalid trend factor
            """, named: "smoothing.test", test: PromQLTest())
        #expect((report.passed, report.failed, report.skipped) == (5, 0, 0), "\(report.description)")
    }

    @Test(arguments: [
        ("loud 1m", "line 1: unknown command loud"), ("load often", "line 1: load needs a step"),
        ("load 1m\n x 1x", "line 2: not a value: 1x"),
        (
            "load 1m\n x{ 1",
            "line 2: 1:4: parse error: unexpected \"1\" in label matching, expected identifier or \"}\""
        ),
        ("\n\neval once up", "line 3: neither eval instant nor eval range: eval once up"),
        ("eval instant at 0 up\n expect wonders", "line 2: unknown expectation wonders"),
    ])
    func aScriptThatCannotBeReadSaysWhere(script: String, message: String) {
        let error = #expect(throws: ScriptProblem.self) { try PromQLTest().run(script) }
        #expect(error?.description == message)
    }
}
