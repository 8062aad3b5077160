import Databases
import Metrics

/// The labels of the rows of the last answer, so that they are made and rendered once and not at every collection.
///
/// Rows mostly come in the same order as before, which costs one comparison each; others are looked up. It never holds
/// more than the rows of one answer.
struct LabelMemory {
    private var keys: [UInt8] = []
    /// Where each key ends in `keys`.
    private var ends: [Int] = []
    private var labels: [Labels] = []

    /// - Parameters:
    ///   - kept: the rows that are wanted.
    ///   - columns: what the labels are made of.
    ///   - make: makes the labels of a row that was not there before.
    mutating func labels(
        _ rows: PostgresRows, _ kept: [Int], columns: [Int], make: (Int) -> Labels
    ) -> [Labels] {
        var same = 0
        while same < kept.count, same < labels.count, isKnown(rows, kept[same], columns, at: same) { same += 1 }
        if same == kept.count && same == labels.count { return labels }
        relearn(rows, kept, columns, from: same, make)
        return labels
    }

    private func isKnown(_ rows: PostgresRows, _ row: Int, _ columns: [Int], at place: Int) -> Bool {
        rows.matches(row, columns, key: keys, from: place == 0 ? 0 : ends[place - 1], to: ends[place])
    }

    private mutating func relearn(
        _ rows: PostgresRows, _ kept: [Int], _ columns: [Int], from same: Int, _ make: (Int) -> Labels
    ) {
        var known: [ArraySlice<UInt8>: Labels] = [:]
        known.reserveCapacity(labels.count - same)
        for place in same..<labels.count {
            known[keys[(place == 0 ? 0 : ends[place - 1])..<ends[place]]] = labels[place]
        }
        let old = keys
        keys = Array(old[..<(same == 0 ? 0 : ends[same - 1])])
        ends.removeLast(ends.count - same)
        labels.removeLast(labels.count - same)
        for row in kept[same...] {
            let start = keys.count
            rows.appendKey(row, columns, to: &keys)
            ends.append(keys.count)
            labels.append(known[keys[start...]] ?? make(row))
        }
    }
}
