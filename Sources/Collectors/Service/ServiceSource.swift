import Metrics
import Runtime

/// Where the watched service is found.
public struct ServiceSettings: Sendable, Equatable {
    /// Group name of its processes; the oldest process' name when nil.
    public let name: String?
    let pidFile: String?
    let port: UInt16?
    let cgroup: String?

    public init(_ settings: Settings) throws(SettingsError) {
        func text(_ name: String, _ help: String) throws(SettingsError) -> String? {
            let text: String? = try settings.read(name, help)
            return text?.isEmpty == true ? nil : text
        }
        name = try text(
            "service.name", "Name of the watched service in namedprocess_* metrics; by default its process'.")
        pidFile = try text(
            "service.pid_file", "File with the process id of the service to watch; what it started is watched with it.")
        let number = try settings.read(
            "service.port", default: 0, "TCP port on which the service to watch listens; 0 for none.", in: 0...65_535)
        port = number == 0 ? nil : UInt16(number)
        cgroup = try text(
            "service.cgroup", "Control group of the service to watch, such as /system.slice/shop.service.")
    }

    init(name: String? = nil, pidFile: String? = nil, port: UInt16? = nil, cgroup: String? = nil) {
        self.name = name
        self.pidFile = pidFile
        self.port = port
        self.cgroup = cgroup
    }

    /// Whether anything is to be watched.
    public var isSet: Bool { pidFile != nil || port != nil || cgroup != nil }
}

/// The process and the container of the watched service.
public actor ServiceSource: MetricSource {
    /// The name that `collect[]=` knows.
    public static let collector = "service"

    private let thread = BlockingThread("service")
    private let settings: ServiceSettings
    private let tree: ProcessTree
    private let cgroups: CgroupTree
    private var processes: ServiceProcesses
    private var listeners: (pids: [ProcessTree.Identity], found: ContinuousClock.Instant)?

    public nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe thread.asUnownedSerialExecutor() }

    public init(_ settings: ServiceSettings) {
        self.init(settings, tree: ProcessTree(), cgroups: CgroupTree())
    }

    init(_ settings: ServiceSettings, tree: ProcessTree, cgroups: CgroupTree) {
        self.settings = settings
        self.tree = tree
        self.cgroups = cgroups
        processes = ServiceProcesses(tree)
    }

    public func collect(_ round: CollectionRound) async -> [Collected] {
        guard round.selection.contains(Self.collector) else { return [] }
        let found = find()
        let pids = tree.family(of: found)
        var families = processes.families(pids, name: settings.name)
        if let cgroup = settings.cgroup ?? found.first.flatMap({ cgroups.path(of: $0, tree) }) {
            families += cgroups.families(cgroup)
        }
        if let first = found.first, let text = try? Files.readText("\(tree.root)/\(first)/net/dev") {
            families += ContainerMetrics.network(text)
        }
        return [Collected(Self.collector, families)]
    }

    public nonisolated func collectedWhenLate(_ round: CollectionRound) -> [Collected] {
        guard round.selection.contains(Self.collector) else { return [] }
        return [Collected(Self.collector, [Family(ServiceMetrics.up, 0)])]
    }

    /// The processes that the settings name, without what they started.
    private func find() -> [Int] {
        var pids: Set<Int> = []
        if let path = settings.pidFile, let pid = KernelText.number(path) { pids.insert(pid) }
        if let port = settings.port { pids.formUnion(listening(on: port)) }
        if let cgroup = settings.cgroup { pids.formUnion(cgroups.pids(of: cgroup)) }
        return pids.filter { tree.stat($0) != nil }.sorted()
    }

    /// Looking through every process' descriptors is dear, so what was found holds for a minute or until one of it ended.
    private func listening(on port: UInt16) -> [Int] {
        if let listeners, !listeners.pids.isEmpty, .now - listeners.found < .seconds(60),
            listeners.pids.allSatisfy({ tree.stat($0.pid)?.startTicks == $0.startTicks })
        {
            return listeners.pids.map(\.pid)
        }
        let pids = tree.listeners(on: port).compactMap { pid in
            tree.stat(pid).map { ProcessTree.Identity(pid: pid, startTicks: $0.startTicks) }
        }
        listeners = (pids, .now)
        return pids.map(\.pid)
    }
}
