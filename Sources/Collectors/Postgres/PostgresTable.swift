import Databases
import Metrics

/// A collector as data: a source of rows, and for each kind of series its labels and the columns it shows.
struct PostgresTable: Sendable {
    /// `WITH …`, or nothing.
    let preface: String
    /// What follows FROM.
    let source: PostgresSQL
    let series: [PostgresSeries]
    /// Collectors with the same source, whose columns one statement asks for together.
    let companions: PostgresCompanions?
    /// The extension whose schema the source is in.
    let fromExtension: String?
    /// Columns that are asked for, too, and become no series.
    let extras: [String]

    init(
        with preface: String = "", from source: PostgresSQL, companions: PostgresCompanions? = nil,
        fromExtension: String? = nil, extras: [String] = [], _ series: PostgresSeries...
    ) {
        self.preface = preface
        self.source = source
        self.series = series
        self.companions = companions
        self.fromExtension = fromExtension
        self.extras = extras
    }

    var serves: [PostgresCollector.Served] {
        series.filter { !$0.isOnlyAlias }.flatMap { series in
            series.values.filter { !$0.isOnlyAlias }.map {
                let server = series.hasServerLabel ? ["server"] : []
                return .init(metric: $0.metric, labels: series.labels.filter { !$0.isOptional }.map(\.name) + server)
            }
        }
    }
}

/// Collectors whose rows are the same, so that the server need not find them twice.
struct PostgresCompanions: Sendable {
    /// Of the statement.
    let name: String
    /// Names of the collectors, with their series.
    let members: [(collector: String, series: [PostgresSeries])]
}

/// Series that share their labels.
struct PostgresSeries: Sendable {
    let labels: [PostgresLabel]
    let values: [PostgresValue]
    /// Whether `server` is there even when nobody asked for the old names.
    let hasServerLabel: Bool
    /// Whether they are only there for who asked for the old names.
    let isOnlyAlias: Bool

    init(
        _ labels: [PostgresLabel], hasServerLabel: Bool = false, onlyAlias: Bool = false, _ values: [PostgresValue]
    ) {
        self.labels = labels
        self.values = values
        self.hasServerLabel = hasServerLabel
        isOnlyAlias = onlyAlias
    }

    /// One series for each value.
    init(_ values: [PostgresValue]) { self.init([], values) }
}

/// A column that becomes a label.
struct PostgresLabel: Sendable {
    let name: String
    let sql: String
    let whenNull: String
    /// Only there when several databases are watched.
    let isOptional: Bool
    /// Whether a null drops the row, unless the old names are on.
    let isNeeded: Bool

    /// - Parameter sql: the expression; without one, the column of the label's name.
    init(
        _ name: String, _ sql: String? = nil, whenNull: String = "", optional: Bool = false, needed: Bool = false
    ) {
        self.name = name
        self.sql = sql ?? name
        self.whenNull = whenNull
        isOptional = optional
        isNeeded = needed
    }
}

/// A column that becomes the value of a metric.
struct PostgresValue: Sendable {
    enum WhenNull: Sendable {
        case zero
        /// No series; with the old names on, the NaN that postgres_exporter 0.11 served.
        case omitted
        /// No series.
        case absent
        /// Zero; with the old names on, NaN.
        case zeroOrNaN
        /// None of the row's series of this kind.
        case dropsRow
        /// The same; with the old names on, the NaN.
        case dropsRowOrNaN
    }

    enum Reading: Sendable {
        case plain
        /// Milliseconds that are served as seconds.
        case milliseconds
        /// Seconds since 1970 without their fraction, as the exporters in Go serve times.
        case wholeSeconds
    }

    let metric: Metric
    let sql: PostgresSQL
    let whenNull: WhenNull
    let reading: Reading
    let isOnlyAlias: Bool

    init(
        _ metric: Metric, _ sql: PostgresSQL, whenNull: WhenNull = .zero, _ reading: Reading = .plain,
        onlyAlias: Bool = false
    ) {
        self.metric = metric
        self.sql = sql
        self.whenNull = whenNull
        self.reading = reading
        isOnlyAlias = onlyAlias
    }

    func value(_ number: Double) -> Double {
        switch reading {
        case .plain: number
        case .milliseconds: number / 1000
        case .wholeSeconds: number.rounded(.down)
        }
    }
}

/// SQL that changed from one major version to another.
struct PostgresSQL: Sendable, ExpressibleByStringLiteral, ExpressibleByStringInterpolation {
    private let variants: [(since: Int, sql: String?)]

    /// What no supported version has any more.
    static let never = PostgresSQL([(0, nil)])

    init(stringLiteral sql: String) { variants = [(0, sql)] }

    private init(_ variants: [(since: Int, sql: String?)]) { self.variants = variants }

    /// The same, but from this version on.
    func since(_ major: Int) -> PostgresSQL { PostgresSQL([(0, nil), (major, self[.max])]) }

    /// Another text from this version on; nil for none.
    func but(since major: Int, _ sql: String?) -> PostgresSQL { PostgresSQL(variants + [(major, sql)]) }

    /// Nil where this version has no such thing.
    subscript(major: Int) -> String? { variants.last { $0.since <= major }?.sql }
}
