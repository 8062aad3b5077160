/// Every function by its name: a row here is all that a new one needs besides its calculation.
enum FunctionCatalogue {
    static let functions: [String: Function] = Dictionary(uniqueKeysWithValues: rows.map { ($0.name, $0) })

    private static let rows: [Function] = [
        // Each number on its own.
        Function("abs", [.vector], .number { $0.magnitude }),
        Function("ceil", [.vector], .number { $0.rounded(.up) }),
        Function("floor", [.vector], .number { $0.rounded(.down) }),
        Function("exp", [.vector], .number(Mathematics.exp)),
        Function("sqrt", [.vector], .number { $0.squareRoot() }),
        Function("ln", [.vector], .number(Mathematics.log)),
        Function("log2", [.vector], .number(Mathematics.log2)),
        Function("log10", [.vector], .number(Mathematics.log10)),
        Function("sin", [.vector], .number(Mathematics.sin)),
        Function("cos", [.vector], .number(Mathematics.cos)),
        Function("tan", [.vector], .number(Mathematics.tan)),
        Function("asin", [.vector], .number(Mathematics.asin)),
        Function("acos", [.vector], .number(Mathematics.acos)),
        Function("atan", [.vector], .number(Mathematics.atan)),
        Function("sinh", [.vector], .number(Mathematics.sinh)),
        Function("cosh", [.vector], .number(Mathematics.cosh)),
        Function("tanh", [.vector], .number(Mathematics.tanh)),
        Function("asinh", [.vector], .number(Mathematics.asinh)),
        Function("acosh", [.vector], .number(Mathematics.acosh)),
        Function("atanh", [.vector], .number(Mathematics.atanh)),
        Function("deg", [.vector], .number { $0 * 180 / .pi }),
        Function("rad", [.vector], .number { $0 * .pi / 180 }),
        Function("sgn", [.vector], .number { $0 < 0 ? -1 : $0 > 0 ? 1 : $0 }),
        Function("clamp", [.vector, .scalar, .scalar], .numberWith { clamped($0, to: $1[0], $1[1]) }),
        Function("clamp_max", [.vector, .scalar], .numberWith { clamped($0, to: -.infinity, $1[0]) }),
        Function("clamp_min", [.vector, .scalar], .numberWith { clamped($0, to: $1[0], .infinity) }),
        Function("round", [.vector, .scalar], optional: 1, .numberWith { rounded($0, to: $1.first ?? 1) }),

        // Dates, in UTC.
        Function("year", [.vector], optional: 1, .date { Double($0.year) }),
        Function("month", [.vector], optional: 1, .date { Double($0.month) }),
        Function("day_of_month", [.vector], optional: 1, .date { Double($0.day) }),
        Function("day_of_week", [.vector], optional: 1, .date { Double($0.dayOfWeek) }),
        Function("day_of_year", [.vector], optional: 1, .date { Double($0.dayOfYear) }),
        Function("days_in_month", [.vector], optional: 1, .date { Double($0.daysInMonth) }),
        Function("hour", [.vector], optional: 1, .date { Double($0.hour) }),
        Function("minute", [.vector], optional: 1, .date { Double($0.minute) }),

        // The samples of a window.
        Function("rate", [.matrix], .window(.rate)),
        Function("increase", [.matrix], .window(.increase)),
        Function("delta", [.matrix], .window(.delta)),
        Function("irate", [.matrix], .window(.irate)),
        Function("idelta", [.matrix], .window(.idelta)),
        Function("deriv", [.matrix], .window(.deriv)),
        Function("predict_linear", [.matrix, .scalar], .window(.predictLinear)),
        Function("double_exponential_smoothing", [.matrix, .scalar, .scalar], .window(.smoothed(note: nil))),
        // The name until Prometheus 3.
        Function(
            "holt_winters", [.matrix, .scalar, .scalar],
            .window(.smoothed(note: "holt_winters is the old name of double_exponential_smoothing"))),
        Function("changes", [.matrix], .window(.changes)),
        Function("resets", [.matrix], .window(.resets)),
        Function("avg_over_time", [.matrix], .window(.average)),
        Function("count_over_time", [.matrix], .window(.count)),
        Function("first_over_time", [.matrix], .window(.first)),
        Function("last_over_time", [.matrix], .window(.last)),
        Function("max_over_time", [.matrix], .window(.maximum)),
        Function("min_over_time", [.matrix], .window(.minimum)),
        Function("present_over_time", [.matrix], .window(.present)),
        Function("quantile_over_time", [.scalar, .matrix], .window(.quantile)),
        Function("stddev_over_time", [.matrix], .window(.standardDeviation)),
        Function("stdvar_over_time", [.matrix], .window(.variance)),
        Function("sum_over_time", [.matrix], .window(.sum)),

        // What looks at labels, at the whole vector, or at nothing.
        Function("absent", [.vector], .absent),
        Function("absent_over_time", [.matrix], .absentOverTime),
        Function("histogram_fraction", [.scalar, .scalar, .vector], .histogramFraction),
        Function("histogram_quantile", [.scalar, .vector], .histogramQuantile),
        Function("label_join", [.vector, .string, .string, .string], optional: 1, repeatsLast: true, .labelJoin),
        Function("label_replace", [.vector, .string, .string, .string, .string], .labelReplace),
        Function("pi", [], returns: .scalar, .pi),
        Function("scalar", [.vector], returns: .scalar, .scalar),
        Function("sort", [.vector], .sort(descending: false)),
        Function("sort_desc", [.vector], .sort(descending: true)),
        Function("time", [], returns: .scalar, .time),
        Function("timestamp", [.vector], .timestamp),
        Function("vector", [.scalar], .vector),
    ]

    /// Functions that Prometheus has and this engine leaves out, with the reason.
    static let unsupported: [String: String] = {
        var reasons: [String: String] = [:]
        for name in [
            "end", "histogram_quantiles", "info", "mad_over_time",
            "max_of", "min_of", "range", "sort_by_label", "sort_by_label_desc", "start", "start_timestamp", "step",
            "ts_of_first_over_time", "ts_of_last_over_time", "ts_of_max_over_time", "ts_of_min_over_time",
        ] {
            reasons[name] = "the function \(name) is experimental"
        }
        for name in ["histogram_avg", "histogram_count", "histogram_stddev", "histogram_stdvar", "histogram_sum"] {
            reasons[name] = "the function \(name) needs native histograms"
        }
        return reasons
    }()

    static let experimentalAggregators = [
        "limitk": "the aggregation limitk is experimental",
        "limit_ratio": "the aggregation limit_ratio is experimental",
    ]

    /// Nothing at all if the bounds are crossed; NaN if anything is NaN.
    private static func clamped(_ value: Double, to low: Double, _ high: Double) -> Double? {
        if high < low { return nil }
        if value.isNaN || low.isNaN || high.isNaN { return .nan }
        return max(low, min(high, value))
    }

    /// To the nearest multiple, halves up. Working with the inverse loses fewer digits where the multiple is a
    /// fraction such as 0.1.
    private static func rounded(_ value: Double, to nearest: Double) -> Double {
        let inverse = 1 / nearest
        return (value * inverse + 0.5).rounded(.down) / inverse
    }
}
