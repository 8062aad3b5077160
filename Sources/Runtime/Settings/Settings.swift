/// Every setting there is, read where it is used: one line gives its name, default and meaning.
///
/// A setting has one name in three spellings: `web: {listen_address: …}` in the file, `--web.listen-address=…` on the
/// command line and `OUTRIGGER_WEB_LISTEN_ADDRESS` in the environment. The command line beats the environment, which
/// beats the file, which beats the default. `NAME_FILE` in the environment names a file that holds the value.
public final class Settings {
    /// One declared setting, for `--help` and the README.
    public struct Declaration: Sendable {
        public let name: String
        public let kind: String
        /// Nil when it has none.
        public let fallback: String?
        public let help: String
        /// Other environment variables that mean the same.
        public let aliases: [String]
        /// Whether it stands in a list of the file only.
        public let isInFileOnly: Bool
    }

    public private(set) var declarations: [Declaration] = []
    /// What has been read so far.
    public private(set) var values = SettingValues()
    private let file: (name: String, root: YAML)?
    private let environment: [String: String]
    private let flags: [CommandLineFlag]
    private var usedFlags: Set<String> = []
    /// Paths of the file that somebody has read, as `a.b` and `a.b[0].c`.
    private var usedPaths: Set<String> = []
    private var usedVariables: Set<String> = []

    /// - Parameters:
    ///   - file: its name, for messages, and what it holds.
    ///   - flags: in the order of the command line; of two the later wins, except for lists, which take all.
    public init(
        file: (name: String, root: YAML)? = nil, environment: [String: String] = [:], flags: [CommandLineFlag] = []
    ) {
        self.file = file
        self.environment = environment
        self.flags = flags
    }

    /// - Parameter range: what is allowed; the complaint names it.
    public func read<Value: SettingValue>(
        _ name: String, default fallback: Value, _ help: String, aliases: [String] = [],
        in range: ClosedRange<Value>? = nil
    ) throws(SettingsError) -> Value where Value: Comparable {
        let value = try find(name, fallback: fallback, help, aliases: aliases)
        if let value, let range, !range.contains(value.value) {
            throw SettingsError(
                place: value.place, key: name,
                problem:
                    "\(value.value.settingText) is not between \(range.lowerBound.settingText) and \(range.upperBound.settingText)"
            )
        }
        return value?.value ?? fallback
    }

    public func read(_ name: String, default fallback: Bool, _ help: String, aliases: [String] = [])
        throws(SettingsError) -> Bool
    {
        try find(name, fallback: fallback, help, aliases: aliases)?.value ?? fallback
    }

    /// A setting without a default.
    public func read<Value: SettingValue>(
        _ name: String, as type: Value.Type = Value.self, _ help: String, aliases: [String] = []
    ) throws(SettingsError) -> Value? {
        try find(name, fallback: nil, help, aliases: aliases)?.value
    }

    /// One of a few words.
    public func read<Choice: RawRepresentable & CaseIterable>(
        _ name: String, oneOf type: Choice.Type = Choice.self, default fallback: Choice, _ help: String,
        aliases: [String] = []
    ) throws(SettingsError) -> Choice where Choice.RawValue == String {
        let words = Choice.allCases.map(\.rawValue).joined(separator: ", ")
        guard let found = try find(name, fallback: fallback.rawValue, help + " One of \(words).", aliases: aliases)
        else {
            return fallback
        }
        guard let choice = Choice(rawValue: found.value.lowercased()) else {
            throw SettingsError(place: found.place, key: name, problem: "\"\(found.value)\" is none of \(words)")
        }
        return choice
    }

    /// Several texts: a list in the file, a repeated flag, or one value with commas.
    public func readList(
        _ name: String, default fallback: [String] = [], _ help: String, aliases: [String] = []
    ) throws(SettingsError) -> [String] {
        let (texts, origin) = try findList(name, default: fallback, help, aliases)
        values.note(name, texts.joined(separator: ","), from: origin)
        return texts
    }

    private func findList(
        _ name: String, default fallback: [String], _ help: String, _ aliases: [String]
    ) throws(SettingsError) -> (texts: [String], origin: String) {
        declare(name, kind: "a list", fallback: fallback.joined(separator: ","), help, aliases)
        markKnown(name, aliases)
        let given = flags.filter { $0.name == name }
        if let last = given.last {
            usedFlags.insert(name)
            return (given.flatMap { splitList($0.value ?? "") }, "flag \(last.spelling)")
        }
        if let variable = try environmentValue(name, aliases) {
            return (splitList(variable.text), "environment \(variable.name)")
        }
        guard let node = fileNode(name) else { return (fallback, "default") }
        if let items = node.items {
            var texts: [String] = []
            for item in items {
                guard let text = item.text else { throw wrong(name, item, "must be text, but is \(item.kindText)") }
                texts.append(text)
            }
            return (texts, place(of: node))
        }
        guard let text = node.text else { throw wrong(name, node, "must be a list, but is \(node.kindText)") }
        return (node.isNull ? [] : splitList(text), place(of: node))
    }

    /// A list of mappings in the file, such as `targets.postgres`. `body` reads one; to declare its settings it is
    /// also called once with an empty item, whose result is dropped.
    public func readItems<Item>(
        _ name: String, _ help: String, _ body: (SettingsItem) throws(SettingsError) -> Item
    ) throws(SettingsError) -> [Item] {
        declarations.append(
            Declaration(
                name: name, kind: "a list of mappings", fallback: nil, help: help, aliases: [], isInFileOnly: true))
        let declaring = SettingsItem(settings: self, path: name + "[]", node: nil, declares: true)
        do { _ = try body(declaring) } catch  where error.place == SettingsItem.declaringPlace {}
        guard let node = fileNode(name) else { return [] }
        usedPaths.insert(name)
        guard let items = node.items else {
            if node.isNull { return [] }
            throw wrong(name, node, "must be a list, but is \(node.kindText)")
        }
        var result: [Item] = []
        for (index, item) in items.enumerated() {
            guard item.entries != nil else { throw wrong(name, item, "must hold mappings, but holds \(item.kindText)") }
            let path = "\(name)[\(index)]"
            result.append(try body(SettingsItem(settings: self, path: path, node: item, declares: false)))
        }
        return result
    }

    /// A part of the file in a form of its own. Whoever reads it answers for unknown keys in it.
    public func readSection(_ name: String, _ help: String) -> YAML? {
        declarations.append(
            Declaration(name: name, kind: "a section", fallback: nil, help: help, aliases: [], isInFileOnly: true))
        guard let node = fileNode(name) else { return nil }
        markAll(node, path: name)
        noteAll(node, path: name)
        return node
    }

    /// The name of the file, for messages of those who read a section.
    public var hasFile: Bool { file != nil }

    public var fileName: String { file?.name ?? "configuration" }

    /// Every key, flag and value must have been read by somebody.
    public func finish() throws(SettingsError) {
        for flag in flags where !usedFlags.contains(flag.name) {
            throw SettingsError(
                place: "command line", key: flag.spelling, problem: "unknown flag" + suggestion(for: flag.name))
        }
        if let file { try checkAllRead(file.root, path: "") }
        // Kubernetes sets OUTRIGGER_PORT and the like for a service of that name, so an unknown variable is no error.
        for name in environment.keys.sorted() where name.hasPrefix("OUTRIGGER_") && !usedVariables.contains(name) {
            Log.warn("unknown variable", ["variable": name])
        }
    }

    // MARK: Finding a value

    struct Found<Value> {
        let value: Value
        let place: String
        /// More exactly than `place`, for those who look for it.
        var origin: String
    }

    private func find<Value: SettingValue>(
        _ name: String, fallback: Value?, _ help: String, aliases: [String]
    ) throws(SettingsError) -> Found<Value>? {
        let found: Found<Value>? = try search(name, fallback: fallback, help, aliases: aliases)
        note(name, found, fallback: fallback)
        return found
    }

    func note<Value: SettingValue>(_ name: String, _ found: Found<Value>?, fallback: Value?) {
        values.note(
            name, (found?.value ?? fallback)?.settingText ?? "", from: found?.origin ?? "default")
    }

    /// Every text of a section.
    private func noteAll(_ node: YAML, path: String) {
        if let text = node.text { values.note(path, text, from: place(of: node)) }
        for entry in node.entries ?? [] { noteAll(entry.value, path: path + "." + entry.key) }
        for (index, item) in (node.items ?? []).enumerated() { noteAll(item, path: "\(path)[\(index)]") }
    }

    private func search<Value: SettingValue>(
        _ name: String, fallback: Value?, _ help: String, aliases: [String]
    ) throws(SettingsError) -> Found<Value>? {
        declare(name, kind: Value.kind, fallback: fallback?.settingText, help, aliases)
        markKnown(name, aliases)
        if Value.self == Bool.self { usedPaths.insert(name + ".enabled") }
        if let flag = flags.last(where: { $0.name == name }) {
            usedFlags.insert(name)
            let text = flag.value ?? (Value.self == Bool.self ? "true" : nil)
            guard let text else {
                throw SettingsError(place: "command line", key: flag.spelling, problem: "needs a value")
            }
            return try convert(
                text, name: flag.spelling, place: "command line", origin: "flag \(flag.spelling)")
        }
        if let variable = try environmentValue(name, aliases) {
            return try convert(
                variable.text, name: variable.name, place: "environment", origin: "environment \(variable.name)")
        }
        guard var node = fileNode(name) else { return nil }
        // `collector: {stat_statements: {enabled: true, limit: 50}}` beside `collector: {stat_statements: true}`.
        if Value.self == Bool.self, node.entries != nil {
            guard let inner = node["enabled"] else { return nil }
            node = inner
        }
        return try convert(node, name: name)
    }

    func convert<Value: SettingValue>(_ node: YAML, name: String) throws(SettingsError) -> Found<Value>? {
        if node.isNull { return nil }
        guard let text = node.text else { throw wrong(name, node, "must be \(Value.kind), but is \(node.kindText)") }
        return try convert(text, name: name, place: place(of: node), origin: place(of: node))
    }

    private func convert<Value: SettingValue>(
        _ text: String, name: String, place: String, origin: String
    ) throws(SettingsError) -> Found<Value> {
        guard let value = Value(setting: text) else {
            throw SettingsError(place: place, key: name, problem: "\"\(text)\" is not \(Value.kind)")
        }
        return Found(value: value, place: place, origin: origin)
    }

    private func environmentValue(_ name: String, _ aliases: [String]) throws(SettingsError) -> (
        text: String, name: String
    )? {
        let names = [Settings.variable(for: name)] + aliases
        for candidate in names {
            if let text = environment[candidate], !text.isEmpty { return (text, candidate) }
            guard let named = environment[candidate + "_FILE"], !named.isEmpty else { continue }
            // A service manager's secrets (systemd.exec(5), LoadCredential) are told by their names alone.
            let path =
                named.hasPrefix("/") ? named : environment["CREDENTIALS_DIRECTORY"].map { $0 + "/" + named } ?? named
            do {
                let text = try Files.readText(path, limitBytes: 1 << 20)
                return (text.trimmingTrailingNewlines, candidate + "_FILE")
            } catch {
                throw SettingsError(place: "environment", key: candidate + "_FILE", problem: "\(error)")
            }
        }
        return nil
    }

    private func fileNode(_ name: String) -> YAML? {
        var node = file?.root
        for part in name.split(separator: ".") { node = node?[String(part)] }
        return node
    }

    // MARK: Declaring

    func declare(
        _ name: String, kind: String, fallback: String?, _ help: String, _ aliases: [String], inFileOnly: Bool = false
    ) {
        guard !declarations.contains(where: { $0.name == name }) else { return }
        declarations.append(
            Declaration(
                name: name, kind: kind, fallback: fallback, help: help, aliases: aliases, isInFileOnly: inFileOnly))
    }

    /// `web.listen_address` is `OUTRIGGER_WEB_LISTEN_ADDRESS`.
    public static func variable(for name: String) -> String {
        "OUTRIGGER_" + name.uppercased().map { $0 == "." ? "_" : String($0) }.joined()
    }

    // MARK: What nobody read

    /// Wherever it stands, also where something else wins over it.
    private func markKnown(_ name: String, _ aliases: [String]) {
        usedPaths.insert(name)
        for variable in [Settings.variable(for: name)] + aliases {
            usedVariables.formUnion([variable, variable + "_FILE"])
        }
    }

    func noteText(_ name: String, _ text: String, from node: YAML) {
        values.note(name, text, from: place(of: node))
    }

    func markUsed(_ path: String) { usedPaths.insert(path) }

    func markAll(_ node: YAML, path: String) {
        usedPaths.insert(path)
        for entry in node.entries ?? [] {
            markAll(entry.value, path: path.isEmpty ? entry.key : path + "." + entry.key)
        }
        for (index, item) in (node.items ?? []).enumerated() { markAll(item, path: "\(path)[\(index)]") }
    }

    private func checkAllRead(_ node: YAML, path: String) throws(SettingsError) {
        guard node.entries != nil || path.isEmpty else { return }
        if path.isEmpty, node.entries == nil, !node.isNull {
            throw SettingsError(place: place(of: node), key: "", problem: "must be a mapping, but is \(node.kindText)")
        }
        for entry in node.entries ?? [] {
            let full = path.isEmpty ? entry.key : path + "." + entry.key
            let isPrefix = declarations.contains { $0.name.hasPrefix(full + ".") }
            guard usedPaths.contains(full) || isPrefix else {
                throw SettingsError(
                    place: "\(fileName):\(entry.line)", key: full, problem: "unknown setting" + suggestion(for: full))
            }
            if isPrefix, !usedPaths.contains(full), entry.value.entries == nil, !entry.value.isNull {
                throw SettingsError(
                    place: "\(fileName):\(entry.line)", key: full,
                    problem: "must be a mapping, but is \(entry.value.kindText)")
            }
            try checkAllRead(entry.value, path: full)
            for (index, item) in (entry.value.items ?? []).enumerated() {
                try checkAllRead(item, path: "\(full)[\(index)]")
            }
        }
    }

    private func suggestion(for name: String) -> String {
        let plain = String(name.filter { !$0.isNumber })
        // What is misspelt may be the beginning of names only: `alertting` of `alerting.rules`.
        let depth = plain.split(separator: ".").count
        let names = Set(declarations.map { $0.name.split(separator: ".").prefix(depth).joined(separator: ".") })
        guard let best = closest(to: plain, among: declarations.map(\.name) + names.sorted()) else { return "" }
        return ", did you mean \(best)?"
    }

    func wrong(_ name: String, _ node: YAML, _ problem: String) -> SettingsError {
        SettingsError(place: place(of: node), key: name, problem: problem)
    }

    func place(of node: YAML) -> String { "\(fileName):\(node.line)" }

    private func splitList(_ text: String) -> [String] {
        text.split(separator: ",").map { part in
            String(part.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
        }.filter { !$0.isEmpty }
    }
}

/// One mapping of a list in the file.
public struct SettingsItem {
    static let declaringPlace = "declaring"
    let settings: Settings
    let path: String
    let node: YAML?
    let declares: Bool

    public func read<Value: SettingValue>(_ key: String, default fallback: Value, _ help: String) throws(SettingsError)
        -> Value
    {
        try find(key, fallback: fallback, help) ?? fallback
    }

    public func read<Value: SettingValue>(
        _ key: String, as type: Value.Type = Value.self, _ help: String
    ) throws(SettingsError) -> Value? {
        try find(key, fallback: nil, help)
    }

    public func require(_ key: String, _ help: String) throws(SettingsError) -> String {
        if let value: String = try find(key, fallback: nil, help), !value.isEmpty { return value }
        if declares { return "" }
        let others = (node?.entries ?? []).map(\.key)
        let guess = others.first { $0 != key && closest(to: $0, among: [key]) != nil }
        throw failure(key, "is missing" + (guess.map { "; is \($0) meant to be it?" } ?? ""))
    }

    public func readList(_ key: String, default fallback: [String] = [], _ help: String) throws(SettingsError)
        -> [String]
    {
        let texts = try findList(key, default: fallback, help)
        if let node {
            settings.noteText(path + "." + key, texts.joined(separator: ","), from: (node[key] ?? node))
        }
        return texts
    }

    private func findList(_ key: String, default fallback: [String], _ help: String) throws(SettingsError) -> [String] {
        declare(key, "a list", fallback.joined(separator: ","), help)
        guard let found = node?[key] else { return fallback }
        settings.markUsed(path + "." + key)
        guard let items = found.items else {
            guard let text = found.text else { throw failure(key, "must be a list, but is \(found.kindText)") }
            return text.isEmpty ? [] : [text]
        }
        var texts: [String] = []
        for item in items {
            guard let text = item.text else { throw failure(key, "must hold texts, but holds \(item.kindText)") }
            texts.append(text)
        }
        return texts
    }

    /// Mappings below this one.
    public func readItems<Item>(
        _ key: String, _ help: String, _ body: (SettingsItem) throws(SettingsError) -> Item
    ) throws(SettingsError) -> [Item] {
        declare(key, "a list of mappings", nil, help)
        if declares {
            _ = try body(SettingsItem(settings: settings, path: path + "." + key + "[]", node: nil, declares: true))
            return []
        }
        guard let found = node?[key], !found.isNull else { return [] }
        settings.markUsed(path + "." + key)
        guard let items = found.items else { throw failure(key, "must be a list, but is \(found.kindText)") }
        var result: [Item] = []
        for (index, item) in items.enumerated() {
            let place = "\(path).\(key)[\(index)]"
            result.append(try body(SettingsItem(settings: settings, path: place, node: item, declares: false)))
        }
        return result
    }

    /// A complaint about this item that names its place.
    public func failure(_ key: String, _ problem: String) -> SettingsError {
        guard !declares else { return SettingsError(place: Self.declaringPlace, key: key, problem: problem) }
        let place = (node?[key] ?? node).map { settings.place(of: $0) } ?? settings.fileName
        return SettingsError(place: place, key: path + "." + key, problem: problem)
    }

    private func find<Value: SettingValue>(_ key: String, fallback: Value?, _ help: String) throws(SettingsError)
        -> Value?
    {
        declare(key, Value.kind, fallback?.settingText, help)
        guard let node else { return nil }
        let name = path + "." + key
        guard let given = node[key] else {
            settings.note(name, nil, fallback: fallback)
            return nil
        }
        settings.markUsed(name)
        let found: Settings.Found<Value>? = try settings.convert(given, name: name)
        settings.note(name, found, fallback: fallback)
        return found?.value
    }

    private func declare(_ key: String, _ kind: String, _ fallback: String?, _ help: String) {
        guard declares else { return }
        settings.declare(path + "." + key, kind: kind, fallback: fallback, help, [], inFileOnly: true)
    }
}

extension String {
    var trimmingTrailingNewlines: String {
        var text = self[...]
        while text.last == "\n" || text.last == "\r" || text.last == "\r\n" { text.removeLast() }
        return String(text)
    }
}
