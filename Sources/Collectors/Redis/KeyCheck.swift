import Databases
import Metrics
import Runtime

/// `check-keys` and `check-single-keys`: type, size, memory and value of keys.
///
/// Keys are asked about in batches, two round trips each. When the scrape's time is up before the keys are, the rest is told
/// as it was last found, and the next scrape begins with it.
struct KeyCheck: RedisCheck {
    let collector = "redis_keys"
    private let base: Labels
    private let options: RedisOptions
    private let named: [DatabaseKey]
    private var scans: KeyScans
    private var known: [DatabaseKey: KeyFacts] = [:]
    private var next = 0

    /// Keys of one batch: two round trips of some ten kilobytes.
    private static let batch = 500

    init?(base: Labels, options: RedisOptions) {
        guard !options.checkKeys.isEmpty || !options.checkSingleKeys.isEmpty else { return nil }
        self.base = base
        self.options = options
        named = options.checkSingleKeys + options.checkKeys.filter { !$0.isPattern }
        scans = KeyScans(options.checkKeys.filter(\.isPattern), keeps: true, options: options)
    }

    mutating func run(_ context: CheckContext) throws(RedisError) -> CheckResult {
        if options.skipCheckKeysForRoleMaster, !context.info.isReplica { return CheckResult() }
        var result = CheckResult()
        try scans.advance(context, &result)
        let keys = keysInOrder()
        try refresh(keys, context, &result)
        result.families = families(of: keys)
        result.families.append(
            Family(
                KeyCountCheck.unfinished, Double(scans.unfinished), base.adding([Label("collector", collector)])))
        return result
    }

    /// Every key once, those of a database together.
    private func keysInOrder() -> [DatabaseKey] {
        var keys = named
        for scan in scans.scans {
            keys += scan.keys.map { DatabaseKey(database: scan.target.database, key: $0) }
        }
        var seen: Set<DatabaseKey> = []
        seen.reserveCapacity(keys.count)
        keys = Array(keys.filter { seen.insert($0).inserted }.prefix(named.count + options.matchingKeysLimit))
        let databases = Set(keys.map(\.database)).sorted()
        return databases.count == 1 ? keys : databases.flatMap { number in keys.filter { $0.database == number } }
    }

    private mutating func refresh(
        _ keys: [DatabaseKey], _ context: CheckContext, _ result: inout CheckResult
    ) throws(RedisError) {
        var fresh: [DatabaseKey: KeyFacts] = [:]
        fresh.reserveCapacity(keys.count)
        // At least one batch, so that every scrape comes on.
        var done = 0
        let start = next < keys.count ? next : 0
        next = 0
        while done < keys.count {
            let index = (start + done) % keys.count
            if done > 0, context.scanDeadline.hasPassed {
                next = index
                break
            }
            let end = min(index + Self.batch, index < start ? start : keys.count)
            let sameDatabase = keys[index..<end].prefix { $0.database == keys[index].database }
            try ask(Array(sameDatabase), context, &fresh, &result)
            done += sameDatabase.count
        }
        for key in keys where fresh[key] == nil { fresh[key] = known[key] }
        known = fresh
    }

    private func ask(
        _ keys: [DatabaseKey], _ context: CheckContext, _ facts: inout [DatabaseKey: KeyFacts],
        _ result: inout CheckResult
    ) throws(RedisError) {
        let questions = keys.flatMap { [KeyFacts.type($0.key), KeyFacts.memory($0.key)] }
        guard let answers = try context.session.ask(questions, in: keys[0].database, by: context.deadline) else {
            result.note(.error("no such database"))
            return
        }
        var details: [RedisCommand] = []
        var fresh: [KeyFacts] = []
        for (index, key) in keys.enumerated() {
            result.note(answers[2 * index])
            result.note(answers[2 * index + 1])
            let labels = known[key]?.labels ?? base.adding(key.labels)
            let fact = KeyFacts(key, labels, type: answers[2 * index], memory: answers[2 * index + 1])
            details += fact.details
            fresh.append(fact)
        }
        guard var rest = try context.session.ask(details, in: keys[0].database, by: context.deadline)?[...] else {
            return
        }
        for index in fresh.indices {
            let count = fresh[index].details.count
            fresh[index].take(Array(rest.prefix(count)), tellsValues: !options.disableExportingKeyValues)
            rest = rest.dropFirst(count)
        }
        try countHyperLogLogs(&fresh, context)
        for fact in fresh { facts[fact.key] = fact }
    }

    /// A HyperLogLog is stored as a string; what it counts is its size.
    private func countHyperLogLogs(_ facts: inout [KeyFacts], _ context: CheckContext) throws(RedisError) {
        let places = facts.indices.filter { facts[$0].isHyperLogLog }
        guard !places.isEmpty else { return }
        let commands = places.map { RedisCommand([Array("PFCOUNT".utf8), facts[$0].key.key], name: "PFCOUNT") }
        let replies = try context.session.ask(commands, in: facts[places[0]].key.database, by: context.deadline) ?? []
        for (place, reply) in zip(places, replies) {
            if let count = reply.integer { facts[place].size = Double(count) }
        }
    }

    private func families(of keys: [DatabaseKey]) -> [Family] {
        var sizes = Family(RedisMetrics.keySize)
        var memory = Family(RedisMetrics.keyMemoryUsageBytes)
        var values = Family(RedisMetrics.keyValue)
        var texts = Family(RedisMetrics.keyValueAsString)
        let named = Set(named)
        for key in keys {
            guard let fact = known[key] else { continue }
            // A key that is asked for by name and does not exist has size 0; one that a walk found is just gone.
            if let size = fact.size ?? (fact.isMissing && named.contains(key) ? 0 : nil) {
                sizes.samples.append(Sample(fact.labels, size))
            }
            if let bytes = fact.memory { memory.samples.append(Sample(fact.labels, bytes)) }
            if let value = fact.value { values.samples.append(Sample(fact.labels, value)) }
            if let text = fact.text { texts.samples.append(Sample(text, 1)) }
        }
        return [sizes, memory, values, texts].filter { !$0.samples.isEmpty }
    }
}
