import Databases
import Metrics

/// `check-streams` and `check-single-streams`: streams, their groups and the consumers of those, in three round trips for
/// each database.
struct StreamCheck: RedisCheck {
    let collector = "redis_streams"
    private let base: Labels
    private let options: RedisOptions
    private let named: [DatabaseKey]
    private var scans: KeyScans

    init?(base: Labels, options: RedisOptions) {
        guard !options.checkStreams.isEmpty || !options.checkSingleStreams.isEmpty else { return nil }
        self.base = base
        self.options = options
        named = options.checkSingleStreams + options.checkStreams.filter { !$0.isPattern }
        scans = KeyScans(options.checkStreams.filter(\.isPattern), keeps: true, type: "stream", options: options)
    }

    mutating func run(_ context: CheckContext) throws(RedisError) -> CheckResult {
        var result = CheckResult()
        try scans.advance(context, &result)
        var keys = named
        for scan in scans.scans { keys += scan.keys.map { DatabaseKey(database: scan.target.database, key: $0) } }
        var seen: Set<DatabaseKey> = []
        keys = keys.filter { seen.insert($0).inserted }

        var streams = StreamFamilies(base)
        for database in Set(keys.map(\.database)).sorted() {
            try ask(keys.filter { $0.database == database }, context, &streams, &result)
        }
        result.families = streams.all
        return result
    }

    private func ask(
        _ keys: [DatabaseKey], _ context: CheckContext, _ streams: inout StreamFamilies, _ result: inout CheckResult
    ) throws(RedisError) {
        let questions = keys.flatMap { [Self.xinfo("STREAM", $0.key), Self.xinfo("GROUPS", $0.key)] }
        guard let replies = try context.session.ask(questions, in: keys[0].database, by: context.deadline) else {
            result.note(.error("no such database"))
            return
        }
        var groups: [(key: DatabaseKey, name: [UInt8])] = []
        for (index, key) in keys.enumerated() {
            // A name that is no stream, or nothing at all, spoils nobody else's numbers.
            result.note(replies[2 * index])
            guard let facts = replies[2 * index].pairs else { continue }
            streams.addStream(key, facts)
            for group in replies[2 * index + 1].elements ?? [] {
                guard let facts = group.pairs, let name = streams.addGroup(key, facts) else { continue }
                groups.append((key, name))
            }
        }
        guard !options.streamsExcludeConsumerMetrics, !groups.isEmpty else { return }
        let commands = groups.map { Self.xinfo("CONSUMERS", $0.key.key, $0.name) }
        let consumers = try context.session.ask(commands, in: keys[0].database, by: context.deadline) ?? []
        for (group, reply) in zip(groups, consumers) {
            for consumer in reply.elements ?? [] {
                if let facts = consumer.pairs { streams.addConsumer(group.key, group.name, facts) }
            }
        }
    }

    private static func xinfo(_ what: String, _ words: [UInt8]...) -> RedisCommand {
        RedisCommand([Array("XINFO".utf8), Array(what.utf8)] + words, name: "XINFO " + what)
    }
}

/// The series of streams under construction. A number that the server does not know, or not yet in its version, is left out.
private struct StreamFamilies {
    private let base: Labels
    private var families: [Family] = []
    private var places: [String: Int] = [:]

    init(_ base: Labels) { self.base = base }

    var all: [Family] { families }

    private typealias Facts = [(name: String, value: RedisReply)]

    private static let streamNumbers: [(field: String, metric: Metric)] = [
        ("length", RedisMetrics.streamLength), ("radix-tree-keys", RedisMetrics.streamRadixTreeKeys),
        ("radix-tree-nodes", RedisMetrics.streamRadixTreeNodes), ("groups", RedisMetrics.streamGroups),
        ("entries-added", RedisMetrics.streamEntriesAddedTotal),
    ]
    private static let streamIDs: [(field: String, metric: Metric)] = [
        ("last-generated-id", RedisMetrics.streamLastGeneratedID),
        ("max-deleted-entry-id", RedisMetrics.streamMaxDeletedEntryID),
        ("first-entry", RedisMetrics.streamFirstEntryID), ("last-entry", RedisMetrics.streamLastEntryID),
    ]
    private static let groupNumbers: [(field: String, metric: Metric)] = [
        ("consumers", RedisMetrics.streamGroupConsumers), ("pending", RedisMetrics.streamGroupMessagesPending),
        ("entries-read", RedisMetrics.streamGroupEntriesRead), ("lag", RedisMetrics.streamGroupLag),
    ]

    mutating func addStream(_ key: DatabaseKey, _ facts: [(name: String, value: RedisReply)]) {
        let labels = labels(key)
        for (field, metric) in Self.streamNumbers {
            add(metric, labels, Self.fact(field, facts)?.integer.map(Double.init))
        }
        for (field, metric) in Self.streamIDs {
            guard let value = Self.fact(field, facts) else { continue }
            // An entry is `[id, [fields]]`; an empty stream has none, which counts as 0.
            add(metric, labels, Self.milliseconds(value.elements?.first ?? value))
        }
    }

    /// - Returns: the group's name.
    mutating func addGroup(_ key: DatabaseKey, _ facts: [(name: String, value: RedisReply)]) -> [UInt8]? {
        guard let name = Self.fact("name", facts)?.bytes else { return nil }
        let labels = labels(key).adding([Label("group", String(decoding: name, as: UTF8.self))])
        for (field, metric) in Self.groupNumbers {
            add(metric, labels, Self.fact(field, facts)?.integer.map(Double.init))
        }
        if let id = Self.fact("last-delivered-id", facts) {
            add(RedisMetrics.streamGroupLastDeliveredID, labels, Self.milliseconds(id))
        }
        return Array(name)
    }

    mutating func addConsumer(_ key: DatabaseKey, _ group: [UInt8], _ facts: [(name: String, value: RedisReply)]) {
        guard let name = Self.fact("name", facts)?.text else { return }
        let labels = labels(key).adding([
            Label("group", String(decoding: group, as: UTF8.self)), Label("consumer", name),
        ])
        add(
            RedisMetrics.streamGroupConsumerMessagesPending, labels,
            Self.fact("pending", facts)?.integer.map(Double.init))
        add(
            RedisMetrics.streamGroupConsumerIdleSeconds, labels,
            Self.fact("idle", facts)?.integer.map { Double($0) / 1e3 })
    }

    private func labels(_ key: DatabaseKey) -> Labels {
        base.adding([
            Label("db", "db\(key.database)"), Label("stream", String(decoding: key.key, as: UTF8.self)),
        ])
    }

    private static func fact(_ field: String, _ facts: [(name: String, value: RedisReply)]) -> RedisReply? {
        facts.first { $0.name == field }?.value
    }

    /// `1526569495631-1` is an entry of that millisecond since 1970.
    private static func milliseconds(_ id: RedisReply) -> Double {
        let text = id.text ?? ""
        return Double(text.prefix { $0 != "-" }) ?? 0
    }

    private mutating func add(_ metric: Metric, _ labels: Labels, _ value: Double?) {
        guard let value else { return }
        if let place = places[metric.name] {
            families[place].samples.append(Sample(labels, value))
        } else {
            places[metric.name] = families.count
            families.append(Family(metric, value, labels))
        }
    }
}
