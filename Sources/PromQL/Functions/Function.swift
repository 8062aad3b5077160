/// A function of PromQL: what it takes, what it gives, and how it is worked out.
public struct Function: Sendable {
    public let name: String
    public let parameters: [ValueType]

    /// The parameters that may be left out, counted from the end.
    let optional: Int

    /// Whether the last parameter may be repeated.
    let repeatsLast: Bool
    public let returns: ValueType
    let work: Work

    /// How a call becomes a value.
    enum Work: Sendable {
        /// Each number on its own; the name is dropped.
        case number(@Sendable (Double) -> Double)

        /// Each number with the scalars that follow the vector in the call; nil drops the series.
        case numberWith(@Sendable (Double, [Double]) -> Double?)

        /// Each number as seconds since the epoch; without an argument the time of evaluation.
        case date(@Sendable (CivilTime) -> Double)

        /// The samples of each series within a window; nil where there are too few.
        case window(WindowFunction)

        case absent, absentOverTime
        case histogramFraction, histogramQuantile
        case labelJoin, labelReplace
        case pi, scalar, time, timestamp, vector
        case sort(descending: Bool)
    }

    init(
        _ name: String, _ parameters: [ValueType], optional: Int = 0, repeatsLast: Bool = false,
        returns: ValueType = .vector, _ work: Work
    ) {
        self.name = name
        self.parameters = parameters
        self.optional = optional
        self.repeatsLast = repeatsLast
        self.returns = returns
        self.work = work
    }

    /// Throws what `fail` makes of the first argument that is missing, of the wrong type, or one too many.
    func check(_ arguments: [Expression], range: Range<Int>, fail: (String, Range<Int>) -> PromQLError)
        throws(PromQLError)
    {
        let least = parameters.count - optional
        guard arguments.count >= least, repeatsLast || arguments.count <= parameters.count else {
            let isExact = optional == 0 && !repeatsLast
            let bound = isExact ? "" : arguments.count < least ? "at least " : "at most "
            let expected = arguments.count < least ? least : parameters.count
            throw fail(
                "expected \(bound)\(expected) argument(s) in call to \(quoted(name)), got \(arguments.count)", range)
        }
        for (index, argument) in arguments.enumerated() {
            let expected = parameters[min(index, parameters.count - 1)]
            guard argument.type == expected else {
                throw fail(
                    "expected type \(expected.documented) in call to function \(quoted(name)), got \(argument.type.documented)",
                    argument.range)
            }
        }
    }
}

/// A function over the samples of a window.
struct WindowFunction: Sendable {
    /// Whether the result still measures what the series' name says.
    var keepsName = false

    /// Whether it makes sense for counters only, so that another name is worth a remark.
    var wantsCounter = false

    /// Whether the scalar argument is a quantile, which is checked to lie between 0 and 1.
    var takesQuantile = false

    /// Whether the scalar arguments are smoothing factors, which have to lie between 0 and 1.
    var takesFactors = false

    /// What a reader of the result should know about the function itself.
    var note: String?

    /// Whether the result depends on the time of evaluation, not only on the window's.
    var usesEvaluationTime = false

    let apply: @Sendable (Span<Point>, Window) -> Double?
}

/// The time a window function looks at, in milliseconds since the epoch. Samples lie in (`start`, `end`].
struct Window {
    let start: Int64
    let end: Int64

    /// When the call is evaluated; `offset` and `@` move only the window.
    let evaluation: Int64

    /// The scalar argument, for functions that take one.
    let parameter: Double

    /// The one after it, for functions that take two.
    let second: Double

    var seconds: Double { Double(end - start) / 1000 }
}
