import Metrics
import Network
import Operations
import Runtime
import Synchronization

/// What the service says it does: the recorder that all parts share, and where StatsD and events are received.
final class OperationsPart: Part {
    let name = "operations"
    private let settings: OperationsConfiguration
    private let recorder: OperationRecorder
    private let statsd = Mutex<StatsDReceiver?>(nil)

    init(_ settings: OperationsConfiguration, _ recorder: OperationRecorder) {
        (self.settings, self.recorder) = (settings, recorder)
    }

    var sources: [any MetricSource] { [recorder] + (statsd.withLock { $0 }.map { [$0] } ?? []) }

    var routes: [Router.Route] {
        [.change("POST", "/v1/events") { [recorder] in EventsRequest.answer($0.body, recorder) }]
    }

    var liveSettings: [String] { ["statsd.mappings"] }

    func start() async throws {
        let receiver = try StatsDReceiver(settings, recorder)
        for address in receiver.addresses { Log.info("receiving StatsD", ["address": address]) }
        statsd.withLock { $0 = receiver }
    }

    func prepare(_ fresh: Configuration) async throws -> PreparedReload {
        let settings = fresh.operations
        return PreparedReload { [recorder] in recorder.reload(settings) }
    }

    func drain(by deadline: Deadline) async { statsd.withLock { $0 }?.end() }
}
