import Cache
import Runtime
import Synchronization

/// Fetches what was hot when the process last ended, once the local level is in use, and writes down what is hot now.
final class HotKeys: Sendable {
    private let cache: LocalCache
    private let disk: Disk
    private let limit: Int
    /// Of the last start, the hottest last, until they were fetched.
    private let remembered: Mutex<[HotKeyList.Entry]>

    private static let atOnce = 50
    private static let pauseMs = 20
    private static let saveEvery = Duration.seconds(300)

    /// Reads the list, which blocks.
    ///
    /// - Parameter limit: keys to remember.
    init(_ cache: LocalCache, _ file: StateFile, limit: Int) {
        self.cache = cache
        self.limit = limit
        disk = Disk(file)
        var entries: [HotKeyList.Entry] = []
        do throws(FileError) {
            entries = try HotKeyList.load(file).entries.prefix(limit).reversed()
        } catch {
            Log.warn("the list of hot keys could not be read", ["error": "\(error)"])
        }
        remembered = Mutex(entries)
    }

    /// Fetches a few at a time, the hottest first. On the relay's loop, when the local level has come into use.
    func warm(_ relay: Relay) {
        let (next, hasMore) = remembered.withLock { remembered in
            let next = remembered.suffix(Self.atOnce).reversed()
            remembered.removeLast(next.count)
            return (Array(next), !remembered.isEmpty)
        }
        for entry in next {
            if let meaning = EntryKey.meaning(of: entry.key) { relay.fetch(meaning) }
        }
        if hasMore { relay.loop.after(milliseconds: Self.pauseMs) { [weak self] in self?.warm(relay) } }
    }

    /// Saves now and then until the task is cancelled.
    func run() async {
        while !Task.isCancelled {
            // Cancelled while it sleeps: the loop ends.
            try? await Task.sleep(for: Self.saveEvery)
            if !Task.isCancelled { await save() }
        }
    }

    func save() async { await disk.save(HotKeyList(of: cache, limit: limit, nowMs: MonotonicClock.nowMs)) }

    /// Writes on a thread of its own.
    private actor Disk {
        private let file: StateFile
        private let thread = BlockingThread("hot-keys")
        nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe thread.asUnownedSerialExecutor() }

        init(_ file: StateFile) { self.file = file }

        func save(_ list: HotKeyList) {
            do throws(FileError) {
                try list.save(file)
            } catch {
                Log.warn("the list of hot keys could not be written", ["error": "\(error)"])
            }
        }
    }
}
