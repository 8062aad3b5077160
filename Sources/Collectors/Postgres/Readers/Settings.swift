import Databases
import Metrics

extension PostgresCollector {
    /// Its metrics are the server's parameters, so only the server knows their names.
    static let settings = PostgresCollector("settings", on: true, serves: []) { SettingsReader() }
}

/// Parameters of the types bool, integer and real in base units. They are read again only after the server has reloaded
/// its configuration, which it tells by the time of the last reload.
final class SettingsReader: PostgresReader {
    private var families: [Family] = []
    private var loaded: String?
    private var session = 0

    func questions(_ context: PostgresContext) -> [PostgresQuestion] {
        // What a role or a database sets for new sessions is not part of a reload.
        if session != context.session { loaded = nil }
        // What we set for our own session is not what an operator wants to see.
        let sql = """
            SELECT name, CASE source WHEN 'session' THEN reset_val ELSE setting END, unit, vartype, \
            pg_catalog.pg_conf_load_time() FROM pg_catalog.pg_settings WHERE pg_catalog.pg_conf_load_time() IS DISTINCT FROM $1::pg_catalog.timestamptz \
            AND vartype IN ('bool', 'integer', 'real') \
            AND name NOT IN ('sync_commit_cancel_wait', 'google_dataplex.max_messages')
            """
        return [PostgresQuestion(PostgresQuery(name: "settings", sql: sql, parameters: [loaded]))]
    }

    func read(_ answers: [Result<PostgresRows, PostgresError>], _ context: PostgresContext) -> PostgresReading {
        switch answers.first {
        case .failure(let error): return PostgresReading(error: error)
        case nil: return PostgresReading()
        case .success(let rows):
            if rows.count > 0 { learn(rows, context) }
            return PostgresReading(families)
        }
    }

    private func learn(_ rows: PostgresRows, _ context: PostgresContext) {
        session = context.session
        loaded = rows.text(0, 4)
        let labels = Labels(context.commonLabels)
        families = (0..<rows.count).compactMap { row in
            guard let name = rows.text(row, 0), let setting = rows.text(row, 1), let kind = rows.text(row, 3),
                let parameter = ServerParameter(name, setting: setting, unit: rows.text(row, 2) ?? "", kind: kind)
            else { return nil }
            return Family(.gauge(parameter.metricName, parameter.help), parameter.value, labels)
        }
    }
}

/// A row of `pg_settings` as a number in its base unit.
struct ServerParameter {
    let metricName: String
    let help: String
    let value: Double

    /// Nil for what is no number or has a unit that nobody knows.
    init?(_ name: String, setting: String, unit: String, kind: String) {
        var metric = "pg_settings_" + String(name.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" })
        var help = "Server Parameter: \(name)"
        if kind == "bool" {
            value = setting == "on" ? 1 : 0
        } else {
            guard let number = Double(ServerParameter.withoutUnit(setting)),
                let (factor, base) = ServerParameter.factor(of: unit)
            else { return nil }
            // -1 means "off" or "take another parameter", whatever the unit is.
            value = number == -1 ? -1 : number * factor
            if let base {
                metric += "_\(base)"
                help += " [Units converted to \(base).]"
            }
        }
        metricName = metric
        self.help = help
    }

    /// Aurora writes the unit behind the number too.
    private static func withoutUnit(_ setting: String) -> Substring {
        setting.prefix { $0.isNumber || "+-.eE".contains($0) }
    }

    /// The units of Postgres' documentation, section 20.1, and blocks such as `8kB`.
    private static func factor(of unit: String) -> (factor: Double, base: String?)? {
        if unit.isEmpty { return (1, nil) }
        let digits = unit.prefix(while: \.isNumber)
        let count = digits.isEmpty ? 1 : Double(digits) ?? 1
        switch unit.dropFirst(digits.count) {
        case "us": return (count / 1_000_000, "seconds")
        case "ms": return (count / 1000, "seconds")
        case "s": return (count, "seconds")
        case "min": return (count * 60, "seconds")
        case "h": return (count * 3600, "seconds")
        case "d": return (count * 86_400, "seconds")
        case "B": return (count, "bytes")
        case "kB": return (count * 1024, "bytes")
        case "MB": return (count * 1_048_576, "bytes")
        case "GB": return (count * 1_073_741_824, "bytes")
        case "TB": return (count * 1_099_511_627_776, "bytes")
        default: return nil
        }
    }
}
