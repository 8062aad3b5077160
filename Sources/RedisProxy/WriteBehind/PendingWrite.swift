/// A key of one of Redis' databases.
public struct PendingKey: Hashable, Sendable {
    public let database: Int
    public let bytes: [UInt8]

    public init(_ database: Int, _ bytes: [UInt8]) {
        self.database = database
        self.bytes = bytes
    }
}

/// A value that a client wants under a key, whatever is there now: what can be acknowledged before Redis has seen it.
public struct PlannedWrite: Equatable, Sendable {
    public let key: PendingKey
    public let value: [UInt8]
    public let expiry: Expiry

    /// When the value is over.
    public enum Expiry: Hashable, Sendable {
        case never
        /// The client gave a lifetime, which our clock has turned into milliseconds since 1970. Redis is told what is left
        /// of it, so the two clocks may differ.
        case lifetime(endsMs: Int)
        /// The client gave a moment in milliseconds since 1970, which is Redis' to understand and passed on as it is.
        case moment(ms: Int)

        /// As Redis sees it, which counts whole milliseconds: in its last one a value is still there.
        public func hasPassed(wallMs: Int) -> Bool {
            switch self {
            case .never: false
            case .lifetime(let end), .moment(let end): end < wallMs
            }
        }
    }

    public init(_ key: PendingKey, _ value: [UInt8], _ expiry: Expiry = .never) {
        self.key = key
        self.value = value
        self.expiry = expiry
    }

    /// That nothing is under the key: a value whose moment passed long ago.
    static func removal(of key: PendingKey) -> PlannedWrite { PlannedWrite(key, [], .moment(ms: 1)) }

    var isRemoval: Bool { expiry == .moment(ms: 1) }

    /// What holding it costs: the bytes, and roughly what surrounds them.
    var sizeBytes: Int { key.bytes.count + value.count + 200 }
}

/// A planned write that was taken, with its place among all others. Of two for one key the one with the higher sequence is
/// the newer.
struct PendingWrite: Equatable, Sendable {
    let sequence: UInt64
    let plan: PlannedWrite
    /// Milliseconds since 1970.
    let acceptedWallMs: Int

    var key: PendingKey { plan.key }

    /// The command that makes it true. A write that has expired in the meantime is a removal: what it has overwritten must
    /// not come back.
    func command(wallMs: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(plan.sizeBytes)
        guard !plan.expiry.hasPassed(wallMs: wallMs) else {
            bytes.append(arrayOf: 2)
            // `DEL` would hold up Redis where the key was something large before.
            bytes.append(bulk: "UNLINK")
            bytes.append(bulk: key.bytes.span)
            return bytes
        }
        switch plan.expiry {
        case .never: bytes.append(set: plan)
        case .lifetime(let end): bytes.append(set: plan, "PX", max(1, end - wallMs))
        case .moment(let moment): bytes.append(set: plan, "PXAT", moment)
        }
        return bytes
    }

    /// The command for somebody who sends it at another time.
    var timelessCommand: [UInt8] {
        var bytes: [UInt8] = []
        switch plan.expiry {
        case .never: bytes.append(set: plan)
        case .lifetime(let moment), .moment(let moment): bytes.append(set: plan, "PXAT", moment)
        }
        return bytes
    }
}

extension Array where Element == UInt8 {
    fileprivate mutating func append(set plan: PlannedWrite, _ option: String? = nil, _ milliseconds: Int = 0) {
        append(arrayOf: option == nil ? 3 : 5)
        append(bulk: "SET")
        append(bulk: plan.key.bytes.span)
        append(bulk: plan.value.span)
        guard let option else { return }
        append(bulk: option)
        append(bulk: "\(milliseconds)")
    }
}
