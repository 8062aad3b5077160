import CLinux
import Glibc

/// Keeping the resident memory of a process small whose machine belongs to somebody else.
public enum Memory {
    /// Keeps glibc's allocator to two arenas. By default it makes eight a core, each holding on to memory that only one
    /// thread may use again; a sidecar has few threads that allocate.
    public static func limitArenas() {
        mallopt(M_ARENA_MAX, 2)
        mallopt(M_TRIM_THRESHOLD, 512 * 1024)
    }

    /// What the allocator has and nobody uses, resident or not. Looks at every free piece: milliseconds at most.
    public static var freeBytes: Int { Int(mallinfo2().fordblks) }

    /// Gives what the allocator keeps for later back to the system.
    ///
    /// - Returns: the bytes this process had resident before and has now.
    public static func trim() -> (before: Int, after: Int) {
        let before = residentBytes
        malloc_trim(0)
        return (before, residentBytes)
    }

    /// Gives memory back that stays free, for as long as the task is not cancelled. What many clients or a cache have used at
    /// once would otherwise stay resident for good: the arena of a thread shrinks only at its end.
    public static func giveBack() async {
        var rhythm = TrimRhythm()
        while !Task.isCancelled {
            // Cancelled while it sleeps: the loop ends.
            try? await Task.sleep(for: rhythm.pause)
            guard !Task.isCancelled else { return }
            let free = freeBytes
            rhythm.looked(freeBytes: free)
            guard rhythm.isDue else { continue }
            let (before, after) = trim()
            rhythm.trimmed(returnedBytes: before - after)
        }
    }

    private static var residentBytes: Int {
        let fields = (try? Files.readText("/proc/self/statm"))?.split(separator: " ") ?? []
        return fields.count > 1 ? (Int(fields[1]) ?? 0) * Int(getpagesize()) : 0
    }

    /// Lets go of the pages of code that only starting up has touched, our own and those of the libraries; about 6 MB. They
    /// are clean copies of files, so what is still wanted comes back from the page cache at the next touch.
    public static func releaseCodeOfStart() {
        guard let maps = try? Files.readText("/proc/self/maps") else { return }
        for line in maps.split(separator: "\n") {
            let fields = line.split(separator: " ", omittingEmptySubsequences: true)
            // Code is never written to. Other read-only pages may be: those that the loader relocated, then protected.
            guard fields.count >= 6, fields[1] == "r-xp", fields[5].hasPrefix("/") else { continue }
            let ends = fields[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
            guard ends.count == 2, let start = UnsafeMutableRawPointer(bitPattern: ends[0]) else { continue }
            madvise(start, Int(ends[1] - ends[0]), MADV_DONTNEED)
        }
    }
}
