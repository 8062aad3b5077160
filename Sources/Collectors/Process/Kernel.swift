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
}
