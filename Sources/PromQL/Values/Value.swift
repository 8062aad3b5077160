import Metrics

/// A number at a time.
public struct Point: Sendable, Equatable {
    /// Milliseconds since the epoch.
    public var time: Int64
    public var value: Double

    public init(time: Int64, value: Double) {
        self.time = time
        self.value = value
    }
}

/// One series of an instant vector.
public struct Sample: Sendable, Equatable {
    public let labels: Labels
    public let value: Double

    public init(labels: Labels, value: Double) {
        self.labels = labels
        self.value = value
    }
}

/// One series of a matrix, its points in ascending order of time.
public struct Series: Sendable, Equatable {
    public let labels: Labels
    public var points: [Point]
}

/// What a query evaluates to.
public enum Value: Sendable, Equatable {
    case scalar(Double)
    case string(String)

    /// At the time of the query. In the order of `sort` and `topk` where they are outermost, else in any.
    case vector([Sample])

    /// Sorted by labels.
    case matrix([Series])
}

/// A value and what there is to say about it.
public struct Answer: Sendable {
    public let value: Value

    /// Sentences that begin with `PromQL warning:`; the value is probably not what was meant.
    public let warnings: [String]

    /// Sentences that begin with `PromQL info:`.
    public let remarks: [String]

    /// Samples read and made, as the engine's limit counts them.
    public let samples: Int
}
