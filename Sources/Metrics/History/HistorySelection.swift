extension History {
    /// The series that match and have samples in [`from`, `through`], each once, in any order.
    ///
    /// - Parameters:
    ///   - name: what `__name__` must be, or nil for all series; then every series' labels are made.
    ///   - matches: gets all labels, with `__name__`, `job` and `instance`.
    public func series(
        named name: String?, where matches: (Labels) -> Bool = { _ in true }, from: Int64, through: Int64
    ) -> [HistorySeries] {
        candidates(name).filter { series in
            // A look at all series must not leave the labels of all behind.
            series.hasSamples(from: from, through: through)
                && matches(name == nil ? series.passingLabels : series.labels)
        }
    }

    /// The values of `__name__` that have samples in [`from`, `through`], sorted.
    public func names(from: Int64 = .min, through: Int64 = .max) -> [String] {
        let named = state.withLock { $0.names }
        return named.filter { $0.value.series.contains { $0.hasSamples(from: from, through: through) } }.keys.sorted()
    }

    /// The names of labels that series with samples in [`from`, `through`] have, sorted.
    public func labelNames(from: Int64 = .min, through: Int64 = .max) -> [String] {
        var names: Set<String> = []
        for series in candidates(nil) where series.hasSamples(from: from, through: through) {
            for label in series.pairs { names.insert(label.name) }
        }
        return names.sorted()
    }

    /// The values that a label has in series with samples in [`from`, `through`], sorted.
    public func labelValues(_ name: String, from: Int64 = .min, through: Int64 = .max) -> [String] {
        if name == "__name__" { return names(from: from, through: through) }
        var values: Set<String> = []
        for series in candidates(nil) where series.hasSamples(from: from, through: through) {
            for label in series.pairs where label.name == name { values.insert(label.value) }
        }
        return values.sorted()
    }

    /// When the oldest sample under that name, or under any, was taken: what a rule with a longer window has to do with.
    public func oldestSample(named name: String? = nil) -> Int64? {
        candidates(name).compactMap { $0.span?.lowerBound }.min()
    }

    private func candidates(_ name: String?) -> [HistorySeries] {
        state.withLock { state in
            if let name { state.names[name]?.series ?? [] } else { state.names.values.flatMap(\.series) }
        }
    }
}

extension HistorySeries {
    fileprivate func hasSamples(from: Int64, through: Int64) -> Bool {
        guard let span else { return false }
        return span.lowerBound <= through && span.upperBound >= from
    }
}
