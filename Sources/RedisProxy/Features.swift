import Synchronization

/// What can be switched off, or rolled out to a part of the keys, without a restart. Any thread may ask and change it.
public final class Features: Sendable {
    public enum Name: Int, CaseIterable, Sendable {
        /// Serving from the local level.
        case cache
        /// Commands of many clients on few connections; without it every client has one of its own.
        case pipelining
        /// One fetch for many who ask at once.
        case singleFlight
        /// Keeping that there is no such key.
        case negativeCache
        /// Fetching hot entries anew before they expire.
        case refreshAhead
        /// Acknowledging writes once they are logged.
        case writeBehind
        /// Answering in Redis' place while it is gone.
        case fallback

        /// As people write it.
        public var label: String {
            switch self {
            case .singleFlight: "single_flight"
            case .negativeCache: "negative_cache"
            case .refreshAhead: "refresh_ahead"
            case .writeBehind: "write_behind"
            default: "\(self)"
            }
        }
    }

    /// By the number of the name.
    private let percents = InlineArray<7, Atomic<Int>> { _ in Atomic(100) }

    public init() { precondition(percents.count == Name.allCases.count) }

    /// Share of the keys, 0 to 100, for which it is on.
    public subscript(name: Name) -> Int {
        percents[name.rawValue].load(ordering: .relaxed)
    }

    public func set(_ name: Name, percent: Int) {
        percents[name.rawValue].store(min(max(percent, 0), 100), ordering: .relaxed)
    }

    /// Whether it is on for anything.
    func isOn(_ name: Name) -> Bool { self[name] > 0 }

    /// Whether it is on for a key: always the same keys, so that raising the share only adds to them.
    func isOn(_ name: Name, for key: Span<UInt8>) -> Bool {
        let percent = self[name]
        guard percent < 100 else { return true }
        guard percent > 0 else { return false }
        var hash: UInt32 = 0x811c_9dc5
        for index in 0..<key.count { hash = (hash ^ UInt32(key[index])) &* 0x0100_0193 }
        return Int((hash ^ hash >> 16) % 100) < percent
    }
}
