import Runtime

/// One `SCAN` on its way through a cluster, one node after the other.
///
/// The cursor that a client sees holds the node's own cursor and, in its lowest 14 bits, the lowest slot of the node that
/// is being scanned; the next node is the one whose lowest slot is the next greater. So after a failover the scan goes on
/// with the replica that took over, and a node that joins is visited unless its place has been passed. Redis' promise, that
/// what was there all the time is told, holds as long as no slot moves and no master fails meanwhile.
public struct ClusterScan: Equatable, Sendable {
    /// Of the node that is asked.
    public let slot: UInt16
    /// The node's own cursor.
    public let cursor: UInt64

    /// Node cursors are below: Redis' own have as many bits as its hash table, and since 8 the slot besides.
    private static let mostCursor = UInt64(Int64.max) >> 14

    /// - Parameter word: the cursor that the client sent.
    /// - Returns: nil where it is no number or nobody has any slot: let any node tell what is wrong.
    public init?(cursor word: Span<UInt8>, in map: SlotMap) {
        guard let value = Self.number(word), let first = map.nodes.first else { return nil }
        guard value != 0 else {
            (slot, cursor) = (first.firstSlot, 0)
            return
        }
        slot = UInt16(truncatingIfNeeded: value & UInt64(KeySlot.count - 1))
        cursor = value >> 14
    }

    /// Who is asked; where nobody has the slot any more, the next that has one.
    public func node(in map: SlotMap) -> NodeAddress? {
        map[slot] ?? (map.nodes.first { $0.firstSlot > slot } ?? map.nodes.first)?.address
    }

    /// Appends the command with the node's cursor in place of the client's.
    ///
    /// - Parameter words: ranges of `bytes`; the second is the cursor.
    public func append(_ words: [Range<Int>], of bytes: Span<UInt8>, to command: inout [UInt8]) {
        command.append(arrayOf: words.count)
        for (index, word) in words.enumerated() {
            if index == 1 { command.append(bulk: "\(cursor)") } else { command.append(bulk: bytes.extracting(word)) }
        }
    }

    /// Appends the node's reply with the client's next cursor in place of the node's. What is no reply to `SCAN`, such as an
    /// error, is appended as it is.
    public func append(_ reply: Span<UInt8>, in map: SlotMap, to output: inout [UInt8]) {
        guard let place = Self.cursorPlace(in: reply), let told = Self.number(reply.extracting(place)) else {
            return output.append(bytes: reply)
        }
        guard let next = next(after: told, in: map) else {
            return output.append(error: "ERR the node's cursor \(told) leaves no room for the node")
        }
        output.append(arrayOf: 2)
        output.append(bulk: "\(next)")
        output.append(bytes: reply.extracting(droppingFirst: place.upperBound + 2))
    }

    /// Zero when all is done; nil for a cursor that is too large.
    func next(after told: UInt64, in map: SlotMap) -> UInt64? {
        guard told <= Self.mostCursor else { return nil }
        if told != 0 { return told << 14 | UInt64(slot) }
        return map.nodes.first { $0.firstSlot > slot }.map { UInt64($0.firstSlot) } ?? 0
    }

    /// Where the cursor stands in `*2\r\n$1\r\n0\r\n*…`.
    private static func cursorPlace(in reply: Span<UInt8>) -> Range<Int>? {
        let head = Array("*2\r\n$".utf8)
        guard reply.count > head.count, reply.extracting(first: head.count).hasSameBytes(as: head.span) else {
            return nil
        }
        let lineEnd = reply.firstPlace(of: 13, in: head.count..<reply.count)
        guard let length = reply.strictInteger(in: head.count..<lineEnd), (1...20).contains(length),
            lineEnd + 2 + length + 2 <= reply.count
        else { return nil }
        return lineEnd + 2..<lineEnd + 2 + length
    }

    private static func number(_ word: Span<UInt8>) -> UInt64? {
        guard (1...20).contains(word.count) else { return nil }
        var value: UInt64 = 0
        for index in 0..<word.count {
            let digit = word[index] &- 48
            guard digit < 10 else { return nil }
            let (product, tooLarge) = value.multipliedReportingOverflow(by: 10)
            let (sum, carries) = product.addingReportingOverflow(UInt64(digit))
            guard !tooLarge, !carries else { return nil }
            value = sum
        }
        return value
    }
}
