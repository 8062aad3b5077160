import Glibc  // The one file of this target that does: facts only the kernel has.

/// Small facts about the machine and its files.
enum Kernel {
    static let pageBytes = Int(sysconf(Int32(_SC_PAGESIZE)))

    /// How many times a second the kernel counts what `/proc/<pid>/stat` tells in ticks.
    static let ticksPerSecond = Double(sysconf(Int32(_SC_CLK_TCK)))

    /// Size of a regular file in bytes; 0 for one that does not exist, nil for what may not be looked at or is no file.
    static func fileSize(_ path: String) -> Int? {
        var info = stat()
        guard unsafe stat(path, &info) == 0 else { return errno == ENOENT ? 0 : nil }
        return info.st_mode & S_IFMT == S_IFREG ? Int(info.st_size) : nil
    }

    /// The soft limit of this process; unlimited is told as the largest 64-bit number, as every exporter does.
    enum Limit { case openFiles, addressSpace }

    static func limit(_ which: Limit) -> Double? {
        var limits = rlimit()
        let kind = Int32(which == .openFiles ? RLIMIT_NOFILE.rawValue : RLIMIT_AS.rawValue)
        guard unsafe getrlimit(kind, &limits) == 0 else { return nil }
        return Double(limits.rlim_cur)
    }

    /// How many files a process holds open: since Linux 6.2 the size of its folder `fd`. Nil where it says nothing.
    static func openFiles(_ folder: String) -> Int? {
        var info = stat()
        guard unsafe stat(folder, &info) == 0, info.st_size > 0 else { return nil }
        return Int(info.st_size)
    }
}
