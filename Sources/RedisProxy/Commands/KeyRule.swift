import Runtime

/// Where a command's keys stand among its words, the first of which, its name, has index 0.
public enum KeyRule: Sendable, Equatable {
    case none
    /// From `first` to `last`, each `step`th; a negative `last` counts from the end, so -1 is the last word.
    case range(first: Int8, last: Int8, step: Int8)
    /// As many as the word at this index says, right behind it: `ZUNION 2 a b`.
    case counted(at: Int8)
    /// One key, how many follow, and those: `ZUNIONSTORE to 2 a b`.
    case destinationAndCounted
    /// The first word, and the last that follows `STORE` or `STOREDIST` from this index on: `GEORADIUS`.
    case geoStore(from: Int8)
    /// The first word, and what follows the last `STORE`: `SORT`.
    case sort
    /// The first half of what follows `STREAMS`: `XREAD`.
    case streams
    /// The third word, or where that is empty all that follow `KEYS`: `MIGRATE`.
    case migrate

    static let key = range(first: 1, last: 1, step: 1)
    static let keys = range(first: 1, last: -1, step: 1)

    static func key(at index: Int8) -> KeyRule { .range(first: index, last: index, step: 1) }

    static func keys(first: Int8 = 1, last: Int8 = -1, step: Int8 = 1) -> KeyRule {
        .range(first: first, last: last, step: step)
    }

    static func keys(_ indices: ClosedRange<Int8>) -> KeyRule {
        .range(first: indices.lowerBound, last: indices.upperBound, step: 1)
    }

    /// Whether the places of the keys depend on what the words say.
    var isMovable: Bool {
        switch self {
        case .none, .range: false
        default: true
        }
    }

    /// Appends the indexes of the words that are keys, in the order in which Redis names them.
    ///
    /// - Parameters:
    ///   - words: ranges of `bytes`.
    /// - Returns: false where the words do not fit the rule. Redis refuses such a command, but who relies on knowing the
    ///   keys should not rely on that.
    public func append(of words: [Range<Int>], in bytes: Span<UInt8>, to keys: inout [Int]) -> Bool {
        switch self {
        case .none: return true
        case .range(let first, let last, let step):
            let end = last < 0 ? words.count + Int(last) : Int(last)
            guard Int(first) <= end, end < words.count else { return false }
            guard end > Int(first) else {
                keys.append(end)
                return true
            }
            for index in stride(from: Int(first), through: end, by: Int(step)) { keys.append(index) }
            return true
        case .counted(let place): return appendCounted(at: Int(place), words, bytes, &keys)
        case .destinationAndCounted:
            guard words.count > 1 else { return false }
            keys.append(1)
            return appendCounted(at: 2, words, bytes, &keys)
        case .geoStore(let from): return appendStore(from: Int(from), skipping: .nothing, words, bytes, &keys)
        case .sort: return appendStore(from: 2, skipping: .optionsOfSort, words, bytes, &keys)
        case .streams: return appendStreams(words, bytes, &keys)
        case .migrate: return appendMigrated(words, bytes, &keys)
        }
    }

    private func appendCounted(at place: Int, _ words: [Range<Int>], _ bytes: Span<UInt8>, _ keys: inout [Int]) -> Bool
    {
        guard place < words.count, let count = bytes.strictInteger(in: words[place]),
            count >= 0, count <= words.count - place - 1
        else { return false }
        for index in place + 1..<place + 1 + count { keys.append(index) }
        return true
    }

    private enum Skipping { case nothing, optionsOfSort }

    private func appendStore(
        from: Int, skipping: Skipping, _ words: [Range<Int>], _ bytes: Span<UInt8>, _ keys: inout [Int]
    ) -> Bool {
        guard words.count > 1 else { return false }
        keys.append(1)
        var destination: Int?
        var index = from
        while index < words.count {
            if bytes.isWord("store", words[index]) || skipping == .nothing && bytes.isWord("storedist", words[index]) {
                if index + 1 < words.count { destination = index + 1 }
                index += 1
            } else if skipping == .optionsOfSort {
                if bytes.isWord("limit", words[index]) {
                    index += 2
                } else if bytes.isWord("get", words[index]) || bytes.isWord("by", words[index]) {
                    index += 1
                }
            }
            index += 1
        }
        if let destination { keys.append(destination) }
        return true
    }

    private func appendStreams(_ words: [Range<Int>], _ bytes: Span<UInt8>, _ keys: inout [Int]) -> Bool {
        var index = 1
        while index < words.count, !bytes.isWord("streams", words[index]) {
            if bytes.isWord("block", words[index]) || bytes.isWord("count", words[index]) {
                index += 2
            } else if bytes.isWord("group", words[index]) {
                index += 3
            } else if bytes.isWord("noack", words[index]) {
                index += 1
            } else {
                return false
            }
        }
        let rest = words.count - index - 1
        guard rest > 0, rest.isMultiple(of: 2) else { return false }
        for key in index + 1..<index + 1 + rest / 2 { keys.append(key) }
        return true
    }

    private func appendMigrated(_ words: [Range<Int>], _ bytes: Span<UInt8>, _ keys: inout [Int]) -> Bool {
        guard words.count > 3 else { return false }
        var index = 6
        while index < words.count {
            if bytes.isWord("keys", words[index]) {
                guard words[3].isEmpty, index + 1 < words.count else { return false }
                for key in index + 1..<words.count { keys.append(key) }
                return true
            }
            if bytes.isWord("auth", words[index]) {
                index += 1
            } else if bytes.isWord("auth2", words[index]) {
                index += 2
            }
            index += 1
        }
        keys.append(3)
        return true
    }
}

extension Span where Element == UInt8 {
    /// Whether the bytes of `range` are this lower-case word, in letters of either case.
    func isWord(_ word: String, _ range: Range<Int>) -> Bool {
        let letters = word.utf8.span
        guard letters.count == range.count else { return false }
        for index in 0..<range.count {
            let byte = self[range.lowerBound + index]
            let isUpper = byte &- UInt8(ascii: "A") < 26
            guard letters[index] == (isUpper ? byte | 0x20 : byte) else { return false }
        }
        return true
    }

    /// Whether all the bytes are this lower-case word, in letters of either case.
    func isWord(_ word: String) -> Bool { isWord(word, 0..<count) }
}
