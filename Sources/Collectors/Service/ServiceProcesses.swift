import Metrics
import Runtime

/// The processes of the watched service as process-exporter tells them: summed, in one group.
///
/// A plain value that is asked again and again: it remembers what each process had used, so that the group's counters do
/// not fall when one of its processes ends.
struct ServiceProcesses {
    private let tree: ProcessTree
    private var totals = CounterTotals()
    private var partialErrors = 0
    private var emptyRounds = 0

    init(_ tree: ProcessTree) { self.tree = tree }

    /// - Parameter name: of the group; the oldest process' name when there is none.
    mutating func families(_ pids: [Int], name: String?) -> [Family] {
        let processes = pids.compactMap { pid in tree.stat(pid).map { (pid: pid, stat: $0) } }
        var reading = Reading()
        var used: [ProcessTree.Identity: [Double]] = [:]
        for (pid, stat) in processes {
            let identity = ProcessTree.Identity(pid: pid, startTicks: stat.startTicks)
            used[identity] = read(pid, stat, into: &reading)
        }
        let counters = totals.update(used)
        if processes.isEmpty { emptyRounds += 1 }
        let oldest = processes.min { $0.stat.startTicks < $1.stat.startTicks }
        let group = name ?? oldest?.stat.name ?? "service"
        var families = [
            Family(ServiceMetrics.up, processes.isEmpty ? 0 : 1),
            Family(ServiceMetrics.scrapeErrors, Double(emptyRounds)),
            Family(ServiceMetrics.partialErrors, Double(partialErrors)),
        ]
        guard let oldest else { return families }
        families += Self.families(reading, counters, Labels(["groupname": group]), processes: processes.count)
        if let boot = tree.bootTime() {
            let start = Double(boot) + Double(oldest.stat.startTicks) / Kernel.ticksPerSecond
            families.append(Family(ServiceMetrics.startTime, start, Labels(["groupname": group])))
        }
        return families
    }

    /// What is true at the moment, summed over the processes.
    private struct Reading {
        var resident = 0
        var virtual = 0
        var swapped = 0
        var threads = 0
        var states = [Int](repeating: 0, count: ServiceMetrics.states.count)
        var descriptors: Int?
        var worstDescriptorRatio: Double?
    }

    private mutating func read(_ pid: Int, _ stat: ProcessStat, into reading: inout Reading) -> [Double] {
        reading.resident += stat.residentPages * Kernel.pageBytes
        reading.virtual += stat.virtualBytes
        reading.threads += stat.threads
        let state = ServiceMetrics.states.firstIndex { $0.letter == stat.state } ?? ServiceMetrics.states.count - 1
        reading.states[state] += 1
        let status = tree.numbers(pid, "status") ?? [:]
        reading.swapped += (status["VmSwap"] ?? 0) * 1024
        let io = tree.numbers(pid, "io")
        let descriptors = tree.descriptors(pid)
        if let descriptors {
            reading.descriptors = (reading.descriptors ?? 0) + descriptors.open
            if let limit = descriptors.limit, limit > 0 {
                let ratio = Double(descriptors.open) / Double(limit)
                reading.worstDescriptorRatio = max(reading.worstDescriptorRatio ?? 0, ratio)
            }
        }
        // Another user's process: its input, output and descriptors are not ours to see.
        if io == nil || descriptors == nil { partialErrors += 1 }
        return [
            Double(stat.userTicks) / Kernel.ticksPerSecond, Double(stat.systemTicks) / Kernel.ticksPerSecond,
            Double(stat.majorFaults), Double(stat.minorFaults), Double(status["voluntary_ctxt_switches"] ?? 0),
            Double(status["nonvoluntary_ctxt_switches"] ?? 0), Double(io?["read_bytes"] ?? 0),
            Double(io?["write_bytes"] ?? 0),
        ]
    }

    private static func families(
        _ reading: Reading, _ counters: [Double], _ group: Labels, processes: Int
    ) -> [Family] {
        func family(_ metric: Metric, _ label: String, _ values: [(String, Double)]) -> Family {
            Family(metric, values.map { Sample(group.adding([Label(label, $0)]), $1) })
        }
        var families = [
            Family(ServiceMetrics.processes, Double(processes), group),
            family(ServiceMetrics.cpu, "mode", [("user", counters[0]), ("system", counters[1])]),
            Family(ServiceMetrics.majorFaults, counters[2], group),
            Family(ServiceMetrics.minorFaults, counters[3], group),
            family(
                ServiceMetrics.contextSwitches, "ctxswitchtype",
                [("voluntary", counters[4]), ("nonvoluntary", counters[5])]),
            Family(ServiceMetrics.readBytes, counters[6], group),
            Family(ServiceMetrics.writeBytes, counters[7], group),
            family(
                ServiceMetrics.memory, "memtype",
                [
                    ("resident", Double(reading.resident)), ("virtual", Double(reading.virtual)),
                    ("swapped", Double(reading.swapped)),
                ]),
            Family(ServiceMetrics.threads, Double(reading.threads), group),
            family(
                ServiceMetrics.state, "state",
                zip(ServiceMetrics.states, reading.states).map { ($0.name, Double($1)) }),
        ]
        if let open = reading.descriptors { families.append(Family(ServiceMetrics.descriptors, Double(open), group)) }
        if let ratio = reading.worstDescriptorRatio {
            families.append(Family(ServiceMetrics.worstDescriptorRatio, ratio, group))
        }
        return families
    }
}

/// Counters of a group whose members come and go: what a member had used stays in the sum when it ends.
struct CounterTotals {
    private var last: [ProcessTree.Identity: [Double]] = [:]
    private var totals: [Double] = []

    /// - Parameter used: what each present member has used since it began, all of one length.
    mutating func update(_ used: [ProcessTree.Identity: [Double]]) -> [Double] {
        for (member, now) in used {
            if totals.isEmpty { totals = Array(repeating: 0, count: now.count) }
            for index in now.indices {
                // A file that could not be read once counts as zero then, and its sum shall not be added twice.
                let before = last[member]?[index] ?? 0
                totals[index] += max(0, now[index] - before)
            }
        }
        last = used.merging(last.filter { used[$0.key] != nil }) { now, before in zip(now, before).map(max) }
        return totals
    }
}

/// Names of <https://github.com/ncabatoff/process-exporter>, and one of ours.
enum ServiceMetrics {
    static let up = Metric.gauge("outrigger_service_up", "Whether a process of the watched service was found.")
    static let processes = Metric.gauge("namedprocess_namegroup_num_procs", "Processes in this group.")
    static let cpu = Metric.counter("namedprocess_namegroup_cpu_seconds_total", "CPU time in seconds.")
    static let readBytes = Metric.counter(
        "namedprocess_namegroup_read_bytes_total", "Bytes that this group caused to be read from storage.")
    static let writeBytes = Metric.counter(
        "namedprocess_namegroup_write_bytes_total", "Bytes that this group caused to be written to storage.")
    static let majorFaults = Metric.counter(
        "namedprocess_namegroup_major_page_faults_total", "Page faults that waited for storage.")
    static let minorFaults = Metric.counter(
        "namedprocess_namegroup_minor_page_faults_total", "Page faults that memory could serve.")
    static let contextSwitches = Metric.counter(
        "namedprocess_namegroup_context_switches_total", "Context switches of the processes' main threads.")
    static let memory = Metric.gauge("namedprocess_namegroup_memory_bytes", "Memory in use.")
    static let descriptors = Metric.gauge("namedprocess_namegroup_open_filedesc", "Open file descriptors.")
    static let worstDescriptorRatio = Metric.gauge(
        "namedprocess_namegroup_worst_fd_ratio",
        "Open file descriptors over their limit, of the process that is closest to it.")
    static let startTime = Metric.gauge(
        "namedprocess_namegroup_oldest_start_time_seconds",
        "When the oldest process of the group started, in seconds since 1970.")
    static let threads = Metric.gauge("namedprocess_namegroup_num_threads", "Threads.")
    static let state = Metric.gauge("namedprocess_namegroup_states", "Processes by state.")
    static let scrapeErrors = Metric.counter(
        "namedprocess_scrape_errors", "Collections that found no process of the service.")
    static let partialErrors = Metric.counter(
        "namedprocess_scrape_partial_errors", "Processes whose I/O or descriptors could not be read.")

    static let states: [(letter: Character, name: String)] = [
        ("R", "Running"), ("S", "Sleeping"), ("D", "Waiting"), ("Z", "Zombie"), ("?", "Other"),
    ]
}
