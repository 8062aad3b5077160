import Databases
import Metrics

/// Asks for the columns of a table and serves them.
final class TableReader: PostgresReader {
    private let name: String
    private let table: PostgresTable
    private var plan: Plan?

    init(name: String, _ table: PostgresTable) {
        self.name = name
        self.table = table
    }

    func questions(_ context: PostgresContext) -> [PostgresQuestion] {
        let plan = plan(for: context)
        return plan.sql.map { [PostgresQuestion(PostgresQuery(name: plan.name, sql: $0))] } ?? []
    }

    func read(_ answers: [Result<PostgresRows, PostgresError>], _ context: PostgresContext) -> PostgresReading {
        guard let answer = answers.first else { return PostgresReading() }
        switch answer {
        case .failure(let error): return PostgresReading(error: error)
        case .success(let rows): return PostgresReading(families(of: rows, context))
        }
    }

    /// The labels of the newest answer's rows, for each kind of series.
    private(set) var labelsOfRows: [[Labels]] = []

    func families(of rows: PostgresRows, _ context: PostgresContext) -> [Family] {
        var plan = plan(for: context)
        let kept = plan.keptRows(rows, context)
        labelsOfRows.removeAll(keepingCapacity: true)
        var families: [Family] = []
        for index in plan.series.indices {
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
        if let plan, plan.fits(context) { return plan }
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
    private let hasSeveralDatabases: Bool
    /// Columns whose null drops the row.
    private var needed: [Int] = []

    init(name: String, _ table: PostgresTable, _ context: PostgresContext) {
        major = context.major
        hasSeveralDatabases = context.hasSeveralDatabases
        self.name = "\(name)_\(major)\(hasSeveralDatabases ? "_several" : "")"
        var columns: [String] = []
        func column(_ sql: String) -> Int {
            if let known = columns.firstIndex(of: sql) { return known }
            columns.append(sql)
            return columns.count - 1
        }
        for kind in table.series where !kind.isOnlyAlias || context.hasAliases {
            let labels = kind.labels.filter { !$0.isOptional || context.hasSeveralDatabases }
            var laidOut = SeriesPlan(
                labels: labels, labelColumns: labels.map { column($0.sql) }, hasServerLabel: kind.hasServerLabel)
            needed += labels.filter(\.isNeeded).map { column($0.sql) }
            for value in kind.values where !value.isOnlyAlias || context.hasAliases {
                guard let sql = value.sql[context.major] else { continue }
                laidOut.values.append(ValuePlan(value: value, column: column(sql)))
                if case .dropsRow = value.whenNull { needed.append(column(sql)) }
            }
            series.append(laidOut)
        }
        sql = table.source[context.major].map { "SELECT \(columns.joined(separator: ", ")) FROM \($0)" }
    }

    func fits(_ context: PostgresContext) -> Bool {
        major == context.major && hasSeveralDatabases == context.hasSeveralDatabases
    }

    /// Nil for all.
    func keptRows(_ rows: PostgresRows, _ context: PostgresContext) -> [Int] {
        guard !needed.isEmpty, !context.hasAliases else { return Array(0..<rows.count) }
        return (0..<rows.count).filter { row in !needed.contains { rows.isNull(row, $0) } }
    }
}

private struct SeriesPlan {
    let labels: [PostgresLabel]
    let labelColumns: [Int]
    let hasServerLabel: Bool
    var values: [ValuePlan] = []
    private var memory = LabelMemory()

    init(labels: [PostgresLabel], labelColumns: [Int], hasServerLabel: Bool) {
        self.labels = labels
        self.labelColumns = labelColumns
        self.hasServerLabel = hasServerLabel
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
            case .omitted, .dropsRow:
                if context.hasAliases { samples.append(Sample(labels[place], .nan)) }
            }
        }
        return Family(value.metric, samples)
    }
}
