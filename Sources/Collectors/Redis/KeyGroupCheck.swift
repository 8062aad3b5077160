import Databases
import Metrics
import Runtime

/// `check-key-groups`: how many keys there are of each kind, and what they take, where the kind is what a Lua pattern
/// captures from the key's name.
///
/// redis_exporter lets a script do this inside the server, which blocks everybody else for a batch at a time. Here SCAN and
/// MEMORY USAGE bring the facts, a batch per round trip and a half, and the names are matched on this side.
struct KeyGroupCheck: RedisCheck {
    let collector = "redis_key_groups"
    private let base: Labels
    private let options: RedisOptions
    private let patterns: [LuaPattern]
    private var walk = Walk()
    /// The latest complete result of each database.
    private var results: [Int: [Group]] = [:]

    private struct Group {
        let name: [UInt8]
        var count = 0
        var bytes = 0
    }

    /// Where the check is: in which database, at which cursor, with which groups so far.
    private struct Walk {
        var database = 0
        var cursor = [UInt8(ascii: "0")]
        var groups: [[UInt8]: Group] = [:]
    }

    /// Without patterns only the duration is told, as redis_exporter does.
    init(base: Labels, options: RedisOptions) {
        self.base = base
        self.options = options
        var patterns: [LuaPattern] = []
        for text in options.checkKeyGroups {
            do {
                patterns.append(try LuaPattern(text))
            } catch {
                Log.error("key group left out", ["pattern": text, "error": "\(error)"])
            }
        }
        self.patterns = patterns
    }

    mutating func run(_ context: CheckContext) throws(RedisError) -> CheckResult {
        let began = ContinuousClock.now
        var result = CheckResult()
        if !patterns.isEmpty { try advance(context, &result) }
        result.families = families(databases: context.info.isClustered ? 1 : context.databases)
        let took = ContinuousClock.now - began
        result.families.append(
            Family(RedisMetrics.lastKeyGroupsScrapeDurationMilliseconds, Double(took.milliseconds), base))
        return result
    }

    /// Goes on with the walk until every database had its turn or this scrape's share is used up.
    private mutating func advance(_ context: CheckContext, _ result: inout CheckResult) throws(RedisError) {
        let databases = context.info.isClustered ? 1 : context.databases
        var keysLeft = options.scanKeysLimit
        for _ in 0..<databases {
            if walk.database >= databases { walk = Walk() }
            if context.info.databasesInUse.contains(walk.database) {
                var progress = Progress.more
                while progress == .more { progress = try step(context, &keysLeft, &result) }
                guard progress == .finished else { return }
            }
            results[walk.database] = Array(walk.groups.values)
            walk = Walk(database: walk.database + 1)
        }
    }

    private enum Progress { case more, finished, paused, refused }

    /// One batch of keys.
    private mutating func step(
        _ context: CheckContext, _ keysLeft: inout Int, _ result: inout CheckResult
    ) throws(RedisError) -> Progress {
        guard keysLeft > 0, !context.scanDeadline.hasPassed else { return .paused }
        keysLeft -= options.checkKeysBatchSize
        let words = [Array("SCAN".utf8), walk.cursor, Array("COUNT".utf8), Array("\(options.checkKeysBatchSize)".utf8)]
        let reply = try context.session.ask(
            [RedisCommand(words, name: "SCAN")], in: walk.database, by: context.deadline)?.first
        guard let parts = reply?.elements, parts.count == 2, let cursor = parts[0].bytes, let keys = parts[1].elements
        else {
            result.note(reply ?? .error("no such database"))
            walk = Walk()
            return .refused
        }
        let names = keys.compactMap(\.bytes)
        let sizes =
            try context.session.ask(
                names.map { KeyFacts.memory(Array($0)) }, in: walk.database, by: context.deadline) ?? []
        for (name, size) in zip(names, sizes) {
            result.note(size)
            add(name, bytes: Int(size.integer ?? 0))
        }
        walk.cursor = Array(cursor)
        return walk.cursor == [UInt8(ascii: "0")] ? .finished : .more
    }

    private mutating func add(_ key: ArraySlice<UInt8>, bytes: Int) {
        var name = Array("unclassified".utf8)
        for pattern in patterns {
            guard let captures = pattern.captures(in: key) else { continue }
            name = captures
            break
        }
        var group = walk.groups[name] ?? Group(name: name)
        group.count += 1
        group.bytes = group.bytes.addingClamped(bytes)
        walk.groups[name] = group
    }

    private func families(databases: Int) -> [Family] {
        var counts = Family(RedisMetrics.keyGroupCount)
        var bytes = Family(RedisMetrics.keyGroupMemoryUsageBytes)
        var distinct = Family(RedisMetrics.numberOfDistinctKeyGroups)
        for database in results.keys.sorted() where database < databases {
            let labels = base.adding([Label("db", "db\(database)")])
            let groups = results[database] ?? []
            for group in largest(groups) {
                let own = labels.adding([Label("key_group", String(decoding: group.name, as: UTF8.self))])
                counts.samples.append(Sample(own, Double(group.count)))
                bytes.samples.append(Sample(own, Double(group.bytes)))
            }
            distinct.samples.append(Sample(labels, Double(groups.count)))
        }
        return [counts, bytes, distinct].filter { !$0.samples.isEmpty }
    }

    /// The groups that take most, and one called `overflow` for all others.
    private func largest(_ groups: [Group]) -> [Group] {
        let sorted = groups.sorted {
            ($1.bytes, $0.count) < ($0.bytes, $1.count)
                || ($0.bytes == $1.bytes && $0.count == $1.count && $0.name.lexicographicallyPrecedes($1.name))
        }
        guard sorted.count > options.maxDistinctKeyGroups else { return sorted }
        var overflow = Group(name: Array("overflow".utf8))
        for group in sorted[options.maxDistinctKeyGroups...] {
            overflow.count += group.count
            overflow.bytes = overflow.bytes.addingClamped(group.bytes)
        }
        return sorted[..<options.maxDistinctKeyGroups] + [overflow]
    }
}
