/// What every setting is and where that was said, in the order in which settings are read.
public struct SettingValues: Sendable {
    public struct Value: Sendable, Equatable {
        /// As in messages: `web.listen_address`, `redis_proxy.users[0].name`.
        public let name: String
        /// A default as `--help` prints it; empty for a setting that has none.
        public let text: String
        /// `outrigger.yml:12`, `environment OUTRIGGER_LOG_LEVEL`, `flag --log.level` or `default`.
        public let origin: String
    }

    public private(set) var all: [Value] = []
    private var places: [String: Int] = [:]

    public init() {}

    public subscript(name: String) -> String? { places[name].map { all[$0].text } }

    /// The first reading of a setting counts.
    mutating func note(_ name: String, _ text: String, from origin: String) {
        guard places[name] == nil else { return }
        places[name] = all.count
        all.append(Value(name: name, text: text, origin: origin))
    }

    /// What differs between the two, by the names of the reference: without the numbers of list items, each once.
    public func changes(since old: SettingValues) -> [String] {
        var changed: [String] = []
        for value in all where old[value.name] != value.text { changed.append(value.name) }
        for value in old.all where places[value.name] == nil { changed.append(value.name) }
        var seen: Set<String> = []
        return changed.map(Self.withoutNumbers).filter { seen.insert($0).inserted }
    }

    /// These, and for what `names` covers the values of `other`.
    public func replacing(_ isReplaced: (String) -> Bool, from other: SettingValues) -> SettingValues {
        var result = SettingValues()
        for value in other.all where isReplaced(Self.withoutNumbers(value.name)) {
            result.note(value.name, value.text, from: value.origin)
        }
        for value in all where !isReplaced(Self.withoutNumbers(value.name)) {
            result.note(value.name, value.text, from: value.origin)
        }
        return result
    }

    /// `redis_proxy.users[12].name` as `redis_proxy.users[].name`.
    static func withoutNumbers(_ name: String) -> String {
        guard name.utf8.contains(UInt8(ascii: "[")) else { return name }
        var plain = ""
        var isNumber = false
        for character in name {
            if character == "]" { isNumber = false }
            if !isNumber { plain.append(character) }
            if character == "[" { isNumber = true }
        }
        return plain
    }
}
