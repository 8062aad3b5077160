import Runtime

/// Makes one reply of those that several nodes gave to the same command. Replies are taken as bytes, so one of a million
/// keys is copied and not taken apart.
public struct FanOut: Sendable {
    /// What becomes of the replies. Unless said otherwise an error of one node is the reply.
    public enum Merge: Hashable, Sendable, CaseIterable {
        /// The first reply that came.
        case allSucceeded
        /// The first reply that is no error; an error where there is no other.
        case oneSucceeded
        case sum, least
        /// For arrays of zeros and ones: one where all nodes say one.
        case allTrue
        /// The elements of all.
        case concatenated
        /// One reply that is not null, if there is any.
        case oneOf
    }

    public let merge: Merge
    private let limitBytes: Int
    private let pick: Int
    private var missing: Int
    private var replies = 0
    private var failure: [UInt8]?
    /// The reply that counts where one does.
    private var first: [UInt8] = []
    private var number: Int?
    private var flags: [Int]?
    private var present = 0
    /// Elements that were brought together, and how many.
    private var body: [UInt8] = []
    private var elements = 0

    /// - Parameters:
    ///   - nodes: how many were asked; at least one.
    ///   - pick: any number; for `oneOf` it decides whose reply is taken.
    ///   - limitBytes: of what `concatenated` brings together.
    public init(_ merge: Merge, of nodes: Int, pick: Int = 0, limitBytes: Int = 64 << 20) {
        precondition(nodes > 0)
        self.merge = merge
        self.limitBytes = limitBytes
        self.pick = pick
        missing = nodes
    }

    /// Whether every node has replied, or failed.
    public var isComplete: Bool { missing == 0 }

    /// A node gave no reply; `text` is an error with its code.
    public mutating func add(failure text: String) {
        missing -= 1
        fail(text)
    }

    /// - Parameter reply: whole, without attributes in front.
    public mutating func add(_ reply: Span<UInt8>) {
        missing -= 1
        guard reply.count > 0, reply[0] != UInt8(ascii: "-"), reply[0] != UInt8(ascii: "!") else {
            if failure == nil { failure = copy(of: reply) }
            return
        }
        replies += 1
        switch merge {
        case .allSucceeded, .oneSucceeded: if first.isEmpty { first = copy(of: reply) }
        case .oneOf: addPresent(reply)
        case .sum, .least: addNumber(reply)
        case .allTrue: addFlags(reply)
        case .concatenated: addElements(reply)
        }
    }

    /// Appends what the client is told. To be called once all have replied.
    public func append(to output: inout [UInt8]) {
        precondition(isComplete)
        if let failure, merge != .oneSucceeded || replies == 0 {
            output.append(contentsOf: failure)
            return
        }
        switch merge {
        case .allSucceeded, .oneSucceeded, .oneOf: output.append(contentsOf: first)
        case .sum, .least: output.append(integer: number ?? 0)
        case .allTrue:
            output.append(arrayOf: flags?.count ?? 0)
            for flag in flags ?? [] { output.append(integer: flag) }
        case .concatenated:
            output.append(arrayOf: elements)
            output.append(contentsOf: body)
        }
    }

    private mutating func addPresent(_ reply: Span<UInt8>) {
        let isNull = reply[0] == UInt8(ascii: "_") || reply.count > 1 && reply[1] == UInt8(ascii: "-")
        guard !isNull else {
            if first.isEmpty { first = copy(of: reply) }
            return
        }
        // Reservoir sampling with one number for all draws: each node has about the same chance.
        present += 1
        if Int(UInt(bitPattern: pick) % UInt(present)) == 0 { first = copy(of: reply) }
    }

    private mutating func addNumber(_ reply: Span<UInt8>) {
        guard reply[0] == UInt8(ascii: ":"), let value = reply.strictInteger(in: Self.line(of: reply)) else {
            return failUnlike()
        }
        guard let former = number else {
            number = value
            return
        }
        number = merge == .sum ? former.addingReportingOverflow(value).partialValue : min(former, value)
    }

    private mutating func addFlags(_ reply: Span<UInt8>) {
        guard let value = try? RESPValue(reply), let told = value.elements?.map({ $0.integer ?? 0 }) else {
            return failUnlike()
        }
        guard let former = flags else {
            flags = told
            return
        }
        guard former.count == told.count else { return failUnlike() }
        flags = zip(former, told).map { min($0, $1) }
    }

    private mutating func addElements(_ reply: Span<UInt8>) {
        let line = Self.line(of: reply)
        guard reply[0] == UInt8(ascii: "*") || reply[0] == UInt8(ascii: "~"), let count = reply.strictInteger(in: line),
            line.upperBound + 2 <= reply.count
        else { return failUnlike() }
        let rest = reply.extracting(droppingFirst: line.upperBound + 2)
        guard body.count + rest.count <= limitBytes else {
            body = []
            return fail("ERR the nodes of the cluster replied more than \(limitBytes) bytes together")
        }
        elements += max(0, count)
        if failure == nil { body.append(bytes: rest) }
    }

    private mutating func failUnlike() { fail("ERR the nodes of the cluster replied in different ways") }

    private mutating func fail(_ text: String) {
        guard failure == nil else { return }
        var reply: [UInt8] = []
        reply.append(error: text)
        failure = reply
    }

    private static func line(of reply: Span<UInt8>) -> Range<Int> { 1..<reply.firstPlace(of: 13, in: 1..<reply.count) }

    private func copy(of reply: Span<UInt8>) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(bytes: reply)
        return bytes
    }
}
