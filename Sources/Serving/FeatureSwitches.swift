import Synchronization

/// Names one proxy's optimisations: cases from 0 on, without gaps, at most sixteen.
public protocol FeatureName: RawRepresentable<Int>, CaseIterable, Sendable {
    /// As people write it.
    var label: String { get }
}

/// The switches of one proxy, for whoever does not know its features.
public protocol FeatureBoard: Sendable {
    /// Every feature with the share, 0 to 100, for which it is on.
    var shares: [(label: String, percent: Int)] { get }
    /// - Returns: false where there is no such feature.
    func set(label: String, percent: Int) -> Bool
}

/// What can be switched off, or rolled out to a share, without a restart. Any thread may ask and change it.
public final class FeatureSwitches<Name: FeatureName>: FeatureBoard {
    /// By the number of the name.
    private let percents = InlineArray<16, Atomic<Int>> { _ in Atomic(100) }

    /// All on.
    public init() { precondition(Name.allCases.count <= percents.count) }

    /// Share, 0 to 100, for which it is on.
    public subscript(name: Name) -> Int { percents[name.rawValue].load(ordering: .relaxed) }

    public func set(_ name: Name, percent: Int) {
        percents[name.rawValue].store(min(max(percent, 0), 100), ordering: .relaxed)
    }

    /// Whether it is on for anything.
    public func isOn(_ name: Name) -> Bool { self[name] > 0 }

    /// Whether it is on for a key: always the same keys, so that raising the share only adds to them.
    public func isOn(_ name: Name, for key: Span<UInt8>) -> Bool {
        let percent = self[name]
        guard percent < 100 else { return true }
        guard percent > 0 else { return false }
        var hash: UInt32 = 0x811c_9dc5
        for index in 0..<key.count { hash = (hash ^ UInt32(key[index])) &* 0x0100_0193 }
        return Int((hash ^ hash >> 16) % 100) < percent
    }

    public var shares: [(label: String, percent: Int)] { Name.allCases.map { ($0.label, self[$0]) } }

    public func set(label: String, percent: Int) -> Bool {
        guard let name = Name.allCases.first(where: { $0.label == label }) else { return false }
        set(name, percent: percent)
        return true
    }
}
