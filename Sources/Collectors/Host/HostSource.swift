import Metrics
import Runtime

/// What is told of the machine.
public struct HostSettings: Sendable, Equatable {
    let pressure: Bool
    let resources: Bool

    public init(_ settings: Settings) throws(SettingsError) {
        pressure = try settings.read("collector.host", default: true, "Serve the machine's load and pressure (PSI).")
        resources = try settings.read(
            "collector.host_resources", default: false, "Serve the machine's CPU, memory, disks and network.")
    }

    init(pressure: Bool, resources: Bool) {
        self.pressure = pressure
        self.resources = resources
    }

    /// Whether anything is to be told.
    public var isSet: Bool { pressure || resources }
}

/// The machine: load, pressure, CPU, memory, disks and network under node_exporter's names.
public actor HostSource: MetricSource {
    /// The name that `collect[]=` knows.
    public static let collector = "host"

    private let thread = BlockingThread("host")
    private let files: [HostFile]
    private let root: String

    public nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe thread.asUnownedSerialExecutor() }

    /// - Parameter root: `/proc`, or a folder that looks like it.
    public init(_ settings: HostSettings, root: String = "/proc") {
        files = (settings.pressure ? HostFile.pressure : []) + (settings.resources ? HostFile.resources : [])
        self.root = root
    }

    public func collect(_ round: CollectionRound) async -> [Collected] {
        guard round.selection.contains(Self.collector) else { return [] }
        var families: [Family] = []
        for file in files {
            // A kernel without the file, such as one without pressure, has nothing to tell.
            guard let text = try? Files.readText("\(root)/\(file.path)", limitBytes: 16 << 20) else { continue }
            families += file.read(text)
        }
        return [Collected(Self.collector, families)]
    }

    public nonisolated func collectedWhenLate(_ round: CollectionRound) -> [Collected] { [] }
}
