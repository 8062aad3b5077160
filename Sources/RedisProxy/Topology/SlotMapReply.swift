/// What nodes tell of their cluster. An endpoint that is null or empty is the node that was asked; one that is `?` is
/// unknown, and the address beside it, where there is one, counts.
extension SlotMap {
    /// From the reply to `CLUSTER SLOTS`, of RESP2 or RESP3, with or without the metadata of Redis 7.
    ///
    /// - Parameter asked: the node that replied.
    public init(slots reply: RESPValue, asked: NodeAddress) throws(TopologyFault) {
        if let error = reply.error { throw .refused(error) }
        guard let lines = reply.elements else { throw .malformed("CLUSTER SLOTS is no array") }
        var parts: [(ClosedRange<Int>, Node)] = []
        for line in lines {
            guard let fields = line.elements, fields.count >= 3 else { throw .malformed("CLUSTER SLOTS: a short line") }
            let range = try Self.range(fields[0], fields[1])
            guard let master = try Self.address(of: fields[2], asked) else { continue }
            var replicas: [NodeAddress] = []
            for field in fields[3...] {
                if let replica = try Self.address(of: field, asked) { replicas.append(replica) }
            }
            parts.append((range, Node(master, replicas: replicas)))
        }
        self.init(parts)
    }

    /// From the reply to `CLUSTER SHARDS` (Redis 7).
    ///
    /// - Parameters:
    ///   - asked: the node that replied.
    ///   - usesTLS: whether connections go to the ports for TLS.
    public init(shards reply: RESPValue, asked: NodeAddress, usesTLS: Bool = false) throws(TopologyFault) {
        if let error = reply.error { throw .refused(error) }
        guard let shards = reply.elements else { throw .malformed("CLUSTER SHARDS is no array") }
        var parts: [(ClosedRange<Int>, Node)] = []
        for shard in shards {
            guard let slots = shard["slots"]?.elements, slots.count.isMultiple(of: 2),
                let members = shard["nodes"]?.elements
            else { throw .malformed("CLUSTER SHARDS: a shard without slots or nodes") }
            var master: NodeAddress?
            var replicas: [NodeAddress] = []
            for member in members where member["health"]?.text == "online" {
                guard let port = member[usesTLS ? "tls-port" : "port"],
                    let address = try Self.address(member["endpoint"] ?? .null, port, member["ip"], asked)
                else { continue }
                if member["role"]?.text == "master" { master = address } else { replicas.append(address) }
            }
            guard let master else { continue }
            for index in stride(from: 0, to: slots.count, by: 2) {
                parts.append((try Self.range(slots[index], slots[index + 1]), Node(master, replicas: replicas)))
            }
        }
        self.init(parts)
    }

    private static func range(_ first: RESPValue, _ last: RESPValue) throws(TopologyFault) -> ClosedRange<Int> {
        guard let first = first.integer, let last = last.integer, 0 <= first, first <= last, last < KeySlot.count else {
            throw .malformed("slots from \(first.text ?? "nowhere") to \(last.text ?? "nowhere")")
        }
        return first...last
    }

    /// `[endpoint, port, id, metadata]`.
    private static func address(of node: RESPValue, _ asked: NodeAddress) throws(TopologyFault) -> NodeAddress? {
        guard let fields = node.elements, fields.count >= 2 else { throw .malformed("CLUSTER SLOTS: a short node") }
        return try address(fields[0], fields[1], fields.count > 3 ? fields[3]["ip"] : nil, asked)
    }

    private static func address(
        _ endpoint: RESPValue, _ port: RESPValue, _ ip: RESPValue?, _ asked: NodeAddress
    ) throws(TopologyFault) -> NodeAddress? {
        guard let number = port.integer, let port = UInt16(exactly: number) else {
            throw .malformed("port \(port.text ?? "that is none")")
        }
        // A node that has only just been heard of has none.
        guard port > 0 else { return nil }
        switch endpoint {
        case .null: return NodeAddress(asked.host, port)
        case .text(let host) where host.isEmpty: return NodeAddress(asked.host, port)
        case .text(let host) where host == [UInt8(ascii: "?")]:
            guard let ip = ip?.text, !ip.isEmpty, ip != "?" else { return nil }
            return NodeAddress(ip, port)
        case .text(let host): return NodeAddress(String(decoding: host, as: UTF8.self), port)
        default: throw .malformed("an endpoint that is no text")
        }
    }
}
