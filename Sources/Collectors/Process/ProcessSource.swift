import Metrics
import Runtime

/// What this process costs, under the names that every exporter uses:
/// <https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>, and the two network counters of
/// client_golang. Read from two small files of `/proc/self`.
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
    /// When this process began does not change: the clock and the ticks are read once.
    private let startedAt: Double?

    public init() { self.init(root: "/proc") }

    /// - Parameter root: where to look instead of `/proc`, for tests.
    init(root: String) {
        self.root = root
        startedAt = Self.startTime(root)
    }

    public func collect(_ round: CollectionRound) async -> [Collected] { collectedWhenLate(round) }

    /// Nothing here waits for anybody, so it is never late. What the system does not tell is left out.
    public func collectedWhenLate(_ round: CollectionRound) -> [Collected] {
        guard round.selection.contains(Self.collector) else { return [] }
        let families =
            [
                Family(Self.cpu, processCPUTime().seconds), Family(Self.openFiles, openFiles),
                Family(Self.maxFiles, Kernel.limit(.openFiles)),
                Family(Self.virtualMemoryMax, Kernel.limit(.addressSpace)), Family(Self.startTime, startedAt),
            ] + memory + network
        return [Collected(Self.collector, families.filter { !$0.samples.isEmpty })]
    }

    private var openFiles: Double? {
        if let count = Kernel.openFiles(root + "/self/fd") { return Double(count) }
        // One of the names is the folder that is being read.
        return (try? Files.list(root + "/self/fd")).map { Double($0.count - 1) }
    }

    private var memory: [Family] {
        guard let stat = try? Files.read(root + "/self/stat") else { return [] }
        let text = stat.span
        return [
            Family(Self.virtualMemory, Self.field(23, text)),
            Family(Self.residentMemory, Self.field(24, text).map { $0 * Double(Kernel.pageBytes) }),
        ]
    }

    /// A field of `/proc/self/stat` behind the second one, the name, which ends with the last `)`: proc_pid_stat(5).
    private static func field(_ number: Int, _ text: Span<UInt8>) -> Double? {
        var place = text.count - 1
        while place >= 0, text[place] != UInt8(ascii: ")") { place -= 1 }
        var words = Words(place + 1..<text.count)
        for _ in 3..<number { _ = words.next(text) }
        return words.next(text).flatMap { text.number($0) }
    }

    /// Ticks after the start of the machine, whose time in seconds since 1970 is the line `btime` of `/proc/stat`.
    private static func startTime(_ root: String) -> Double? {
        guard let stat = try? Files.read(root + "/self/stat"), let ticks = field(22, stat.span),
            let machine = try? Files.read(root + "/stat"), let boot = value(after: "btime", machine.span)
        else { return nil }
        return boot + ticks / Kernel.ticksPerSecond
    }

    private static func value(after name: String, _ text: Span<UInt8>) -> Double? {
        let name = Array(name.utf8)
        var start = 0
        while start < text.count {
            let end = text.firstIndex(of: UInt8(ascii: "\n"), in: start..<text.count) ?? text.count
            var words = Words(start..<end)
            if let first = words.next(text), text.equals(first, name) {
                return words.next(text).flatMap { text.number($0) }
            }
            start = end + 1
        }
        return nil
    }

    private static let networkPrefix = Array("IpExt:".utf8)
    private static let networkNames = ["InOctets", "OutOctets"].map { Array($0.utf8) }

    /// The network namespace we are in: a line of names, and under it one of their numbers.
    private var network: [Family] {
        guard let bytes = try? Files.read(root + "/self/net/netstat") else { return [] }
        let text = bytes.span
        var lines: [Range<Int>] = []
        var start = 0
        while start < text.count {
            let end = text.firstIndex(of: UInt8(ascii: "\n"), in: start..<text.count) ?? text.count
            if text.hasPrefix(start..<end, Self.networkPrefix) { lines.append(start..<end) }
            start = end + 1
        }
        guard lines.count == 2 else { return [] }
        var names = Words(lines[0])
        var numbers = Words(lines[1])
        var found: [Double?] = [nil, nil]
        while let name = names.next(text), let number = numbers.next(text) {
            for (index, wanted) in Self.networkNames.enumerated() where text.equals(name, wanted) {
                found[index] = text.number(number)
            }
        }
        return [Family(Self.received, found[0]), Family(Self.sent, found[1])]
    }
}

/// Walks over words with single spaces between them.
private struct Words {
    private var rest: Range<Int>

    init(_ range: Range<Int>) { rest = range }

    mutating func next(_ text: Span<UInt8>) -> Range<Int>? {
        while !rest.isEmpty, text[rest.lowerBound] == UInt8(ascii: " ") { rest = rest.lowerBound + 1..<rest.upperBound }
        guard !rest.isEmpty else { return nil }
        let end = text.firstIndex(of: UInt8(ascii: " "), in: rest) ?? rest.upperBound
        defer { rest = min(end + 1, rest.upperBound)..<rest.upperBound }
        return rest.lowerBound..<end
    }
}

extension Family {
    /// Without a number, a family without samples.
    fileprivate init(_ metric: Metric, _ value: Double?) {
        self.init(metric, value.map { [Sample(.none, $0)] } ?? [])
    }
}
