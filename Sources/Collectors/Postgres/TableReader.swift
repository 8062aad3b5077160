import Databases
import Metrics

/// Asks for the columns of a table and serves them.
final class TableReader: PostgresReader {
    private let name: String
    private let table: PostgresTable
    private let isRanked: Bool
    private var plan: Plan?

    /// - Parameter isRanked: whether its rows are tables, of which only so many are shown.
    init(name: String, _ table: PostgresTable, isRanked: Bool = false) {
        self.name = name
        self.table = table
        self.isRanked = isRanked
    }

    func questions(_ context: PostgresContext) -> [PostgresQuestion] {
        let plan = plan(for: context)
        return plan.sql.map { [PostgresQuestion(PostgresQuery(name: plan.name, sql: $0))] } ?? []
    }

    func weigh(_ answers: [Result<PostgresRows, PostgresError>], _ context: PostgresContext) {
        if isRanked, case .success(let rows)? = answers.first { context.tables.weigh(rows) }
    }

    func read(_ answers: [Result<PostgresRows, PostgresError>], _ context: PostgresContext) -> PostgresReading {
        guard let answer = answers.first else {
            guard let name = table.fromExtension, context.prefix(of: name) == nil else { return PostgresReading() }
            return PostgresReading(error: PostgresContext.missing(extension: name))
        }
        switch answer {
        case .failure(let error): return PostgresReading(error: error)
        case .success(let rows): return PostgresReading(families(of: rows, context))
        }
    }

    /// The labels of the newest answer's rows, for each kind of series.
    private(set) var labelsOfRows: [[Labels]] = []

    func families(of rows: PostgresRows, _ context: PostgresContext) -> [Family] {
        var plan = plan(for: context)
        labelsOfRows.removeAll(keepingCapacity: true)
        let shown = isRanked ? context.tables.shown : nil
        var families: [Family] = []
        for index in plan.series.indices {
            var kept = plan.series[index].keptRows(rows)
            if let shown { kept.removeAll { !shown[$0] } }
            let labels = plan.series[index].labels(of: rows, kept, context)
            for value in plan.series[index].values {
                families.append(value.family(rows, kept, labels, context))
            }
            labelsOfRows.append(labels)
        }
        self.plan = plan
        return families
    }

    private func plan(for context: PostgresContext) -> Plan {
        if let plan, plan.fits(table, context) { return plan }
        let fresh = Plan(name: name, table, context)
        plan = fresh
        return fresh
    }
}

/// A table laid out for one version and one set of options: which column of the answer is what.
private struct Plan {
    let name: String
    /// Nil when this version has nothing to ask.
    let sql: String?
    var series: [SeriesPlan] = []
    private let major: Int
    /// Of the extension that it reads from.
    private let prefix: String

    init(name: String, _ table: PostgresTable, _ context: PostgresContext) {
        major = context.major
        let found = table.fromExtension.map { context.prefix(of: $0) } ?? ""
        prefix = found ?? ""
        var columns = Columns()
        var name = name
        if let companions = table.companions {
            name = companions.name
            // The same columns in the same order, whichever of the companions asks.
            for member in companions.members where context.configuration.collectors.contains(member.collector) {
                _ = member.series.compactMap { SeriesPlan($0, &columns, context) }
            }
        }
        series = table.series.compactMap { SeriesPlan($0, &columns, context) }
        for extra in table.extras { _ = columns.place(of: extra) }
        self.name = "\(name)_\(major)\(prefix)"
        let source = found.flatMap { prefix in table.source[context.major].map { prefix + $0 } }
        sql = source.map { "\(table.preface) SELECT \(columns.list.joined(separator: ", ")) FROM \($0)" }
    }

    func fits(_ table: PostgresTable, _ context: PostgresContext) -> Bool {
        major == context.major && prefix == table.fromExtension.map { context.prefix(of: $0) ?? "" } ?? ""
    }
}

/// Expressions of a statement, each once.
private struct Columns {
    private(set) var list: [String] = []
    private var places: [String: Int] = [:]

    mutating func place(of sql: String) -> Int {
        if let known = places[sql] { return known }
        places[sql] = list.count
        list.append(sql)
        return list.count - 1
    }
}

private struct SeriesPlan {
    private let labels: [PostgresLabel]
    private let labelColumns: [Int]
    private let hasServerLabel: Bool
    private(set) var values: [ValuePlan] = []
    /// Columns whose null drops the row.
    private var needed: [Int] = []
    private var memory = LabelMemory()

    /// Nil for what is not served with these options.
    init?(_ kind: PostgresSeries, _ columns: inout Columns, _ context: PostgresContext) {
        if kind.isOnlyAlias && !context.hasAliases { return nil }
        labels = kind.labels.filter { !$0.isOptional || context.hasSeveralDatabases }
        hasServerLabel = kind.hasServerLabel
        var places: [Int] = []
        for label in labels {
            places.append(columns.place(of: label.sql))
            if label.isNeeded && !context.hasAliases { needed.append(columns.place(of: label.sql)) }
        }
        labelColumns = places
        for value in kind.values where !value.isOnlyAlias || context.hasAliases {
            guard let sql = value.sql[context.major] else { continue }
            let column = columns.place(of: sql)
            values.append(ValuePlan(value: value, column: column))
            switch value.whenNull {
            case .dropsRow: needed.append(column)
            case .dropsRowOrNaN: if !context.hasAliases { needed.append(column) }
            default: break
            }
        }
    }

    func keptRows(_ rows: PostgresRows) -> [Int] {
        guard !needed.isEmpty else { return Array(0..<rows.count) }
        return (0..<rows.count).filter { row in !needed.contains { rows.isNull(row, $0) } }
    }

    mutating func labels(of rows: PostgresRows, _ kept: [Int], _ context: PostgresContext) -> [Labels] {
        let (labels, columns, hasServerLabel) = (labels, labelColumns, hasServerLabel)
        return memory.labels(rows, kept, columns: columns) { row in
            var pairs = context.commonLabels
            if hasServerLabel { pairs.append(Label("server", context.server)) }
            for (label, column) in zip(labels, columns) {
                pairs.append(Label(label.name, rows.text(row, column) ?? label.whenNull))
            }
            return Labels(pairs)
        }
    }
}

private struct ValuePlan {
    let value: PostgresValue
    let column: Int

    func family(_ rows: PostgresRows, _ kept: [Int], _ labels: [Labels], _ context: PostgresContext) -> Family {
        var samples: [Sample] = []
        samples.reserveCapacity(kept.count)
        for (place, row) in kept.enumerated() {
            if let number = rows.number(row, column) {
                samples.append(Sample(labels[place], value.value(number)))
                continue
            }
            switch value.whenNull {
            case .absent: break
            case .zero: samples.append(Sample(labels[place], 0))
            case .zeroOrNaN: samples.append(Sample(labels[place], context.hasAliases ? .nan : 0))
            case .omitted, .dropsRow, .dropsRowOrNaN:
                if context.hasAliases { samples.append(Sample(labels[place], .nan)) }
            }
        }
        return Family(value.metric, samples)
    }
}
