import Runtime

/// An error by which a Redis says that it did not carry a command out, and who might or when it will.
public enum Redirect: Equatable, Sendable {
    /// The slot belongs to another node.
    case moved(slot: UInt16, to: NodeAddress)
    /// The slot is on its way to another node: ask that one, this once, with `ASKING` in front.
    case ask(slot: UInt16, to: NodeAddress)
    /// Some of the keys are there already and some are not.
    case tryAgain
    case clusterDown
    /// It is reading its data.
    case loading
    /// It is a replica.
    case readOnly
    /// It is a replica that has lost its master, and is set not to tell what it has.
    case masterDown

    /// Errors of nodes are short.
    private static let longestText = 512

    /// - Parameters:
    ///   - reply: whole, without attributes in front.
    ///   - node: who replied.
    /// - Returns: nil for every other reply.
    public init?(_ reply: Span<UInt8>, from node: NodeAddress) {
        guard reply.count > 1, reply[0] == UInt8(ascii: "-") else { return nil }
        // The code tells most errors apart without reading any further.
        switch reply[1] {
        case UInt8(ascii: "M"), UInt8(ascii: "A"), UInt8(ascii: "T"), UInt8(ascii: "C"), UInt8(ascii: "L"),
            UInt8(ascii: "R"):
            break
        default: return nil
        }
        var line: [UInt8] = []
        let end = reply.firstPlace(of: 13, in: 1..<min(reply.count, Self.longestText))
        line.append(bytes: reply.extracting(1..<end))
        let words = String(decoding: line, as: UTF8.self).split(separator: " ")
        switch words.first {
        case "MOVED":
            guard let (slot, address) = Self.destination(words, node) else { return nil }
            self = .moved(slot: slot, to: address)
        case "ASK":
            guard let (slot, address) = Self.destination(words, node) else { return nil }
            self = .ask(slot: slot, to: address)
        case "TRYAGAIN": self = .tryAgain
        case "CLUSTERDOWN": self = .clusterDown
        case "LOADING": self = .loading
        case "READONLY": self = .readOnly
        case "MASTERDOWN": self = .masterDown
        default: return nil
        }
    }

    private static func destination(_ words: [Substring], _ node: NodeAddress) -> (UInt16, NodeAddress)? {
        guard words.count >= 3, let slot = UInt16(words[1]), slot < KeySlot.count,
            let address = NodeAddress(told: words[2], by: node)
        else { return nil }
        return (slot, address)
    }
}
