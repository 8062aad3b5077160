import Databases

/// Which tables of a target have series when there are more of them than its limit: the largest, in whichever database
/// they are. A table has all of its series or none.
final class TableRanking {
    private let limit: Int
    private var shares: [TableShare] = []
    /// A table of this size is shown while `ties` lasts, a larger one always.
    private var cut: (size: Double, ties: Int)?

    /// - Parameter limit: tables with series, in all databases together.
    init(limit: Int) { self.limit = max(1, limit) }

    func share() -> TableShare {
        let share = TableShare(self)
        shares.append(share)
        return share
    }

    func forget(_ share: TableShare) {
        shares.removeAll { $0 === share }
        cut = nil
    }

    /// Tables without series.
    var dropped: Int { max(0, count - limit) }

    private var count: Int { shares.reduce(0) { $0 + $1.count } }

    fileprivate func hasChanged() { cut = nil }

    /// For each of the sizes whether its table is shown; nil when all are.
    ///
    /// - Parameter order: of the tables, in which those of equal size are taken.
    fileprivate func shown(_ sizes: [Double], order: () -> [Int]) -> [Bool]? {
        guard dropped > 0 else { return nil }
        let cut = self.cut ?? makeCut()
        var ties = cut.ties
        var shown = sizes.map { $0 > cut.size }
        for place in order() where sizes[place] == cut.size && ties > 0 {
            shown[place] = true
            ties -= 1
        }
        self.cut = (cut.size, ties)
        return shown
    }

    private func makeCut() -> (size: Double, ties: Int) {
        let sizes = shares.flatMap(\.sizes).sorted(by: >)
        guard limit <= sizes.count else { return (-1, 0) }
        let size = sizes[limit - 1]
        return (size, limit - sizes.prefix { $0 > size }.count)
    }
}

/// One database's tables among all of a target: how large they are, and which of them are shown.
final class TableShare {
    private let ranking: TableRanking
    private var rows: PostgresRows?
    private var known: (sizes: [Double]?, shown: [Bool]??) = (nil, nil)
    private(set) var count = 0

    /// As they were told last, by the names of schema and table in `PostgresRows.appendKey`'s form.
    private var told: [[UInt8]: (table: Double, indexes: Double)] = [:]

    fileprivate init(_ ranking: TableRanking) { self.ranking = ranking }

    /// Notes which tables there are now: a row for each, with its `nspname`, `relname` and `relpages`.
    func weigh(_ rows: PostgresRows) {
        guard rows !== self.rows else { return }
        self.rows = rows
        count = rows.count
        known = (nil, nil)
        ranking.hasChanged()
    }

    /// Lets go of the answer, which is large.
    func finish() {
        rows = nil
        known = (nil, nil)
    }

    /// For each row of the answer whether it is shown; nil when all are.
    var shown: [Bool]? {
        if let shown = known.shown { return shown }
        let shown = ranking.shown(sizes) { names.indices.sorted { names[$0].lexicographicallyPrecedes(names[$1]) } }
        known.shown = .some(shown)
        return shown
    }

    fileprivate var sizes: [Double] {
        if let sizes = known.sizes { return sizes }
        let pages = rows?.column("relpages")
        let sizes = names.enumerated().map { row, name -> Double in
            if let size = told[name] { return size.table + size.indexes }
            // Of a table whose size was not told yet, the server has an estimate.
            return max(0, pages.flatMap { rows?.number(row, $0) } ?? 0) * 8192
        }
        known.sizes = sizes
        return sizes
    }

    private var names: [[UInt8]] {
        guard let rows, let schema = rows.column("nspname"), let table = rows.column("relname") else { return [] }
        return (0..<rows.count).map { row in
            var name: [UInt8] = []
            rows.appendKey(row, [schema, table], to: &name)
            return name
        }
    }

    // MARK: Sizes

    func size(_ name: [UInt8]) -> (table: Double, indexes: Double)? { told[name] }

    func tell(_ sizes: [[UInt8]: (table: Double, indexes: Double)]) {
        told.merge(sizes) { $1 }
        // Tables that were dropped.
        if told.count > 2 * max(count, sizes.count) + 64 { told = sizes }
    }
}
