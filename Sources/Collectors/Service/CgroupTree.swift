import Metrics
import Runtime

/// Control groups: what a container or unit uses and may use. Version 2, version 1, and both beside each other.
///
/// Formats: <https://docs.kernel.org/admin-guide/cgroup-v2.html> and <https://docs.kernel.org/admin-guide/cgroup-v1/>.
struct CgroupTree: Sendable {
    /// `/sys/fs/cgroup`, or a folder that looks like it.
    let root: String

    init(root: String = "/sys/fs/cgroup") { self.root = root }

    /// The control group of a process, seen from the root; nil when it is the root itself, which has no numbers of its own.
    func path(of pid: Int, _ tree: ProcessTree) -> String? {
        let text = (try? Files.readText("\(tree.root)/\(pid)/cgroup")) ?? ""
        let paths = text.split(separator: "\n").compactMap { line -> (controllers: Substring, path: String)? in
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            return fields.count == 3 ? (fields[1], String(fields[2])) : nil
        }
        let unified = paths.first { $0.controllers.isEmpty }
        let memory = paths.first { $0.controllers.split(separator: ",").contains("memory") }
        return [memory, unified].compactMap { $0?.path }.first { $0 != "/" }
    }

    /// Processes of a group and of those below it.
    func pids(of path: String) -> [Int] {
        for folder in folders(path, of: ["pids", "memory", "cpu", "systemd"]) + unifiedFolders(path) {
            let found = pids(in: folder)
            if !found.isEmpty { return found }
        }
        return []
    }

    private func pids(in folder: String) -> [Int] {
        let own = (try? Files.readText(folder + "/cgroup.procs")) ?? ""
        let below = ((try? Files.list(folder)) ?? []).filter { Files.exists("\(folder)/\($0)/cgroup.procs") }
        return own.split(separator: "\n").compactMap { Int($0) } + below.flatMap { pids(in: "\(folder)/\($0)") }
    }

    func families(_ path: String) -> [Family] {
        let reader = CgroupReader(
            unified: unifiedFolders(path).first, cpu: folders(path, of: ["cpu", "cpu,cpuacct"]).first,
            cpuacct: folders(path, of: ["cpuacct", "cpu,cpuacct"]).first,
            memory: folders(path, of: ["memory"]).first, pids: folders(path, of: ["pids"]).first,
            blkio: folders(path, of: ["blkio"]).first)
        return ContainerMetrics.families(reader.read(), Labels(["id": path]))
    }

    /// The group in version 1's trees of these controllers, where there are such.
    private func folders(_ path: String, of controllers: [String]) -> [String] {
        controllers.map { "\(root)/\($0)\(relative(path))" }.filter(Files.exists)
    }

    /// The group in version 2's tree, which may stand beside version 1's.
    private func unifiedFolders(_ path: String) -> [String] {
        [root + relative(path), "\(root)/unified\(relative(path))"].filter { Files.exists($0 + "/cgroup.procs") }
    }

    /// People write a group's path with the root, without it, and without the slash.
    private func relative(_ path: String) -> String {
        let inside = path.hasPrefix(root + "/") ? String(path.dropFirst(root.count)) : path
        return inside.hasPrefix("/") ? inside : "/" + inside
    }
}

/// What a control group tells; nil where it does not.
struct CgroupUsage {
    struct Device {
        var readBytes = 0
        var writeBytes = 0
        var reads = 0
        var writes = 0
    }

    var cpuSeconds: Double?
    var userSeconds: Double?
    var systemSeconds: Double?
    var periods: Int?
    var throttledPeriods: Int?
    var throttledSeconds: Double?
    /// Microseconds of CPU in a period; nil without a limit.
    var quota: Int?
    var period: Int?
    var memoryBytes: Int?
    var memoryLimitBytes: Int?
    var rssBytes: Int?
    var cacheBytes: Int?
    var inactiveFileBytes: Int?
    var swapBytes: Int?
    var oomKills: Int?
    var threads: Int?
    var threadLimit: Int?
    /// By `major:minor`.
    var devices: [String: Device] = [:]
    /// By resource: `cpu`, `memory`, `io`.
    var pressure: [String: (some: Double?, full: Double?)] = [:]
}

/// The folders of one control group, and how they are read.
struct CgroupReader {
    let unified: String?
    let cpu: String?
    let cpuacct: String?
    let memory: String?
    let pids: String?
    let blkio: String?

    func read() -> CgroupUsage {
        var usage = CgroupUsage()
        if let unified { readUnified(unified, &usage) }
        if let cpu { readCPU(cpu, &usage) }
        if let cpuacct { readAccounting(cpuacct, &usage) }
        if let memory { readMemory(memory, &usage) }
        if let pids {
            usage.threads = KernelText.number(pids + "/pids.current")
            usage.threadLimit = KernelText.number(pids + "/pids.max")
        }
        if let blkio { readBlocks(blkio, &usage) }
        return usage
    }

    // MARK: Version 2

    private func readUnified(_ folder: String, _ usage: inout CgroupUsage) {
        let cpu = numbers(folder + "/cpu.stat")
        usage.cpuSeconds = cpu["usage_usec"].map { Double($0) / 1e6 }
        usage.userSeconds = cpu["user_usec"].map { Double($0) / 1e6 }
        usage.systemSeconds = cpu["system_usec"].map { Double($0) / 1e6 }
        usage.periods = cpu["nr_periods"]
        usage.throttledPeriods = cpu["nr_throttled"]
        usage.throttledSeconds = cpu["throttled_usec"].map { Double($0) / 1e6 }
        let limit = text(folder + "/cpu.max").split(whereSeparator: \.isWhitespace)
        usage.quota = limit.first.flatMap { Int($0) }
        usage.period = limit.count > 1 ? Int(limit[1]) : nil
        usage.memoryBytes = KernelText.number(folder + "/memory.current")
        usage.memoryLimitBytes = KernelText.number(folder + "/memory.max")
        usage.swapBytes = KernelText.number(folder + "/memory.swap.current")
        let memory = numbers(folder + "/memory.stat")
        usage.rssBytes = memory["anon"]
        usage.cacheBytes = memory["file"]
        usage.inactiveFileBytes = memory["inactive_file"]
        usage.oomKills = numbers(folder + "/memory.events")["oom_kill"]
        usage.threads = KernelText.number(folder + "/pids.current")
        usage.threadLimit = KernelText.number(folder + "/pids.max")
        for line in text(folder + "/io.stat").split(separator: "\n") { readDevice(line, &usage) }
        for resource in ["cpu", "memory", "io"] {
            guard let text = try? Files.readText("\(folder)/\(resource).pressure") else { continue }
            usage.pressure[resource] = KernelText.pressure(text)
        }
    }

    /// `8:0 rbytes=… wbytes=… rios=… wios=… dbytes=… dios=…`
    private func readDevice(_ line: Substring, _ usage: inout CgroupUsage) {
        let words = line.split(separator: " ")
        guard let name = words.first else { return }
        var device = CgroupUsage.Device()
        for word in words.dropFirst() {
            let pair = word.split(separator: "=")
            guard pair.count == 2, let number = Int(pair[1]) else { continue }
            switch pair[0] {
            case "rbytes": device.readBytes = number
            case "wbytes": device.writeBytes = number
            case "rios": device.reads = number
            case "wios": device.writes = number
            default: break
            }
        }
        usage.devices[String(name)] = device
    }

    // MARK: Version 1

    private func readCPU(_ folder: String, _ usage: inout CgroupUsage) {
        let stat = numbers(folder + "/cpu.stat")
        usage.periods = stat["nr_periods"]
        usage.throttledPeriods = stat["nr_throttled"]
        usage.throttledSeconds = stat["throttled_time"].map { Double($0) / 1e9 }
        usage.quota = KernelText.number(folder + "/cpu.cfs_quota_us").flatMap { $0 > 0 ? $0 : nil }
        usage.period = KernelText.number(folder + "/cpu.cfs_period_us")
    }

    private func readAccounting(_ folder: String, _ usage: inout CgroupUsage) {
        usage.cpuSeconds = KernelText.number(folder + "/cpuacct.usage").map { Double($0) / 1e9 }
        let stat = numbers(folder + "/cpuacct.stat")
        usage.userSeconds = stat["user"].map { Double($0) / Kernel.ticksPerSecond }
        usage.systemSeconds = stat["system"].map { Double($0) / Kernel.ticksPerSecond }
    }

    private func readMemory(_ folder: String, _ usage: inout CgroupUsage) {
        usage.memoryBytes = KernelText.number(folder + "/memory.usage_in_bytes")
        // No limit is the largest multiple of a page there is.
        usage.memoryLimitBytes = KernelText.number(folder + "/memory.limit_in_bytes").flatMap {
            $0 < 1 << 60 ? $0 : nil
        }
        let stat = numbers(folder + "/memory.stat")
        usage.rssBytes = stat["total_rss"]
        usage.cacheBytes = stat["total_cache"]
        usage.inactiveFileBytes = stat["total_inactive_file"]
        usage.swapBytes = stat["total_swap"]
        usage.oomKills = numbers(folder + "/memory.oom_control")["oom_kill"]
    }

    /// Lines of `8:0 Read 1234`.
    private func readBlocks(_ folder: String, _ usage: inout CgroupUsage) {
        for (file, isBytes) in [("blkio.throttle.io_service_bytes", true), ("blkio.throttle.io_serviced", false)] {
            for line in text("\(folder)/\(file)").split(separator: "\n") {
                let words = line.split(separator: " ")
                guard words.count == 3, let number = Int(words[2]) else { continue }
                var device = usage.devices[String(words[0])] ?? CgroupUsage.Device()
                switch (words[1], isBytes) {
                case ("Read", true): device.readBytes = number
                case ("Write", true): device.writeBytes = number
                case ("Read", false): device.reads = number
                case ("Write", false): device.writes = number
                default: continue
                }
                usage.devices[String(words[0])] = device
            }
        }
    }

    private func text(_ path: String) -> String { (try? Files.readText(path)) ?? "" }
    private func numbers(_ path: String) -> [String: Int] { KernelText.numbers(text(path)) }
}
