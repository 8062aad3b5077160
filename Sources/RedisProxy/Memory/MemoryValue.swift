/// What a key of the in-memory Redis holds.
enum MemoryValue: Sendable {
    case string([UInt8])
    case hash(MemoryHash)

    /// As `TYPE` names it.
    var typeName: String {
        switch self {
        case .string: "string"
        case .hash: "hash"
        }
    }

    var sizeBytes: Int {
        switch self {
        case .string(let bytes): bytes.count
        case .hash(let hash): hash.sizeBytes
        }
    }
}

/// Fields of one key, and how much they take.
struct MemoryHash: Sendable {
    private(set) var fields = PlacedTable<[UInt8]>()
    private(set) var sizeBytes = 0

    /// Charged for a field beside its name and value: two arrays, a place, an index.
    static let fieldOverheadBytes = 128

    /// - Returns: whether the field is new.
    @discardableResult
    mutating func set(_ field: [UInt8], _ value: [UInt8]) -> Bool {
        let former = fields.set(field, value)
        sizeBytes += value.count - (former?.count ?? 0)
        if former == nil { sizeBytes += field.count + Self.fieldOverheadBytes }
        return former == nil
    }

    mutating func remove(_ field: [UInt8]) -> Bool {
        guard let former = fields.remove(field) else { return false }
        sizeBytes -= field.count + former.count + Self.fieldOverheadBytes
        return true
    }
}

/// A key's value and all else that is known of the key.
struct MemoryEntry: Sendable {
    var value: MemoryValue
    /// Milliseconds since 1970; nil for a key that stays.
    var expiresAtMs: Int?
    /// Grows with every change, and is never the same for two of them.
    var version: UInt64
    var usedAtMs: Int

    /// Charged for a key beside its bytes and its value's.
    static let overheadBytes = 160
}
