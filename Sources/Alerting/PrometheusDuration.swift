/// Durations as Prometheus' and Alertmanager's files write them: `1d12h`, `5m`, `500ms`.
///
/// Units fall from left to right, each at most once, with whole numbers only: y w d h m s ms. A year has 365 days. `0`
/// needs no unit.
public enum PrometheusDuration {
    public enum Failure: Error, Equatable, CustomStringConvertible {
        case empty
        case notADuration(String)
        case outOfRange

        public var description: String {
            switch self {
            case .empty: "empty duration string"
            case .notADuration(let text): "not a valid duration string: \(GoQuote.quoted(text))"
            case .outOfRange: "duration out of range"
            }
        }
    }

    private static let units: [(name: String, milliseconds: Int64)] = [
        ("y", 31_536_000_000), ("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000),
        ("ms", 1),
    ]

    /// Milliseconds, at most what a Go duration holds (292 years).
    public static func milliseconds(_ text: String) -> Result<Int64, Failure> {
        guard !text.isEmpty else { return .failure(.empty) }
        guard text != "0" else { return .success(0) }
        var total: Int64 = 0
        var rest = Substring(text)
        var nextUnit = 0
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && $0.isNumber }
            let name = rest.dropFirst(digits.count).prefix { $0.isASCII && $0.isLetter }
            guard !digits.isEmpty, let index = units[nextUnit...].firstIndex(where: { $0.name == name }) else {
                return .failure(.notADuration(text))
            }
            guard let amount = Int64(digits) else { return .failure(.outOfRange) }
            let (product, overflow) = amount.multipliedReportingOverflow(by: units[index].milliseconds)
            guard !overflow, product <= Int64.max / 1_000_000 - total else { return .failure(.outOfRange) }
            total += product
            nextUnit = index + 1
            rest = rest.dropFirst(digits.count + name.count)
        }
        return .success(total)
    }

    /// The text Prometheus writes: years and weeks only where they are exact, `0s` for nothing.
    public static func text(milliseconds: Int64) -> String {
        guard milliseconds > 0 else { return "0s" }
        var rest = milliseconds
        var text = ""
        for (name, size) in units {
            let mustBeExact = name == "y" || name == "w"
            guard rest >= size, !mustBeExact || rest % size == 0 else { continue }
            text += "\(rest / size)\(name)"
            rest %= size
        }
        return text
    }
}
