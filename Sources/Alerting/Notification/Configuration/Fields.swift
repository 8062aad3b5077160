import PromQL
import Runtime

/// One mapping of the configuration, whose every key must be asked for: `finish` complains of the first that was not.
final class Fields {
    private let node: YAML
    /// The file's name, for messages.
    private let file: String
    /// Of the mapping: `alerting.receivers[0]`.
    private let path: String
    private var asked: Set<String> = []

    init(_ node: YAML, file: String, path: String) throws(SettingsError) {
        self.node = node
        self.file = file
        self.path = path
        guard node.entries != nil else { throw failure(nil, "must be a mapping, but is \(node.kindText)") }
    }

    /// Nobody asked for it: nobody knows it.
    func finish() throws(SettingsError) {
        for entry in node.entries ?? [] where !asked.contains(entry.key) {
            let best = closest(to: entry.key, among: asked.sorted()).map { ", did you mean \($0)?" } ?? ""
            throw SettingsError(
                place: "\(file):\(entry.line)", key: "\(path).\(entry.key)", problem: "unknown setting\(best)")
        }
    }

    /// A complaint about a key, or about the mapping.
    func failure(_ key: String?, _ problem: String) -> SettingsError {
        let line = key.flatMap { key in node.entries?.first { $0.key == key }?.line } ?? node.line
        return SettingsError(place: "\(file):\(line)", key: key.map { "\(path).\($0)" } ?? path, problem: problem)
    }

    // MARK: Values

    func has(_ key: String) -> Bool { find(key) != nil }

    func text(_ key: String) throws(SettingsError) -> String? {
        guard let found = find(key) else { return nil }
        guard let text = found.text else { throw failure(key, "must be text, but is \(found.kindText)") }
        return text
    }

    func require(_ key: String) throws(SettingsError) -> String {
        guard let text = try text(key), !text.isEmpty else { throw failure(nil, "\(key) is missing") }
        return text
    }

    func value<Value: SettingValue>(_ key: String, default fallback: Value) throws(SettingsError) -> Value {
        guard let text = try text(key) else { return fallback }
        guard let value = Value(setting: text) else { throw failure(key, "\"\(text)\" is not \(Value.kind)") }
        return value
    }

    func isList(_ key: String) -> Bool { find(key)?.items != nil }

    /// In Prometheus' spelling.
    func duration(_ key: String, orZero allowsZero: Bool = true) throws(SettingsError) -> Duration? {
        guard let text = try text(key) else { return nil }
        guard let milliseconds = DurationText.parse(text) else {
            throw failure(key, "\"\(text)\" is not a duration such as 30s or 1h30m")
        }
        guard allowsZero || milliseconds > 0 else { throw failure(key, "must be longer than 0") }
        return .milliseconds(milliseconds)
    }

    /// Such as `2026-01-31T08:00:00Z`.
    func moment(_ key: String) throws(SettingsError) -> Moment? {
        guard let text = try text(key) else { return nil }
        guard let moment = Moment(text) else {
            throw failure(key, "\"\(text)\" is not a time such as 2026-01-31T08:00:00Z")
        }
        return moment
    }

    /// A list of texts; one text alone is a list of it.
    func texts(_ key: String) throws(SettingsError) -> [String]? {
        guard let found = find(key) else { return nil }
        if let text = found.text { return [text] }
        guard let items = found.items else { throw failure(key, "must be a list, but is \(found.kindText)") }
        var texts: [String] = []
        for item in items {
            guard let text = item.text else { throw failure(key, "must hold texts, but holds \(item.kindText)") }
            texts.append(text)
        }
        return texts
    }

    /// A mapping of names to texts, in the order of the file.
    func pairs(_ key: String) throws(SettingsError) -> [(name: String, value: String)]? {
        guard let found = find(key) else { return nil }
        guard let entries = found.entries else { throw failure(key, "must be a mapping, but is \(found.kindText)") }
        var pairs: [(name: String, value: String)] = []
        for entry in entries {
            guard let text = entry.value.text else { throw failure(key, "\(entry.key) must be text") }
            pairs.append((entry.key, text))
        }
        return pairs
    }

    func mapping(_ key: String) throws(SettingsError) -> Fields? {
        guard let found = find(key) else { return nil }
        return try Fields(found, file: file, path: "\(path).\(key)")
    }

    func mappings(_ key: String) throws(SettingsError) -> [Fields] {
        guard let found = find(key) else { return [] }
        return try Fields.list(found, file: file, path: "\(path).\(key)")
    }

    /// The mapping's own mappings by name.
    func entries() throws(SettingsError) -> [(name: String, fields: Fields)] {
        var entries: [(name: String, fields: Fields)] = []
        for entry in node.entries ?? [] {
            asked.insert(entry.key)
            entries.append((entry.key, try Fields(entry.value, file: file, path: "\(path).\(entry.key)")))
        }
        return entries
    }

    /// Text given at once under `key`, or in the file that `<key>_file` names.
    func secret(_ key: String) throws(SettingsError) -> Secret? {
        let text = try text(key)
        let path = try self.text(key + "_file")
        guard text == nil || path == nil else {
            throw failure(key, "at most one of \(key) and \(key)_file must be set")
        }
        if let path { return .file(path) }
        return text.map { .text($0) }
    }

    static func list(_ node: YAML, file: String, path: String) throws(SettingsError) -> [Fields] {
        guard let items = node.items else {
            throw SettingsError(
                place: "\(file):\(node.line)", key: path, problem: "must be a list, but is \(node.kindText)")
        }
        var list: [Fields] = []
        for (index, item) in items.enumerated() { list.append(try Fields(item, file: file, path: "\(path)[\(index)]")) }
        return list
    }

    private func find(_ key: String) -> YAML? {
        asked.insert(key)
        guard let found = node[key], !found.isNull else { return nil }
        return found
    }
}
