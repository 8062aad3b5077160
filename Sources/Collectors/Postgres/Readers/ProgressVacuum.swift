import Databases
import Metrics

extension PostgresCollector {
    static let progressVacuum = PostgresCollector(
        "stat_progress_vacuum", on: true,
        serves: [.init(metric: ProgressVacuumReader.phase, labels: ["datname", "relname", "phase"])]
            + ProgressVacuumReader.numbers.serves
    ) { ProgressVacuumReader() }
}

/// Vacuums under way. The phase is one series for each phase there is, of which one is 1.
///
/// From version 17 on the server counts bytes where it counted dead tuples; like their origin, the names stay.
final class ProgressVacuumReader: PostgresReader {
    static let phase = Metric.gauge(
        "pg_stat_progress_vacuum_phase",
        "Current vacuum phase (1 = active, 0 = inactive). Label 'phase' is human-readable.")
    private static let phases = [
        "initializing", "scanning heap", "vacuuming indexes", "vacuuming heap", "cleaning up indexes",
        "truncating heap", "performing final cleanup",
    ]
    private static let phaseNumber = Metric.gauge("pg_stat_progress_vacuum_phase_number", "The phase's number.")

    /// A table of another database has no name here, so its number stands for it.
    static let numbers = PostgresTable(
        from:
            "pg_catalog.pg_stat_get_progress_info('VACUUM') AS s LEFT JOIN pg_catalog.pg_database d ON d.oid = s.datid",
        PostgresSeries(
            [
                PostgresLabel("datname", "d.datname", whenNull: "unknown"),
                PostgresLabel(
                    "relname",
                    // As its origin writes it, which looks names up in `public` too.
                    """
                    coalesce(CASE WHEN d.datname = pg_catalog.current_database() THEN (SELECT \
                    CASE WHEN n.nspname IN ('public', 'pg_catalog') THEN '' \
                    ELSE pg_catalog.quote_ident(n.nspname) || '.' END || pg_catalog.quote_ident(c.relname) \
                    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                    WHERE c.oid = s.relid) END, s.relid::pg_catalog.text)
                    """,
                    whenNull: "unknown"),
            ],
            [
                number("heap_blks", "Total number of heap blocks in the table being vacuumed.", "s.param2"),
                number("heap_blks_scanned", "Number of heap blocks scanned so far.", "s.param3"),
                number("heap_blks_vacuumed", "Number of heap blocks vacuumed so far.", "s.param4"),
                number("index_vacuums", "Number of completed index vacuum cycles.", "s.param5"),
                number(
                    "max_dead_tuples", "Maximum number of dead tuples that can be stored before cleanup is performed.",
                    "s.param6"),
                number("num_dead_tuples", "Current number of dead tuples found so far.", "s.param7"),
            ]))

    private static func number(_ name: String, _ help: String, _ sql: PostgresSQL) -> PostgresValue {
        PostgresValue(.gauge("pg_stat_progress_vacuum_\(name)", help), sql)
    }

    private let table = TableReader(
        name: "stat_progress_vacuum",
        PostgresTable(
            from: numbers.source,
            PostgresSeries(numbers.series[0].labels, numbers.series[0].values + [.init(phaseNumber, "s.param1")])))

    func questions(_ context: PostgresContext) -> [PostgresQuestion] { table.questions(context) }

    func read(_ answers: [Result<PostgresRows, PostgresError>], _ context: PostgresContext) -> PostgresReading {
        var reading = table.read(answers, context)
        guard let current = reading.families.popLast() else { return reading }
        var family = Family(ProgressVacuumReader.phase)
        for sample in current.samples {
            for (number, name) in ProgressVacuumReader.phases.enumerated() {
                let labels = sample.labels.adding([Label("phase", name)])
                family.samples.append(Sample(labels, sample.value == Double(number) ? 1 : 0))
            }
        }
        reading.families.insert(family, at: 0)
        return reading
    }
}
