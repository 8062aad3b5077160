/// What follows the value of `SET` and the key of `GETEX`.
struct SetOptions {
    enum Owner { case set, getEx }

    private(set) var onlyNew = false
    private(set) var onlyExisting = false
    private(set) var returnsFormer = false
    private(set) var keepsExpiry = false
    private(set) var persists = false
    private var expiry: (index: Int, unitMs: Int, isAbsolute: Bool)?
    private let owner: Owner

    init(_ call: MemoryCall, from first: Int, for owner: Owner) throws(MemoryFault) {
        self.owner = owner
        var index = first
        while index < call.words.count {
            let isFree = expiry == nil && !keepsExpiry && !persists
            switch (owner, String(decoding: call.words[index].prefix(8), as: UTF8.self).lowercased()) {
            case (.set, "nx") where !onlyExisting: onlyNew = true
            case (.set, "xx") where !onlyNew: onlyExisting = true
            case (.set, "get"): returnsFormer = true
            case (.set, "keepttl") where expiry == nil: keepsExpiry = true
            case (.getEx, "persist") where expiry == nil: persists = true
            case (_, let word) where isFree && index + 1 < call.words.count:
                switch word {
                case "ex": expiry = (index + 1, 1000, false)
                case "px": expiry = (index + 1, 1, false)
                case "exat": expiry = (index + 1, 1000, true)
                case "pxat": expiry = (index + 1, 1, true)
                default: throw .syntax
                }
                index += 1
            default: throw .syntax
            }
            index += 1
        }
    }

    /// Milliseconds since 1970.
    func expiresAtMs(_ call: MemoryCall) throws(MemoryFault) -> Int? {
        guard let expiry else { return nil }
        return try MemoryExpiry.at(
            call.integer(at: expiry.index), unitMs: expiry.unitMs, from: expiry.isAbsolute ? 0 : call.nowMs,
            command: owner == .set ? "set" : "getex", mustBePositive: true)
    }
}

/// Lifetimes as commands give them.
enum MemoryExpiry {
    /// The moment in milliseconds since 1970 that lies `amount` units after `startMs`, which is 0 for moments.
    static func at(
        _ amount: Int, unitMs: Int, from startMs: Int, command: String, mustBePositive: Bool
    ) throws(MemoryFault) -> Int {
        if mustBePositive, amount <= 0 { throw .invalidExpiry(command) }
        let (span, isTooLong) = amount.multipliedReportingOverflow(by: unitMs)
        let (moment, overflows) = span.addingReportingOverflow(startMs)
        guard !isTooLong, !overflows else { throw .invalidExpiry(command) }
        return moment
    }
}
