import Databases
import Metrics

/// CONFIG GET: which settings are asked for, and what they become.
struct ConfigReader {
    private let base: Labels
    private let options: RedisOptions
    /// Labels of each class of clients.
    private var limits: [String: (hard: Labels, soft: Labels)] = [:]
    /// Labels of the settings in the order of the last reply.
    private var settings: [(name: String, value: String, named: Labels, valued: Labels)] = []

    /// How many databases the server has, once it told.
    private(set) var databases: Int?

    init(base: Labels, options: RedisOptions) {
        self.base = base
        self.options = options
    }

    /// More databases than this are not told as empty.
    private static let databaseLimit = 10_000
    private static let secrets: Set<String> = [
        "masterauth", "primaryauth", "requirepass", "tls-key-file-pass", "tls-client-key-file-pass",
    ]

    /// Many names in one command need Redis 7; older servers get a command for each.
    static func commands(_ options: RedisOptions, _ server: RedisServer) -> [RedisCommand] {
        guard options.configCommand != "-", !server.isSentinel else { return [] }
        let name = options.configCommand + " GET"
        if options.includeConfigMetrics { return [RedisCommand(options.configCommand, "GET", "*", name: name)] }
        var wanted = ["databases", "client-output-buffer-limit"] + RedisMetrics.settings.map(\.setting)
        if options.includeRDBFileSizeMetric { wanted += ["dir", "dbfilename"] }
        if server.hasCommandLog { wanted.append("commandlog-*") }
        if server.redis != nil, server.isAtLeast(7) {
            let words = [options.configCommand, "GET"] + wanted
            return [RedisCommand(words.map { Array($0.utf8) }, name: name)]
        }
        return wanted.map { RedisCommand(options.configCommand, "GET", $0, name: name) }
    }

    mutating func read(_ replies: [RedisReply]) -> [Family] {
        var pairs: [(name: String, value: String)] = []
        for reply in replies {
            for (name, value) in reply.pairs ?? [] {
                if let value = value.text { pairs.append((name, value)) }
            }
        }
        var families: [Family] = []
        if options.includeConfigMetrics { families += all(pairs) }
        var bytes = Family(RedisMetrics.configClientOutputBufferLimitBytes)
        var seconds = Family(RedisMetrics.configClientOutputBufferLimitOvercomeSeconds)
        for (name, value) in pairs {
            if name == "databases" { databases = Int(value).map { min(max($0, 0), Self.databaseLimit) } }
            if name == "client-output-buffer-limit" { addLimits(value, &bytes, &seconds) }
            if let metric = Self.metrics[name], let number = Double(value) {
                families.append(Family(metric, number, base))
            }
        }
        if options.includeRDBFileSizeMetric { families += dumpSize(pairs) }
        return families + [bytes, seconds].filter { !$0.samples.isEmpty }
    }

    private static let metrics: [String: Metric] = {
        var metrics = Dictionary(uniqueKeysWithValues: RedisMetrics.settings.map { ($0.setting, $0.metric) })
        for (setting, metric) in RedisMetrics.commandLogSettings { metrics[setting] = metric }
        return metrics
    }()

    private mutating func all(_ pairs: [(name: String, value: String)]) -> [Family] {
        var texts = Family(RedisMetrics.configKeyValue)
        var numbers = Family(RedisMetrics.configValue)
        texts.samples.reserveCapacity(pairs.count)
        for (name, value) in pairs where !options.redactConfigMetrics || !Self.secrets.contains(name) {
            let labels = labels(name, value, at: texts.samples.count)
            texts.samples.append(Sample(labels.valued, 1))
            if let number = Double(value) { numbers.samples.append(Sample(labels.named, number)) }
        }
        return [texts, numbers]
    }

    private mutating func labels(_ name: String, _ value: String, at index: Int) -> (named: Labels, valued: Labels) {
        if index < settings.count, settings[index].name == name, settings[index].value == value {
            return (settings[index].named, settings[index].valued)
        }
        let named = base.adding([Label("key", name)])
        let valued = named.adding([Label("value", value)])
        settings.removeSubrange(index...)
        settings.append((name, value, named, valued))
        return (named, valued)
    }

    /// `normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60`: class, hard limit, soft limit, seconds.
    private mutating func addLimits(_ value: String, _ bytes: inout Family, _ seconds: inout Family) {
        let words = value.split(separator: " ").map(String.init)
        for start in stride(from: 0, to: words.count - words.count % 4, by: 4) {
            let labels = limitLabels(words[start])
            if let hard = Double(words[start + 1]) { bytes.samples.append(Sample(labels.hard, hard)) }
            if let soft = Double(words[start + 2]) { bytes.samples.append(Sample(labels.soft, soft)) }
            if let time = Double(words[start + 3]) { seconds.samples.append(Sample(labels.soft, time)) }
        }
    }

    private mutating func limitLabels(_ name: String) -> (hard: Labels, soft: Labels) {
        if let known = limits[name] { return known }
        let labels = base.adding([Label("class", name)])
        let made = (hard: labels.adding([Label("limit", "hard")]), soft: labels.adding([Label("limit", "soft")]))
        if limits.count < 16 { limits[name] = made }
        return made
    }

    /// A file that is not there yet is empty; one that we may not look at is left out.
    private func dumpSize(_ pairs: [(name: String, value: String)]) -> [Family] {
        guard let folder = pairs.last(where: { $0.name == "dir" })?.value,
            let file = pairs.last(where: { $0.name == "dbfilename" })?.value,
            !file.isEmpty, !file.contains("/"), file != ".", file != ".."
        else { return [] }
        guard let size = Kernel.fileSize(folder + "/" + file) else { return [] }
        return [Family(RedisMetrics.rdbCurrentSizeBytes, Double(size), base)]
    }
}
