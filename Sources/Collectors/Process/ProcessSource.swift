import Metrics
import Runtime

/// What this process costs, under the names that every exporter uses:
/// <https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>, and the two network counters of
/// client_golang. Read from `/proc/self`, in four small files and a folder.
public struct ProcessSource: MetricSource {
    private static let collector = "process"
    private static let cpu = Metric.counter(
        "process_cpu_seconds_total", "Total user and system CPU time spent in seconds.")
    private static let openFiles = Metric.gauge("process_open_fds", "Number of open file descriptors.")
    private static let maxFiles = Metric.gauge("process_max_fds", "Maximum number of open file descriptors.")
    private static let virtualMemory = Metric.gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.")
    private static let virtualMemoryMax = Metric.gauge(
        "process_virtual_memory_max_bytes", "Maximum amount of virtual memory available in bytes.")
    private static let residentMemory = Metric.gauge("process_resident_memory_bytes", "Resident memory size in bytes.")
    private static let startTime = Metric.gauge(
        "process_start_time_seconds", "Start time of the process since unix epoch in seconds.")
    private static let received = Metric.counter(
        "process_network_receive_bytes_total", "Number of bytes received by the process over the network.")
    private static let sent = Metric.counter(
        "process_network_transmit_bytes_total", "Number of bytes sent by the process over the network.")

    static let metrics = [
        cpu, openFiles, maxFiles, virtualMemory, virtualMemoryMax, residentMemory, startTime, received, sent,
    ]

    private let root: String

    public init() { self.init(root: "/proc") }

    /// - Parameter root: where to look instead of `/proc`, for tests.
    init(root: String) { self.root = root }

    public func collect(_ round: CollectionRound) async -> [Collected] { collectedWhenLate(round) }

    /// Nothing here waits for anybody, so it is never late. What the system does not tell is left out.
    public func collectedWhenLate(_ round: CollectionRound) -> [Collected] {
        guard round.selection.contains(Self.collector) else { return [] }
        let families = [
            Family(Self.cpu, processCPUTime().seconds),
            files, Family(Self.maxFiles, limit("Max open files")),
            Family(Self.virtualMemoryMax, limit("Max address space")),
        ]
        return [Collected(Self.collector, (families + status + network).filter { !$0.samples.isEmpty })]
    }

    private var files: Family {
        guard let names = try? Files.list(root + "/self/fd") else { return Family(Self.openFiles) }
        // One of them is the folder that was just read.
        return Family(Self.openFiles, Double(names.count - 1))
    }

    /// The fields of `/proc/self/stat` behind the name, which ends with the last `)`: proc_pid_stat(5).
    private var status: [Family] {
        guard let text = try? Files.readText(root + "/self/stat"), let name = text.lastIndex(of: ")") else { return [] }
        let fields = text[text.index(after: name)...].split(separator: " ")
        // The state, field 3, is the first one here.
        func field(_ number: Int) -> Double? { fields.count > number - 3 ? Double(fields[number - 3]) : nil }
        return [
            Family(Self.virtualMemory, field(23)),
            Family(Self.residentMemory, field(24).map { $0 * Double(Kernel.pageBytes) }),
            Family(Self.startTime, startTime(ticks: field(22))),
        ]
    }

    private func startTime(ticks: Double?) -> Double? {
        guard let ticks, let bootTime else { return nil }
        return bootTime + ticks / Kernel.ticksPerSecond
    }

    /// Seconds since 1970 when the machine started, from the line `btime` of `/proc/stat`.
    private var bootTime: Double? {
        guard let text = try? Files.readText(root + "/stat"),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix("btime ") })
        else { return nil }
        return Double(line.dropFirst("btime ".count))
    }

    /// The soft limit of a line of `/proc/self/limits`; unlimited is told as the largest 64-bit number, as others do.
    private func limit(_ name: String) -> Double? {
        guard let text = try? Files.readText(root + "/self/limits"),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix(name) }),
            let soft = line.dropFirst(name.count).split(separator: " ").first
        else { return nil }
        return soft == "unlimited" ? Double(UInt64.max) : Double(soft)
    }

    /// `InOctets` and `OutOctets` of the network namespace we are in: a header line names the numbers of the next one.
    private var network: [Family] {
        guard let text = try? Files.readText(root + "/self/net/netstat") else { return [] }
        let lines = text.split(separator: "\n").filter { $0.hasPrefix("IpExt:") }
        guard lines.count == 2 else { return [] }
        let names = lines[0].split(separator: " ")
        let numbers = lines[1].split(separator: " ")
        func number(_ name: Substring) -> Double? {
            guard let index = names.firstIndex(of: name), index < numbers.count else { return nil }
            return Double(numbers[index])
        }
        return [Family(Self.received, number("InOctets")), Family(Self.sent, number("OutOctets"))]
    }
}

extension Family {
    /// Without a number, a family without samples.
    fileprivate init(_ metric: Metric, _ value: Double?) {
        self.init(metric, value.map { [Sample(.none, $0)] } ?? [])
    }
}
