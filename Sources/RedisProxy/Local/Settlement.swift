import Runtime

/// What the local level has to forget because of a command, before it is passed on and again before its reply is.
enum Settlement {
    case none
    case key([UInt8])
    case keys([[UInt8]])
    case everything
    /// The command may change keys that it does not name. Redis tells of those before it replies, on another connection: the
    /// reply waits until that has been heard.
    case caughtUp

    /// - Parameters:
    ///   - command: nil for one that Redis 7.0 does not have, which may do anything.
    ///   - words: ranges of `bytes`.
    init(_ command: Command?, _ words: [Range<Int>], in bytes: Span<UInt8>) {
        guard let command else {
            self = .caughtUp
            return
        }
        let isArbitrary = command.has(.arbitrary) || command.has(.container)
        guard command.has(.write) || command.has(.flushes) || isArbitrary else {
            self = .none
            return
        }
        guard !command.has(.flushes) else {
            self = .everything
            return
        }
        guard !isArbitrary else {
            self = .caughtUp
            return
        }
        if command.keys == .key, words.count > 1 {
            self = .key(bytes.copy(words[1]))
            return
        }
        var places: [Int] = []
        guard command.keys.append(of: words, in: bytes, to: &places) else {
            self = .caughtUp
            return
        }
        self = places.isEmpty ? .none : .keys(places.map { bytes.copy(words[$0]) })
    }

    /// Adds what another command has to have forgotten.
    mutating func merge(_ other: Settlement) {
        switch (self, other) {
        case (_, .none), (.everything, _): return
        case (.none, _), (_, .everything): self = other
        // Redis tells of every key, also of those that are named.
        case (.caughtUp, _), (_, .caughtUp): self = .caughtUp
        default: self = .keys(keys + other.keys)
        }
    }

    /// Those it names, one by one.
    var keys: [[UInt8]] {
        switch self {
        case .key(let key): [key]
        case .keys(let keys): keys
        default: []
        }
    }

    var isNone: Bool {
        if case .none = self { true } else { false }
    }

    /// A bit for each key, or all bits: reads whose bit is not among them cannot be affected.
    var mask: UInt64 {
        switch self {
        case .none: 0
        case .key(let key): Settlement.bit(of: key.span)
        case .keys(let keys): keys.reduce(0) { $0 | Settlement.bit(of: $1.span) }
        case .everything, .caughtUp: .max
        }
    }

    static func bit(of key: Span<UInt8>) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for index in 0..<key.count { hash = (hash ^ UInt64(key[index])) &* 0x100_0000_01b3 }
        return 1 << (hash >> 58)
    }
}

extension Span where Element == UInt8 {
    func copy(_ range: Range<Int>) -> [UInt8] {
        var copy: [UInt8] = []
        copy.reserveCapacity(range.count)
        copy.append(bytes: extracting(range))
        return copy
    }
}
