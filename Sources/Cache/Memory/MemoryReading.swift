import Runtime

/// How full the memory is that this process may use: of its control group, of the host.
public struct MemoryReading: Sendable, Equatable {
    /// Bytes in use, without what the kernel can drop at once, and how many there may be.
    public struct Usage: Sendable, Equatable {
        public var usedBytes: Int
        public var limitBytes: Int

        public init(usedBytes: Int, limitBytes: Int) {
            self.usedBytes = usedBytes
            self.limitBytes = limitBytes
        }

        public var share: Double { limitBytes > 0 ? Double(usedBytes) / Double(limitBytes) : 0 }
    }

    /// Nil without a limit.
    public var cgroup: Usage?
    public var host: Usage?
    /// Share of the last ten seconds, 0 to 1, in which some task waited for memory.
    public var stalledShare: Double?

    public init(cgroup: Usage? = nil, host: Usage? = nil, stalledShare: Double? = nil) {
        self.cgroup = cgroup
        self.host = host
        self.stalledShare = stalledShare
    }

    /// Reads /proc and /sys: control groups of version 2, and of version 1 where there is no other; the tightest limit
    /// between this process's group and the root counts. What cannot be read is left out: containers differ in what
    /// they show.
    ///
    /// - Parameter root: in front of both folders, for tests.
    public static func now(root: String = "") -> MemoryReading {
        MemoryReading(
            cgroup: unified(root) ?? legacy(root), host: host(text(root + "/proc/meminfo")),
            stalledShare: stalled(text(root + "/proc/pressure/memory")))
    }

    // MARK: Control groups
    // https://docs.kernel.org/admin-guide/cgroup-v2.html and https://docs.kernel.org/admin-guide/cgroup-v1/memory.html

    private static func unified(_ root: String) -> Usage? {
        guard let line = lines(root + "/proc/self/cgroup").first(where: { $0.hasPrefix("0::") }) else { return nil }
        return tightest(line.dropFirst("0::".count)) { path in
            usage(
                root + "/sys/fs/cgroup" + path, limit: "memory.max", used: "memory.current",
                reclaimable: "inactive_file")
        }
    }

    private static func legacy(_ root: String) -> Usage? {
        let line = lines(root + "/proc/self/cgroup").first { line in
            let parts = line.split(separator: ":", maxSplits: 2)
            return parts.count == 3 && parts[1].split(separator: ",").contains("memory")
        }
        guard let path = line?.split(separator: ":", maxSplits: 2).last else { return nil }
        return tightest(path) { path in
            usage(
                root + "/sys/fs/cgroup/memory" + path, limit: "memory.limit_in_bytes", used: "memory.usage_in_bytes",
                reclaimable: "total_inactive_file")
        }
    }

    /// The fullest of a group and those around it. In a container the path may be one of the host, which is not there;
    /// then the root of what is mounted is the container's own group.
    private static func tightest(
        _ path: Substring, _ usage: (String) -> Usage?
    ) -> Usage? {
        var fullest: Usage?
        var path = path == "/" ? "" : path
        while true {
            if let found = usage(String(path)), found.share > fullest?.share ?? -1 { fullest = found }
            guard let slash = path.lastIndex(of: "/") else { return fullest }
            path = path[..<slash]
        }
    }

    private static func usage(
        _ folder: String, limit: String, used: String, reclaimable: String
    ) -> Usage? {
        guard let limit = number(text(folder + "/" + limit)), let used = number(text(folder + "/" + used)),
            // Version 1 says "no limit" with a number that no machine has.
            limit > 0, limit < 1 << 60
        else { return nil }
        let stat = lines(folder + "/memory.stat").first { $0.hasPrefix(reclaimable + " ") }
        let cache = stat.flatMap { Int($0.dropFirst(reclaimable.count + 1)) } ?? 0
        return Usage(usedBytes: max(0, used - cache), limitBytes: limit)
    }

    // MARK: Host

    private static func host(_ text: String) -> Usage? {
        func kibibytes(_ name: String) -> Int? {
            let line = text.split(separator: "\n").first { $0.hasPrefix(name + ":") }
            return line?.split(separator: " ").dropFirst().first.flatMap { Int($0) }
        }
        guard let available = kibibytes("MemAvailable"), let total = kibibytes("MemTotal"), total > 0 else {
            return nil
        }
        return Usage(usedBytes: (total - available) * 1024, limitBytes: total * 1024)
    }

    /// `some avg10=1.23 avg60=…`, in percent. https://docs.kernel.org/accounting/psi.html
    private static func stalled(_ text: String) -> Double? {
        guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("some ") }),
            let field = line.split(separator: " ").first(where: { $0.hasPrefix("avg10=") }),
            let percent = Double(field.dropFirst("avg10=".count))
        else { return nil }
        return percent / 100
    }

    // MARK: Files

    private static func text(_ path: String) -> String {
        // Not every kernel and container has every file.
        guard Files.exists(path), let text = try? Files.readText(path, limitBytes: 1 << 20) else { return "" }
        return text
    }

    private static func lines(_ path: String) -> [Substring] { text(path).split(separator: "\n") }
    private static func number(_ text: String) -> Int? {
        text.split(whereSeparator: \.isWhitespace).first.flatMap { Int($0) }
    }
}
