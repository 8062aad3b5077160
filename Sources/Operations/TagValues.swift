/// The values that each tag has had, up to a limit; later ones become `other`.
struct TagValues: Sendable {
    private let limit: Int
    private var known: [String: Set<String>] = [:]

    init(limit: Int) { self.limit = limit }

    /// - Returns: nil when the value is new and there is no room for it.
    mutating func admit(_ value: String, of tag: String) -> String? {
        if known[tag]?.contains(value) ?? false { return value }
        guard known[tag]?.count ?? 0 < limit else { return nil }
        known[tag, default: []].insert(value)
        return value
    }
}
