import Metrics
import PromQL
import Testing

/// Scripts in the test language, in this package's own words.
@Suite struct EngineTests {
    private func expectAllPassed(_ script: String) throws {
        let cases = try PromQLTest().run(script)
        #expect(!cases.isEmpty)
        for one in cases { #expect(one.outcome == .passed, "line \(one.line): \(one.expression)") }
    }

    @Test func ratesStretchToTheEdgesOfTheWindowButNotTooFar() throws {
        try expectAllPassed(
            """
            load 1m
              even_total  0+60x10
              late_total  _ _ _ _ _ _ 600 660 720
              young_total _ _ _ _ _ _ _ _ 6 66 126
              reset_total 100 160 10 70 130
              lonely_total _ _ 5

            # The samples at 6m to 10m rise 240 in 240 s; a minute is missing at the open left edge.
            eval instant at 10m increase(even_total[5m])
              {} 300

            # Begins 2 minutes after the window does, so half a distance is added there, and nothing at the end.
            eval instant at 8m increase(late_total[4m])
              {} 150

            # A counter that was 6 when it was first seen did not begin half a minute earlier at -24.
            eval instant at 10m increase(young_total[5m])
              {} 126

            # 60 up, a restart to 10 and 120 up are 190 over 240 s, stretched to 300 s.
            eval instant at 4m rate(reset_total[5m])
              {} 0.7916666666666666

            # One sample has no slope.
            eval instant at 2m rate(lonely_total[5m])

            # A sample right on the left edge does not count.
            eval instant at 5m count_over_time(even_total[5m])
              {} 5
            """)
    }

    @Test func aSeriesEndsAtItsMarkOrAfterTheLookback() throws {
        try expectAllPassed(
            """
            load 1m
              ended  1 2 stale
              silent 1 2

            eval instant at 1m ended
              ended 2

            eval instant at 2m ended

            eval instant at 5m59s silent
              silent 2

            eval instant at 6m silent

            eval instant at 6m last_over_time(ended[10m])
              ended 2

            eval range from 0 to 3m step 1m ended or vector(0)
              ended 1 2 _ _
              {} _ _ 0 0

            eval instant at 2m absent(ended{a="b",c=~"d",e="f",e="g"})
              {a="b"} 1
            """)
    }

    @Test func matchingErrorsTellWhatIsAmbiguous() throws {
        try expectAllPassed(
            """
            load 1m
              used{host="a",disk="1"} 10
              used{host="a",disk="2"} 30
              size{host="a"} 100
              spare{host="a"} 5
              note{host="a",owner="ann"} 1

            eval instant at 0 used / on(host) size
              expect fail msg: multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)

            eval instant at 0 size / on(host) used
              expect fail msg: found duplicate series for the match group {host="a"} on the right hand-side of the operation: [{__name__="used", disk="1", host="a"}, {__name__="used", disk="2", host="a"}];many-to-many matching not allowed: matching labels must be unique on one side

            eval instant at 0 used / on(host) group_left size
              {host="a",disk="1"} 0.1
              {host="a",disk="2"} 0.3

            eval instant at 0 used * on(host) group_left(owner) note
              {host="a",disk="1",owner="ann"} 10
              {host="a",disk="2",owner="ann"} 30

            eval instant at 0 size > on(host) group_right used
              used{host="a",disk="1"} 100
              used{host="a",disk="2"} 100

            eval instant at 0 used * on(host) group_left(disk) size
              expect fail msg: multiple matches for labels: grouping labels must ensure unique matches

            eval instant at 0 -{__name__=~"size|spare"}
              expect fail msg: vector cannot contain metrics with the same labelset
            """)
    }

    @Test func namesGoWhereTheyNoLongerFit() throws {
        try expectAllPassed(
            """
            load 1m
              a{x="1"} 4
              b{x="1"} 2

            eval instant at 0 a > b
              a{x="1"} 4

            eval instant at 0 a > bool b
              {x="1"} 1

            eval instant at 0 label_replace(abs(a), "was", "[$1]", "__name__", "(.*)")
              {x="1",was="[]"} 4

            eval instant at 0 sum by (__name__, x) (-a or b)
              {x="1"} -4

            eval instant at 0 sum by (__name__) (a) or b
              a 4
              b{x="1"} 2

            eval instant at 0 sum_over_time((-a)[1m:30s])
              {x="1"} -4

            eval instant at 0 count({__name__=~"a|b"})
              {} 2
            """)
    }

    @Test func calendarsKnowLeapYears() throws {
        try expectAllPassed(
            """
            # 29 February 2024, 23:59:59, a Thursday; and 1 January 1970.
            eval instant at 1709251199 day_of_month()
              {} 29

            eval instant at 1709251199 days_in_month() + day_of_year() * 100 + month() * 100000 + year() * 10000000
              {} 20240206029

            eval instant at 1709251199 day_of_week() + hour() * 10 + minute() * 1000
              {} 59234

            eval instant at 0 year(vector(-1))
              {} 1969

            eval instant at 0 day_of_week(vector(-86400))
              {} 3
            """)
    }

    @Test func classicHistogramsAreInterpolated() throws {
        try expectAllPassed(
            """
            load 1m
              took_bucket{path="/",le="0.1"} 10
              took_bucket{path="/",le="1"} 30
              took_bucket{path="/",le="+Inf"} 40
              took_bucket{path="/open",le="1"} 5

            eval instant at 0 histogram_quantile(0.5, took_bucket)
              {path="/"} 0.55
              {path="/open"} NaN

            eval instant at 0 histogram_quantile(0.9, took_bucket{path="/"})
              {path="/"} 1

            eval instant at 0 histogram_fraction(0.1, 1, took_bucket{path="/"})
              {path="/"} 0.5

            eval instant at 0 histogram_quantile(1.5, took_bucket{path="/"})
              expect warn msg: PromQL warning: quantile value should be between 0 and 1, got 1.5 (1:20)
              {path="/"} +Inf
            """)
    }

    @Test func aPreparedQuerySeesSeriesComeAndGo() throws {
        let query = try PreparedQuery(
            try Query("sum by (job) (rate(x_total[5m]) * on(job) group_left(team) owner) > 0"))
        func source(_ jobs: [String]) -> MemorySource {
            MemorySource(
                jobs.flatMap { job in
                    [
                        MemorySource.MemorySeries(
                            labels: Labels(["__name__": "x_total", "job": job]),
                            points: [Point(time: 0, value: 0), Point(time: 300_000, value: 300)]),
                        MemorySource.MemorySeries(
                            labels: Labels(["__name__": "owner", "job": job, "team": "t-\(job)"]),
                            points: [Point(time: 290_000, value: 2)]),
                    ]
                })
        }
        for jobs in [["a"], ["a", "b"], ["b"], ["c", "b", "a"], [], ["a", "c"]] {
            guard case .vector(let samples) = try query.instant(at: 299_000, source: source(jobs)).value else { return }
            #expect(samples.isEmpty)
            guard case .vector(let later) = try query.instant(at: 300_000, source: source(jobs)).value else { return }
            #expect(later.isEmpty)
            guard
                case .matrix(let series) = try query.range(
                    from: 295_000, to: 305_000, step: 5000, source: source(jobs)
                ).value
            else { return }
            #expect(series.isEmpty)
        }
        let sums = try PreparedQuery(try Query("sum by (job) (owner * 2)"))
        for jobs in [["a"], ["a", "b"], ["b"], ["c", "b", "a"], [], ["a", "c"]] {
            guard case .vector(let samples) = try sums.instant(at: 300_000, source: source(jobs)).value else { return }
            #expect(Set(samples.map { $0.labels["job"] ?? "" }) == Set(jobs))
            #expect(samples.allSatisfy { $0.value == 4 })
        }
    }
}
