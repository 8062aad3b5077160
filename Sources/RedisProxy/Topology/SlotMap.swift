/// Which node of a cluster has which slot.
public struct SlotMap: Sendable, Equatable {
    /// A master that has slots.
    public struct Node: Sendable, Hashable {
        public let address: NodeAddress
        /// Sorted.
        public let replicas: [NodeAddress]
        /// The lowest of its slots.
        public fileprivate(set) var firstSlot: UInt16 = 0

        public init(_ address: NodeAddress, replicas: [NodeAddress] = []) {
            self.address = address
            self.replicas = replicas.sorted { ($0.host, $0.port) < ($1.host, $1.port) }
        }
    }

    /// In the order of their lowest slots.
    public private(set) var nodes: [Node] = []
    /// Slots that no known node has.
    public private(set) var uncovered = KeySlot.count
    /// For each slot a place in `nodes`.
    private var owners = [UInt16](repeating: nobody, count: KeySlot.count)

    private static let nobody = UInt16.max

    /// Nobody has anything.
    public init() {}

    /// Where parts overlap the later one counts. The ranges must lie within the slots.
    init(_ parts: [(slots: ClosedRange<Int>, node: Node)]) {
        var places: [NodeAddress: UInt16] = [:]
        for part in parts {
            // No cluster has more masters than slots; who tells of more repeats slots, and the later does not count.
            guard nodes.count < KeySlot.count || places[part.node.address] != nil else { continue }
            let place = places[part.node.address] ?? UInt16(nodes.count)
            if place == nodes.count {
                places[part.node.address] = place
                nodes.append(part.node)
            }
            for slot in part.slots { owners[slot] = place }
        }
        arrange()
    }

    /// Where among the `nodes`; nil where nobody has the slot, or nobody knows who.
    func place(of slot: UInt16) -> Int? {
        let place = owners[Int(slot)]
        return place == Self.nobody ? nil : Int(place)
    }

    /// Nil where nobody has the slot, or nobody knows who.
    public func node(of slot: UInt16) -> Node? { place(of: slot).map { nodes[$0] } }

    public subscript(slot: UInt16) -> NodeAddress? { node(of: slot)?.address }

    /// Whether it is a master or a replica of this cluster.
    public func knows(_ address: NodeAddress) -> Bool {
        nodes.contains { $0.address == address || $0.replicas.contains(address) }
    }

    /// One slot is elsewhere, as `MOVED` says. Some ten microseconds.
    public mutating func move(_ slot: UInt16, to address: NodeAddress) {
        guard self[slot] != address else { return }
        if let place = nodes.firstIndex(where: { $0.address == address }) {
            owners[Int(slot)] = UInt16(place)
        } else {
            // `arrange` leaves at most as many nodes as slots.
            owners[Int(slot)] = UInt16(nodes.count)
            nodes.append(Node(address))
        }
        arrange()
    }

    /// Brings the nodes in order, without those that have no slots, so that equal maps are equal values.
    private mutating func arrange() {
        var places = [UInt16](repeating: Self.nobody, count: nodes.count)
        var arranged: [Node] = []
        uncovered = 0
        for slot in owners.indices {
            let owner = Int(owners[slot])
            guard owner < nodes.count else {
                uncovered += 1
                continue
            }
            if places[owner] == Self.nobody {
                places[owner] = UInt16(arranged.count)
                nodes[owner].firstSlot = UInt16(slot)
                arranged.append(nodes[owner])
            }
            owners[slot] = places[owner]
        }
        nodes = arranged
    }
}
