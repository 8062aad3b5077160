/// A small drawing of the last hour of one series, or of as much as there is, with its present value. A new one is a row.
struct Spark: Sendable {
    let title: String
    let query: String
    let unit: String

    static let all = [
        Spark(title: "Operations", query: "sum(rate(outrigger_operations_total[5m]))", unit: "per second"),
        Spark(
            title: "Slowest 5\u{A0}%",
            query: "histogram_quantile(0.95, sum by (le) (rate(outrigger_operation_duration_seconds_bucket[5m])))",
            unit: "seconds"),
        Spark(
            title: "Failing operations",
            query: "sum(rate(outrigger_operation_errors_total[5m])) / (sum(rate(outrigger_operations_total[5m])) > 0)",
            unit: "ratio"),
        Spark(title: "Postgres commits", query: "sum(rate(pg_stat_database_xact_commit[5m]))", unit: "per second"),
        Spark(
            title: "Postgres connections",
            query:
                "max(sum by (job, instance, target) (pg_stat_activity_count) / on (job, instance, target) pg_settings_max_connections)",
            unit: "ratio"),
        Spark(
            title: "Postgres hits",
            query: """
                sum(rate(pg_stat_database_blks_hit[5m])) \
                / (sum(rate(pg_stat_database_blks_hit[5m])) + sum(rate(pg_stat_database_blks_read[5m])) > 0)
                """, unit: "ratio"),
        Spark(title: "Redis commands", query: "sum(rate(redis_commands_processed_total[5m]))", unit: "per second"),
        Spark(
            title: "Redis hits",
            query: """
                sum(rate(redis_keyspace_hits_total[5m])) \
                / (sum(rate(redis_keyspace_hits_total[5m])) + sum(rate(redis_keyspace_misses_total[5m])) > 0)
                """, unit: "ratio"),
        Spark(title: "Redis memory", query: "sum(redis_memory_used_bytes)", unit: "bytes"),
        Spark(
            title: "Cache hits",
            query: """
                (sum(rate(outrigger_cache_hits_total[5m])) + sum(rate(outrigger_cache_absent_hits_total[5m]))) \
                / (sum(rate(outrigger_cache_hits_total[5m])) + sum(rate(outrigger_cache_absent_hits_total[5m])) \
                + sum(rate(outrigger_cache_misses_total[5m])) > 0)
                """, unit: "ratio"),
        Spark(
            title: "Saved round trips",
            query: "sum(rate(outrigger_redis_proxy_replies_total{source!=\"redis\"}[5m]))", unit: "per second"),
        Spark(
            title: "Proxy commands", query: "sum(rate(outrigger_redis_proxy_commands_total[5m]))", unit: "per second"),
        Spark(title: "Cache memory", query: "sum(outrigger_cache_resident_bytes)", unit: "bytes"),
        Spark(title: "Waiting for CPU", query: "max(rate(node_pressure_cpu_waiting_seconds_total[5m]))", unit: "ratio"),
        Spark(title: "Waiting for disk", query: "max(rate(node_pressure_io_waiting_seconds_total[5m]))", unit: "ratio"),
        Spark(title: "Score", query: "outrigger_performance_score{component=\"overall\"}", unit: "of 100"),
    ]

    /// Nil where there is nothing to draw.
    func drawn(_ facts: Facts, over time: Duration) -> String? {
        guard let now = facts.number(query) else { return nil }
        let points = facts.points(query, over: time) + [(place: 1, value: now)]
        let axis = Axis(of: points.map(\.value), unit)
        let range = "\(Quantity.text(axis.low, unit)) to \(Quantity.text(axis.high, unit))"
        return """
            <figure>
            <figcaption>\(escape(title)) <b>\(Quantity.text(now, unit))</b></figcaption>
            <svg viewBox="0 0 120 30" preserveAspectRatio="none" role="img" aria-label="\(escape(title)), \(range)"><polyline points="\(path(points, axis))"/></svg>
            <small>\(range)</small>
            </figure>
            """
    }

    /// A lone point is drawn as a short line.
    private func path(_ points: [(place: Double, value: Double)], _ axis: Axis) -> String {
        let shown = points.count == 1 ? [(place: 0.98, value: points[0].value)] + points : points
        return shown.map { place, value in
            let y = 28 - 26 * (value - axis.low) / (axis.high - axis.low)
            return "\((place * 1200).rounded() / 10),\((y * 10).rounded() / 10)"
        }.joined(separator: " ")
    }
}

/// From where to where a drawing reaches: rates, shares and times from 0, everything over a range that shows in the
/// rounded numbers below it, so that what is steady looks steady.
struct Axis: Equatable {
    let low: Double
    let high: Double

    init(of values: [Double], _ unit: String) {
        let least = values.min() ?? 0
        let most = values.max() ?? 0
        guard unit != "of 100" else {
            (low, high) = (0, 100)
            return
        }
        let beginsAtZero = least >= 0 && ["per second", "ratio", "seconds"].contains(unit)
        let bottom = beginsAtZero ? 0 : least
        let narrowest = most == 0 ? (unit == "ratio" ? 0.01 : 1) : abs(most) / 10
        var base = 1.0
        while unit == "bytes", base * 1024 <= abs(most) { base *= 1024 }
        let step = base * Self.rounded(up: max(most - bottom, narrowest) / 4 / base)
        let from = beginsAtZero ? 0 : (bottom / step).rounded(.down) * step
        let to = max((most / step).rounded(.up), (from / step).rounded() + 1) * step
        (low, high) = (from, unit == "ratio" && most <= 1 ? min(to, 1) : to)
    }

    /// The next of 1, 2, 5, 10, 20, …, or the same below one.
    private static func rounded(up value: Double) -> Double {
        guard value.isFinite, value > 1e-12 else { return 1e-12 }
        var unit = 1.0
        while unit * 10 <= value { unit *= 10 }
        while unit > value { unit /= 10 }
        return [1, 2, 5, 10].map { $0 * unit }.first { $0 >= value * (1 - 1e-9) } ?? 10 * unit
    }
}

/// Numbers as people read them.
enum Quantity {
    static func text(_ value: Double, _ unit: String) -> String {
        switch unit {
        case "ratio": return "\(digits(value * 100)) %"
        case "seconds" where value < 1: return "\(digits(value * 1000)) ms"
        case "seconds" where value < 120: return "\(digits(value)) s"
        case "seconds": return "\(digits(value / 60)) min"
        case "bytes": return bytes(value)
        case "per second": return "\(digits(value))/s"
        case "of 100": return digits(value)
        case "up": return value >= 1 ? "up" : "down"
        // "1 alert", where the unit is in the plural.
        default: return "\(digits(value)) \(value == 1 && unit.hasSuffix("s") ? String(unit.dropLast()) : unit)"
        }
    }

    private static func bytes(_ value: Double) -> String {
        var value = value
        for unit in ["B", "KiB", "MiB", "GiB"] {
            if value < 1024 { return "\(digits(value)) \(unit)" }
            value /= 1024
        }
        return "\(digits(value)) TiB"
    }

    /// Three digits that count.
    private static func digits(_ value: Double) -> String {
        let size = abs(value)
        if size >= 100 { return size < 1e15 ? "\(Int(value.rounded()))" : "\(value)" }
        let factor: Double = size >= 10 ? 10 : 100
        let rounded = (value * factor).rounded() / factor
        return rounded == rounded.rounded() ? "\(Int(rounded))" : "\(rounded)"
    }
}
