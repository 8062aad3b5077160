import Runtime

/// Where the notification log and the silences outlive the process.
///
/// A message is written down before it is sent and again when its consumer has accepted it. So a crash never loses a
/// message; after one in between, which leaves unknown whether it was heard, the next process tells the very same with the
/// same `Idempotency-Key` before anything else, which no order of the two could avoid.
public struct NotificationStore: Sendable {
    private static let journal = "notifications.journal"
    private static let silences = "silences"
    /// The journal is written anew when it is this long and twice as long as its entries need.
    private static let compactionBytes = 1 << 20

    private let folder: StateFolder?

    /// - Parameter folder: nil to keep nothing.
    public init(_ folder: StateFolder?) { self.folder = folder }

    /// What was known when the process ended. Records that cannot be read are logged and left out.
    public func load(at now: Moment) async throws(FileError) -> (log: NotificationLog, silences: Silences) {
        guard let folder else { return (NotificationLog(), Silences()) }
        var entries: [NotificationLog.Entry] = []
        var unreadable = 0
        for record in try await folder.openJournal(Self.journal) {
            if let entry = NotificationLog.Entry(encoded: record) {
                entries.append(entry.noLater(than: now))
            } else {
                unreadable += 1
            }
        }
        var log = NotificationLog(entries)
        if unreadable > 0 { Log.error("notification log has records that cannot be read", ["count": "\(unreadable)"]) }
        log.removeExpired(at: now)
        try await folder.replaceJournal(Self.journal, with: log.all.map(\.encoded))
        return (log, try await loadSilences(folder))
    }

    private func loadSilences(_ folder: StateFolder) async throws(FileError) -> Silences {
        guard let content = try await folder.read(Self.silences) else { return Silences() }
        if let silences = Silences(encoded: content) { return silences }
        Log.error("silences cannot be read and were ignored", ["folder": folder.path])
        return Silences()
    }

    /// - Parameter log: everything that was handed to `append` so far, for when the journal has grown too long.
    func append(
        _ entry: NotificationLog.Entry, log: @Sendable () async -> NotificationLog
    ) async throws(FileError) {
        guard let folder else { return }
        let size = try await folder.append([entry.encoded], to: Self.journal)
        guard size > Self.compactionBytes else { return }
        let records = await log().all.map(\.encoded)
        guard records.reduce(0, { $0 + $1.count + 8 }) < size / 2 else { return }
        try await folder.replaceJournal(Self.journal, with: records)
    }

    func write(_ silences: Silences) async throws(FileError) {
        try await folder?.write(silences.encoded, to: Self.silences)
    }
}
