import Metrics
import Network
import Runtime

/// The sockets that receive StatsD, a thread each, and what is known of them.
public final class StatsDReceiver: MetricSource {
    private let receivers: [DatagramReceiver]

    /// Opens what the configuration names; nothing by default.
    public init(_ configuration: OperationsConfiguration, _ recorder: OperationRecorder) throws(DatagramSocket.Failure)
    {
        let statsd = configuration.statsd
        var receivers: [DatagramReceiver] = []
        if let address = statsd.address {
            let socket = try DatagramSocket.udp(address, receiveBuffer: statsd.receiveBuffer.bytes)
            receivers.append(DatagramReceiver(socket, name: "statsd-udp") { recorder.take($0) })
        }
        if let path = statsd.path {
            let socket = try DatagramSocket.unix(
                path, mode: statsd.mode, receiveBuffer: statsd.receiveBuffer.bytes)
            receivers.append(DatagramReceiver(socket, name: "statsd-unix") { recorder.take($0) })
        }
        self.receivers = receivers
    }

    /// Where it listens, as the sockets really were bound.
    public var addresses: [String] { receivers.map(\.socket.address) }

    /// Uses what the kernel holds already, and receives no more. Takes milliseconds.
    public func end() { for receiver in receivers { receiver.end() } }

    public func collect(_ round: CollectionRound) async -> [Collected] { collectedWhenLate(round) }

    public func collectedWhenLate(_ round: CollectionRound) -> [Collected] {
        guard !receivers.isEmpty, round.selection.contains(OperationRecorder.collector) else { return [] }
        var packets = Family(OperationMetrics.packets)
        var bytes = Family(OperationMetrics.bytes)
        var lost = Family(OperationMetrics.lost)
        var buffer = Family(OperationMetrics.buffer)
        var truncated = Family(OperationMetrics.malformed)
        for receiver in receivers {
            let labels = Labels([Label("socket", receiver.socket.kind.rawValue)])
            packets.samples.append(Sample(labels, Double(receiver.datagrams)))
            bytes.samples.append(Sample(labels, Double(receiver.bytes)))
            lost.samples.append(Sample(labels, Double(receiver.socket.drops)))
            buffer.samples.append(Sample(labels, Double(receiver.socket.receiveBufferBytes)))
        }
        let tooLong = receivers.reduce(0) { $0 + $1.truncated }
        truncated.samples.append(
            Sample(Labels([Label("reason", StatsDFault.truncated.rawValue)]), Double(tooLong)))
        return [Collected(OperationRecorder.collector, [packets, bytes, lost, buffer, truncated])]
    }
}
