extension Array where Element: Comparable {
    /// The value below which `share` of all lie (nearest rank).
    func quantile(_ share: Double) -> Element {
        let sorted = sorted()
        return sorted[
            Swift.min(sorted.count - 1, Int((share * Double(sorted.count)).rounded(.up)) - (share > 0 ? 1 : 0))]
    }
}

/// A row of a result: ours beside theirs.
struct Comparison {
    let name: String
    let ours: Double
    let theirs: Double
    let unit: String
    /// The ratio that this project promised to reach; nil where none was promised.
    let target: Double?
    /// Whether the ratio shall be no less than the target, not no more.
    var isMoreBetter = false

    private var isMet: Bool? { target.map { isMoreBetter ? ratio >= $0 : ratio <= $0 } }

    var ratio: Double { ours / theirs }

    static func printTable(_ title: String, _ rows: [Comparison]) {
        print("| \(title) | outrigger | theirs | ratio | target | |\n|---|---|---|---|---|---|")
        for row in rows {
            let target = row.target.map { (row.isMoreBetter ? "≥ " : "≤ ") + text($0) } ?? ""
            let verdict = row.isMet.map { $0 ? "met" : "missed" } ?? ""
            print(
                "| \(row.name) | \(text(row.ours)) \(row.unit) | \(text(row.theirs)) \(row.unit) | \(text(row.ratio)) | \(target) | \(verdict) |"
            )
        }
        print("")
    }

    static func text(_ value: Double) -> String {
        let digits = value < 10 ? 100.0 : value < 100 ? 10.0 : 1.0
        return String((value * digits).rounded() / digits)
    }

    /// A whole number, with a comma before every three digits.
    static func grouped(_ value: Double) -> String {
        let digits = Array(String(Int(value.rounded())))
        var text = ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % 3 == 0 { text.append(",") }
            text.append(digit)
        }
        return text
    }
}
