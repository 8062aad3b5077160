/// Keys of classes that are written through whose new value is to be fetched into the local level.
///
/// A write makes Redis tell of a change, which drops whatever was put in by then. So the value is fetched as any other, once
/// both have come, in whatever order: the reply to the write, and word of the change. Forgets what does not fit: then the
/// next read fetches.
struct ThroughWrites {
    private struct Wait {
        var isAnswered = false
        var isHeard = false
        let identity: Identity
    }

    private var waiting: [[UInt8]: Wait] = [:]

    private static let most = 4096

    mutating func sent(_ key: [UInt8], _ identity: Identity) {
        if waiting.count >= Self.most { waiting.removeAll(keepingCapacity: true) }
        waiting[key] = Wait(identity: identity)
    }

    /// - Returns: for whom the key is to be fetched now.
    mutating func answered(_ key: [UInt8]) -> Identity? { complete(key, \.isAnswered) }

    /// - Returns: for whom the key is to be fetched now.
    mutating func heard(_ key: [UInt8]) -> Identity? { waiting.isEmpty ? nil : complete(key, \.isHeard) }

    /// It was refused, or nobody knows.
    mutating func failed(_ key: [UInt8]) { waiting[key] = nil }

    private mutating func complete(_ key: [UInt8], _ part: WritableKeyPath<Wait, Bool>) -> Identity? {
        guard var wait = waiting[key] else { return nil }
        wait[keyPath: part] = true
        let isComplete = wait.isAnswered && wait.isHeard
        waiting[key] = isComplete ? nil : wait
        return isComplete ? wait.identity : nil
    }
}
