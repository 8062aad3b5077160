import Runtime

/// Carries a history over a restart: reads it once, and writes it every few minutes and at the end.
///
/// Where the bytes lie is the caller's affair, who must replace them at once and guard them with a checksum, as
/// `StateFile` does.
public actor HistoryKeeper {
    private let history: History
    private let interval: Duration
    private let read: @Sendable () async throws -> [UInt8]?
    private let write: @Sendable ([UInt8]) async throws -> Void
    private let saves = CounterFamily(
        .counter("outrigger_history_saves_total", "Times the history was written to disk, by result."),
        labelNames: ["result"])
    private let savedBytes = GaugeFamily(
        .gauge("outrigger_history_saved_bytes", "Size of the history that was last written to disk."))
    private let savedAt = GaugeFamily(
        .gauge("outrigger_history_last_save_timestamp_seconds", "When the history was last written to disk."))

    /// To be added to the registry.
    public nonisolated var instruments: [any Instrument] { [saves, savedBytes, savedAt] }

    /// - Parameters:
    ///   - interval: between two writes.
    ///   - read: the bytes that were last written; nil for none.
    ///   - write: returns when the bytes are safe.
    public init(
        _ history: History, every interval: Duration = .seconds(300),
        read: @escaping @Sendable () async throws -> [UInt8]?,
        write: @escaping @Sendable ([UInt8]) async throws -> Void
    ) {
        self.history = history
        self.interval = interval
        self.read = read
        self.write = write
        for result in ["ok", "failed"] { saves.with([result]).add(0) }
    }

    /// Reads what was written last. A history that cannot be read is logged and begun anew.
    public func load(now: Int64 = SteadyTime.shared.now) async {
        do {
            guard let bytes = try await read() else { return }
            let count = try history.restore(bytes, now: now)
            Log.info("history restored", ["series": "\(count)", "samples": "\(history.footprint.samples)"])
        } catch {
            Log.warn("history not restored, it begins anew", ["error": "\(error)"])
        }
    }

    /// Writes every interval until the task is cancelled. What came since is for a last `save`.
    public func run() async {
        while (try? await Task.sleep(for: interval)) != nil { await save() }
    }

    public func save() async {
        let bytes = history.encode()
        do {
            try await write(bytes)
            saves.with(["ok"]).add()
            savedBytes.with([]).set(Double(bytes.count))
            savedAt.with([]).set(WallClock.now)
        } catch {
            saves.with(["failed"]).add()
            Log.error("history not saved", ["error": "\(error)", "bytes": "\(bytes.count)"])
        }
    }
}
