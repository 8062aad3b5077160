import Metrics
import Runtime

/// A control group's numbers under cAdvisor's names,
/// <https://github.com/google/cadvisor/blob/master/docs/storage/prometheus.md>, with its label `id`.
enum ContainerMetrics {
    private struct Row {
        let metric: Metric
        let value: @Sendable (CgroupUsage) -> Double?

        static func counter(_ name: String, _ help: String, _ value: @escaping @Sendable (CgroupUsage) -> Double?)
            -> Row
        {
            Row(metric: .counter("container_" + name, help), value: value)
        }

        static func gauge(_ name: String, _ help: String, _ value: @escaping @Sendable (CgroupUsage) -> Double?) -> Row
        {
            Row(metric: .gauge("container_" + name, help), value: value)
        }
    }

    private static let rows: [Row] = [
        .counter("cpu_usage_seconds_total", "CPU time.") { $0.cpuSeconds },
        .counter("cpu_user_seconds_total", "CPU time in user mode.") { $0.userSeconds },
        .counter("cpu_system_seconds_total", "CPU time in the kernel.") { $0.systemSeconds },
        .counter("cpu_cfs_periods_total", "Periods of the CPU limit that have passed.") { $0.periods.map(Double.init) },
        .counter("cpu_cfs_throttled_periods_total", "Periods in which the CPU limit stopped the container.") {
            $0.throttledPeriods.map(Double.init)
        },
        .counter("cpu_cfs_throttled_seconds_total", "Time for which the CPU limit stopped the container.") {
            $0.throttledSeconds
        },
        .gauge("spec_cpu_quota", "Microseconds of CPU allowed in a period.") { $0.quota.map(Double.init) },
        .gauge("spec_cpu_period", "Period of the CPU limit in microseconds.") { $0.period.map(Double.init) },
        .gauge("memory_usage_bytes", "Memory in use, page cache included.") { $0.memoryBytes.map(Double.init) },
        .gauge("memory_working_set_bytes", "Memory in use without page cache that could go at once.") { usage in
            usage.memoryBytes.map { Double(max(0, $0 - (usage.inactiveFileBytes ?? 0))) }
        },
        .gauge("memory_rss", "Memory that is no page cache, in bytes.") { $0.rssBytes.map(Double.init) },
        .gauge("memory_cache", "Page cache in bytes.") { $0.cacheBytes.map(Double.init) },
        .gauge("memory_swap", "Swap in use, in bytes.") { $0.swapBytes.map(Double.init) },
        // cAdvisor's word for no limit is 0.
        .gauge("spec_memory_limit_bytes", "Memory limit; 0 without one.") { usage in
            usage.memoryBytes.map { _ in Double(usage.memoryLimitBytes ?? 0) }
        },
        .counter("oom_events_total", "Processes killed because the memory limit was reached.") {
            $0.oomKills.map(Double.init)
        },
        .gauge("threads", "Threads and processes.") { $0.threads.map(Double.init) },
        .gauge("threads_max", "Threads and processes allowed; 0 without a limit.") { usage in
            usage.threads.map { _ in Double(usage.threadLimit ?? 0) }
        },
    ]

    private static let readBytes = Metric.counter("container_fs_reads_bytes_total", "Bytes read from the device.")
    private static let writeBytes = Metric.counter("container_fs_writes_bytes_total", "Bytes written to the device.")
    private static let reads = Metric.counter("container_fs_reads_total", "Reads of the device.")
    private static let writes = Metric.counter("container_fs_writes_total", "Writes to the device.")

    private static let waiting = ["cpu", "memory", "io"].map { resource in
        (
            resource,
            Metric.counter(
                "container_pressure_\(resource)_waiting_seconds_total",
                "Time for which some task waited for \(resource)."),
            Metric.counter(
                "container_pressure_\(resource)_stalled_seconds_total",
                "Time for which every task waited for \(resource).")
        )
    }

    static func families(_ usage: CgroupUsage, _ labels: Labels) -> [Family] {
        var families = rows.compactMap { row in row.value(usage).map { Family(row.metric, $0, labels) } }
        let devices = usage.devices.sorted { $0.key < $1.key }
        for (metric, value) in [
            (readBytes, \CgroupUsage.Device.readBytes), (writeBytes, \.writeBytes), (reads, \.reads),
            (writes, \.writes),
        ] where !devices.isEmpty {
            families.append(
                Family(
                    metric,
                    devices.map { Sample(labels.adding([Label("device", $0.key)]), Double($0.value[keyPath: value])) }))
        }
        for (resource, some, full) in waiting {
            guard let pressure = usage.pressure[resource] else { continue }
            if let seconds = pressure.some { families.append(Family(some, seconds, labels)) }
            if let seconds = pressure.full { families.append(Family(full, seconds, labels)) }
        }
        return families
    }

    /// Columns of `/proc/<pid>/net/dev`: 8 of receiving, 8 of sending.
    private static let columns: [(column: Int, metric: Metric)] = [
        (0, .counter("container_network_receive_bytes_total", "Bytes received in the service's network namespace.")),
        (
            1,
            .counter("container_network_receive_packets_total", "Packets received in the service's network namespace.")
        ),
        (2, .counter("container_network_receive_errors_total", "Packets received with an error.")),
        (3, .counter("container_network_receive_packets_dropped_total", "Packets dropped in receiving.")),
        (8, .counter("container_network_transmit_bytes_total", "Bytes sent in the service's network namespace.")),
        (9, .counter("container_network_transmit_packets_total", "Packets sent in the service's network namespace.")),
        (10, .counter("container_network_transmit_errors_total", "Packets sent with an error.")),
        (11, .counter("container_network_transmit_packets_dropped_total", "Packets dropped in sending.")),
    ]

    /// The network of a process is that of its namespace: a container's own, or the machine's.
    static func network(_ text: String) -> [Family] {
        let interfaces = KernelText.interfaces(text)
        return columns.map { column, metric in
            Family(metric, interfaces.map { Sample(Labels(["interface": $0.name]), $0.numbers[column]) })
        }
    }
}
