import Runtime

/// What a command may see or change, as far as pending writes are concerned: before it is passed to Redis, Redis has to
/// have what was accepted for it.
enum WriteScope {
    case none
    case keys([[UInt8]])
    /// It does not say which keys, or means all.
    case everything

    /// - Parameters:
    ///   - command: nil for one that Redis 7.0 does not have.
    ///   - words: ranges of `bytes`.
    init(_ command: Command?, _ words: [Range<Int>], in bytes: Span<UInt8>) {
        guard let command, !command.has(.flushes), !command.has(.arbitrary), !command.has(.otherDatabase),
            !Self.mayFollowPatterns(command, words)
        else {
            self = .everything
            return
        }
        var places: [Int] = []
        guard command.keys.append(of: words, in: bytes, to: &places) else {
            self = .everything
            return
        }
        if places.isEmpty {
            self = Self.isAboutKeys(command) ? .everything : .none
        } else {
            self = .keys(places.map { bytes.copy(words[$0]) })
        }
    }

    /// Adds what another command of the same transaction touches. Many keys are as good as all.
    mutating func merge(_ other: WriteScope) {
        switch (self, other) {
        case (_, .none), (.everything, _): return
        case (.none, _), (_, .everything): self = other
        case (.keys(let some), .keys(let more)):
            self = some.count + more.count > Self.mostKeys ? .everything : .keys(some + more)
        }
    }

    /// A bit for each key (`Settlement.mask`).
    var mask: UInt64 {
        switch self {
        case .none: 0
        case .keys(let keys): keys.reduce(0) { $0 | Settlement.bit(of: $1.span) }
        case .everything: .max
        }
    }

    private static let mostKeys = 1024
    private static let sorts = ["sort", "sort_ro"].compactMap { CommandTable.shared.find($0.utf8.span, in: nil)?.id }
    /// They look at the keyspace as a whole, or copy it.
    private static let servers = ["bgrewriteaof", "bgsave", "failover", "psync", "save", "shutdown", "sync"]
        .compactMap { CommandTable.shared.find($0.utf8.span, in: nil)?.id }

    /// `SORT key BY pattern GET pattern` reads keys that it finds on the way.
    private static func mayFollowPatterns(_ command: Command, _ words: [Range<Int>]) -> Bool {
        words.count > 2 && sorts.contains(command.id)
    }

    /// Of commands that name no key.
    private static func isAboutKeys(_ command: Command) -> Bool {
        switch command.family {
        case .connection: command.lane == .blocking
        case .pubSub, .transaction: false
        case .server: command.has(.write) || servers.contains(command.id)
        default: true
        }
    }
}
