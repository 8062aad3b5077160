import Metrics
import Testing

@Suite struct ExpositionTests {
    let snapshot = Snapshot(families: [
        Family(.counter("demo_requests_total", "Requests\nserved \\ \"all\"."), 3),
        Family(.gauge("demo_up", "Up."), 1, Labels(["name": "a\"b\\c\nd"])),
        Family(.counter("pg_stat_database_xact_commit", "Commits."), 1_000_000),
        Family(.gauge("demo_up", "Up."), 0, Labels(["name": "other"])),
        Family(.gauge("demo_up", "Up."), 7, Labels(["name": "other"])),
    ])

    @Test func textHasHelpAndTypeOncePerFamilyAndDropsDuplicates() {
        let (page, duplicates) = Exposition.encode(snapshot, as: .text)
        #expect(
            String(decoding: page, as: UTF8.self) == #"""
                # HELP demo_requests_total Requests\nserved \\ "all".
                # TYPE demo_requests_total counter
                demo_requests_total 3
                # HELP demo_up Up.
                # TYPE demo_up gauge
                demo_up{name="a\"b\\c\nd"} 1
                demo_up{name="other"} 0
                # HELP pg_stat_database_xact_commit Commits.
                # TYPE pg_stat_database_xact_commit counter
                pg_stat_database_xact_commit 1e+06

                """#)
        #expect(duplicates == 1)
    }

    @Test func openMetricsKeepsBorrowedNamesByCallingThemUnknown() {
        let (page, _) = Exposition.encode(snapshot, as: .openMetrics)
        let text = String(decoding: page, as: UTF8.self)
        #expect(text.contains("# TYPE demo_requests counter\ndemo_requests_total 3\n"))
        #expect(text.contains("# TYPE pg_stat_database_xact_commit unknown\npg_stat_database_xact_commit 1e+06\n"))
        #expect(text.hasSuffix("# EOF\n"))
    }

    @Test func aSummaryThatCountsInPercentIsUnknownToOpenMetrics() {
        let summary = Family(
            Metric("demo_usec", .summary, "Times."),
            [Sample(Labels(["quantile": "99.9"]), 5), Sample(.none, 7, .sum), Sample(.none, 2, .count)])
        let (page, _) = Exposition.encode(Snapshot(families: [summary]), as: .openMetrics)
        #expect(
            String(decoding: page, as: UTF8.self) == """
                # HELP demo_usec Times.
                # TYPE demo_usec unknown
                demo_usec{quantile="99.9"} 5
                # HELP demo_usec_sum Times.
                # TYPE demo_usec_sum unknown
                demo_usec_sum 7
                # HELP demo_usec_count Times.
                # TYPE demo_usec_count unknown
                demo_usec_count 2
                # EOF

                """)
    }
}
