import Runtime

/// Where in a cluster one call of a command goes.
public enum ClusterTarget: Hashable, Sendable {
    /// To the node that has it.
    case slot(UInt16)
    /// The keys are in several slots. Any node answers `crossSlot`, after it has looked at rights and at the state of the
    /// first key's slot; whoever wants its own words asks the node of that.
    case crossSlot(first: UInt16)
    case anyNode, oneNode, connection
    case everyMaster(FanOut.Merge)
    case everyNode(FanOut.Merge)
    case scan
    case refused

    /// Redis' words.
    public static let crossSlot = "CROSSSLOT Keys in request don't hash to the same slot"

    /// - Parameters:
    ///   - command: nil for one that is not in the table: of a module, most likely, whose first word is a key then. Where
    ///     that is wrong, the node redirects.
    ///   - words: ranges of `bytes`.
    ///   - scratch: for places of keys, so that nothing is allocated.
    public init(_ command: Command?, _ words: [Range<Int>], in bytes: Span<UInt8>, scratch: inout [Int]) {
        guard let command else {
            self = words.count > 1 ? .slot(KeySlot.of(bytes.extracting(words[1]))) : .anyNode
            return
        }
        // What Redis refuses anyway it may refuse anywhere.
        guard command.takes(words: words.count) else {
            self = .anyNode
            return
        }
        switch ClusterRoute(command) {
        case .keys:
            scratch.removeAll(keepingCapacity: true)
            guard command.keys.append(of: words, in: bytes, to: &scratch) else {
                self = .anyNode
                return
            }
            self.init(sharedBy: scratch, words, bytes, none: .anyNode)
        case .shardChannels(let count):
            scratch.removeAll(keepingCapacity: true)
            scratch.append(contentsOf: 1..<(count.map { min(words.count, $0 + 1) } ?? words.count))
            self.init(sharedBy: scratch, words, bytes, none: .connection)
        case .slotNumber:
            let slot = bytes.strictInteger(in: words[2]).flatMap { UInt16(exactly: $0) }
            self = slot.map { $0 < KeySlot.count ? .slot($0) : .anyNode } ?? .anyNode
        case .anyNode: self = .anyNode
        case .oneNode: self = .oneNode
        case .connection: self = .connection
        case .everyMaster(let merge): self = .everyMaster(merge)
        case .everyNode(let merge): self = .everyNode(merge)
        case .scan: self = .scan
        case .refused: self = .refused
        }
    }

    private init(sharedBy keys: [Int], _ words: [Range<Int>], _ bytes: Span<UInt8>, none: ClusterTarget) {
        guard let first = keys.first else {
            self = none
            return
        }
        let slot = KeySlot.of(bytes.extracting(words[first]))
        for key in keys.dropFirst() where KeySlot.of(bytes.extracting(words[key])) != slot {
            self = .crossSlot(first: slot)
            return
        }
        self = .slot(slot)
    }
}
