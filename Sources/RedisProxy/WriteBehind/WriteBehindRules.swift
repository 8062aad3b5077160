import Cache
import Runtime

/// The settings under `redis_proxy.write_behind.`, checked.
public struct WriteBehindRules: Sendable {
    /// A write waits so long for newer ones that make it needless.
    public var flushInterval = Duration.seconds(1)
    /// So many keys are not left waiting.
    public var batch = 50
    /// Keys whose writes are sent to Redis at once.
    public var milestones: [KeyPattern] = []
    /// Bounds of what is pending: beyond them, writes are not taken.
    public var mostWrites = 100_000
    public var mostBytes = 64 << 20
    /// Of the log's segments.
    public var segmentBytes = 4 << 20

    public init() {}

    public init(_ settings: Settings) throws(SettingsError) {
        flushInterval = try settings.read(
            "redis_proxy.write_behind.flush_interval", default: flushInterval,
            "How long a write that was acknowledged may wait before Redis has it, and those see it who read past the proxy.",
            in: .milliseconds(1)...(.seconds(3600)))
        batch = try settings.read(
            "redis_proxy.write_behind.batch", default: batch, "So many waiting keys are sent before that.",
            in: 1...100_000)
        milestones = try settings.readList(
            "redis_proxy.write_behind.milestones", "Patterns of keys, with * and ?, that are sent to Redis at once."
        ).map { KeyPattern($0) }
        mostWrites = try settings.read(
            "redis_proxy.write_behind.max_pending", default: mostWrites,
            "Writes that may be pending; beyond, they go to Redis before they are acknowledged.", in: 1...10_000_000)
        mostBytes = try settings.read(
            "redis_proxy.write_behind.max_pending_bytes", default: ByteCount(mostBytes),
            "Memory for pending writes.", in: ByteCount(64 << 10)...ByteCount(1 << 40)
        ).bytes
    }

    var pending: PendingWrites.Rules {
        var rules = PendingWrites.Rules()
        rules.flushIntervalMs = flushInterval.milliseconds
        rules.batch = batch
        rules.milestones = milestones
        rules.mostWrites = mostWrites
        rules.mostBytes = mostBytes
        return rules
    }
}
