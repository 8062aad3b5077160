import Metrics

/// Upper bounds of a histogram's buckets, in seconds for durations.
enum Buckets {
    /// From a cached answer's half millisecond to a client's patience.
    static let defaults: [Double] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

    /// For numbers of which nobody says what they count: bytes, rows, shares.
    static let unitless: [Double] = [0.001, 0.01, 0.1, 1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9]

    static let limit = 64

    struct Failure: Error {
        let problem: String
    }

    static func parse(_ texts: [String]) throws(Failure) -> [Double] {
        guard !texts.isEmpty, texts.count <= limit else { throw Failure(problem: "must be 1 to \(limit) numbers") }
        var bounds: [Double] = []
        for text in texts {
            guard let bound = Double(text), bound.isFinite else {
                throw Failure(problem: "\"\(text)\" is not a number")
            }
            guard bounds.last.map({ $0 < bound }) ?? true else {
                throw Failure(problem: "\(text) does not rise above the bound before it")
            }
            bounds.append(bound)
        }
        return bounds
    }
}
