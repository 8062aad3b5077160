/// The candidate that differs least from `word`, if it is close enough to be what was meant.
public func closest(to word: String, among candidates: some Sequence<String>) -> String? {
    var best: (candidate: String, distance: Int)?
    for candidate in candidates {
        let distance = editDistance(Array(word.utf8), Array(candidate.utf8))
        if distance < best?.distance ?? .max { best = (candidate, distance) }
    }
    guard let best, best.distance <= max(1, word.utf8.count / 3) else { return nil }
    return best.candidate
}

/// Insertions, removals, replacements, and exchanges of neighbours, that make one of the other (Damerau and Levenshtein).
private func editDistance(_ left: [UInt8], _ right: [UInt8]) -> Int {
    var before = [Int](repeating: 0, count: right.count + 1)
    var above = Array(0...right.count)
    for (i, l) in left.enumerated() {
        var row = [i + 1]
        row.reserveCapacity(right.count + 1)
        for (j, r) in right.enumerated() {
            var least = min(above[j] + (l == r ? 0 : 1), row[j] + 1, above[j + 1] + 1)
            if i > 0, j > 0, l == right[j - 1], left[i - 1] == r { least = min(least, before[j - 1] + 1) }
            row.append(least)
        }
        (before, above) = (above, row)
    }
    return above[right.count]
}
