import Metrics

/// A file of `/proc` that tells of the machine, and how it is read. Another is a row here.
///
/// Names and units are those of <https://github.com/prometheus/node_exporter>, of whose collectors these are the ones that
/// say why a service is slow.
struct HostFile: Sendable {
    let path: String
    let read: @Sendable (String) -> [Family]

    static let pressure: [HostFile] = [
        HostFile(path: "loadavg", read: load),
        HostFile(path: "pressure/cpu") { readPressure("cpu", $0, full: nil) },
        HostFile(path: "pressure/io") { readPressure("io", $0, full: "stalled") },
        HostFile(path: "pressure/memory") { readPressure("memory", $0, full: "stalled") },
    ]

    static let resources: [HostFile] = [
        HostFile(path: "stat", read: cpu),
        HostFile(path: "meminfo", read: memory),
        HostFile(path: "diskstats", read: disks),
        HostFile(path: "net/dev", read: network),
    ]

    /// `0.52 0.58 0.59 1/467 12345`
    private static func load(_ text: String) -> [Family] {
        zip(loads, text.split(separator: " ")).compactMap { metric, word in Double(word).map { Family(metric, $0) } }
    }

    private static let loads: [Metric] = [
        .gauge("node_load1", "Load average over 1 minute."), .gauge("node_load5", "Load average over 5 minutes."),
        .gauge("node_load15", "Load average over 15 minutes."),
    ]

    private static func readPressure(_ resource: String, _ text: String, full: String?) -> [Family] {
        let pressure = KernelText.pressure(text)
        var families: [Family] = []
        if let some = pressure.some, let metric = pressures["\(resource)_waiting"] {
            families.append(Family(metric, some))
        }
        if let full, let stalled = pressure.full, let metric = pressures["\(resource)_\(full)"] {
            families.append(Family(metric, stalled))
        }
        return families
    }

    private static let pressures: [String: Metric] = {
        var metrics: [String: Metric] = [:]
        for resource in ["cpu", "io", "memory"] {
            metrics["\(resource)_waiting"] = .counter(
                "node_pressure_\(resource)_waiting_seconds_total", "Time for which some task waited for \(resource).")
            metrics["\(resource)_stalled"] = .counter(
                "node_pressure_\(resource)_stalled_seconds_total", "Time for which every task waited for \(resource).")
        }
        return metrics
    }()

    // MARK: CPU and memory

    private static let modes = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"]
    private static let cpuTime = Metric.counter("node_cpu_seconds_total", "Seconds the CPUs spent in each mode.")

    /// Lines of `cpu0 user nice system idle iowait irq softirq steal …` in ticks; the first sums them up and is left out.
    private static func cpu(_ text: String) -> [Family] {
        var family = Family(cpuTime)
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            guard let name = words.first, name.hasPrefix("cpu"), let index = Int(name.dropFirst(3)) else { continue }
            for (mode, word) in zip(modes, words.dropFirst()) {
                guard let ticks = Double(word) else { continue }
                family.samples.append(
                    Sample(Labels(["cpu": "\(index)", "mode": mode]), ticks / Kernel.ticksPerSecond))
            }
        }
        return [family]
    }

    private static let memoryFields: [(field: String, metric: Metric)] = [
        "MemTotal", "MemFree", "MemAvailable", "Buffers", "Cached", "SwapTotal", "SwapFree", "Dirty",
    ].map { ($0, .gauge("node_memory_\($0)_bytes", "\($0) of /proc/meminfo.")) }

    private static func memory(_ text: String) -> [Family] {
        let numbers = KernelText.numbers(text)
        return memoryFields.compactMap { field, metric in numbers[field].map { Family(metric, Double($0) * 1024) } }
    }

    // MARK: Disks and network

    /// Columns of `/proc/diskstats` behind the device's name, and what one of them is in the metric's unit.
    private static let diskColumns: [(column: Int, unit: Double, metric: Metric)] = [
        (0, 1, .counter("node_disk_reads_completed_total", "Reads completed.")),
        (2, 512, .counter("node_disk_read_bytes_total", "Bytes read.")),
        (3, 0.001, .counter("node_disk_read_time_seconds_total", "Time spent by all reads.")),
        (4, 1, .counter("node_disk_writes_completed_total", "Writes completed.")),
        (6, 512, .counter("node_disk_written_bytes_total", "Bytes written.")),
        (7, 0.001, .counter("node_disk_write_time_seconds_total", "Time spent by all writes.")),
        (8, 1, .gauge("node_disk_io_now", "Reads and writes under way.")),
        (9, 0.001, .counter("node_disk_io_time_seconds_total", "Time in which reads or writes were under way.")),
    ]

    /// Whole disks: node_exporter leaves out the same devices and partitions.
    private static func disks(_ text: String) -> [Family] {
        let devices = text.split(separator: "\n").map { $0.split(separator: " ") }
            .filter { $0.count >= 13 && !isIgnored($0[2]) }
        return diskColumns.map { column, unit, metric in
            Family(
                metric,
                devices.compactMap { words in
                    Double(words[3 + column]).map { Sample(Labels(["device": String(words[2])]), $0 * unit) }
                })
        }
    }

    /// `ram0`, `loop1`, `fd0`, and partitions: `sda1`, `vdb2`, `nvme0n1p1`.
    private static func isIgnored(_ device: Substring) -> Bool {
        guard let last = device.last, last.isNumber else { return false }
        let stem = device[..<(device.lastIndex { !$0.isNumber }.map(device.index(after:)) ?? device.startIndex)]
        if ["ram", "loop", "fd", "z"].contains(stem) || stem == "zram" { return true }
        if stem.hasPrefix("nvme") { return stem.hasSuffix("p") }
        return ["hd", "sd", "vd", "xvd"].contains { stem.hasPrefix($0) && stem.count == $0.count + 1 }
    }

    private static let networkColumns: [(column: Int, metric: Metric)] = [
        (0, .counter("node_network_receive_bytes_total", "Bytes received.")),
        (1, .counter("node_network_receive_packets_total", "Packets received.")),
        (2, .counter("node_network_receive_errs_total", "Packets received with an error.")),
        (3, .counter("node_network_receive_drop_total", "Packets dropped in receiving.")),
        (8, .counter("node_network_transmit_bytes_total", "Bytes sent.")),
        (9, .counter("node_network_transmit_packets_total", "Packets sent.")),
        (10, .counter("node_network_transmit_errs_total", "Packets sent with an error.")),
        (11, .counter("node_network_transmit_drop_total", "Packets dropped in sending.")),
    ]

    private static func network(_ text: String) -> [Family] {
        let interfaces = KernelText.interfaces(text)
        return networkColumns.map { column, metric in
            Family(metric, interfaces.map { Sample(Labels(["device": $0.name]), $0.numbers[column]) })
        }
    }
}
