import Databases
import Metrics

/// `SHOW CLIENTS`, counted by whose and in which state they are.
enum PgBouncerClients {
    static let command = "CLIENTS"
    static let collector = "pgbouncer_clients"
    static let connections = Metric.gauge(
        "pgbouncer_client_connections", "Number of client connections by database, user, application name and state")
    static let labelNames = ["database", "user", "application_name", "state"]

    /// Clients name their applications themselves, so there may be as many names as clients; those beyond are counted
    /// together, as `other`.
    static let seriesLimit = 1000

    static func families(_ rows: PostgresRows, _ base: Labels, limit: Int = seriesLimit) -> [Family] {
        let columns = labelNames.map { rows.column($0) }
        // Names of applications came with version 1.18.
        guard columns[0] != nil, columns[1] != nil, columns[3] != nil else { return [] }
        var counts: [[String]: Double] = [:]
        for row in 0..<rows.count {
            var values = columns.map { column in column.flatMap { rows.text(row, $0) } ?? "" }
            if counts[values] == nil, counts.count >= limit { values[2] = "other" }
            if counts[values] == nil, counts.count >= 2 * limit { values = labelNames.map { _ in "other" } }
            counts[values, default: 0] += 1
        }
        var family = Family(connections)
        for (values, count) in counts.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
            family.samples.append(Sample(base.adding(zip(labelNames, values).map { Label($0, $1) }), count))
        }
        return [family]
    }
}
