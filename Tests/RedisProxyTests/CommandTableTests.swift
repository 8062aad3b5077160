import LocalServers
import RedisTesting
import Runtime
import TestTools
import Testing

@testable import RedisProxy

private let table = CommandTable.shared

private func find(_ text: String) -> Command? {
    let words = text.split(separator: " ").map { Array($0.utf8) }
    let bytes = words.flatMap { $0 }
    return table.command(ranges(of: words), in: bytes.span)
}

private func ranges(of words: [[UInt8]]) -> [Range<Int>] {
    var start = 0
    return words.map { word in
        defer { start += word.count }
        return start..<start + word.count
    }
}

/// The keys of a command in text; nil where they cannot be told.
private func keys(_ words: [String]) -> [String]? {
    let bytes = words.map { Array($0.utf8) }
    let flat = bytes.flatMap { $0 }
    var found: [Int] = []
    guard let command = table.command(ranges(of: bytes), in: flat.span),
        command.keys.append(of: ranges(of: bytes), in: flat.span, to: &found)
    else { return nil }
    return found.map { words[$0] }
}

/// One line of the server's own `COMMAND`.
private struct Told {
    let name: String
    let arity: Int
    let flags: Set<String>
    let range: [Int]
    let subcommands: [Told]

    init(_ reply: Reply) {
        let fields = reply.elements
        name = fields[0].text.lowercased()
        arity = fields[1].integer ?? 0
        flags = Set(fields[2].elements.map(\.text))
        range = fields[3...5].map { $0.integer ?? 0 }
        subcommands = fields.count > 9 ? fields[9].elements.map { Told($0) } : []
    }

    static func all(from redis: LocalRedis) throws -> [Told] {
        let client = try RawClient(port: redis.port)
        return Reply(try client.ask([Array("COMMAND".utf8)])).elements.map { Told($0) }
    }

    /// With its subcommands.
    var family: [Told] { [self] + subcommands.flatMap(\.family) }
    var words: String { name.replacing("|", with: " ") }
}

extension KeyRule {
    /// What `COMMAND` tells of it.
    fileprivate var range: [Int] {
        switch self {
        case .none, .counted, .streams: [0, 0, 0]
        case .range(let first, let last, let step): [Int(first), Int(last), Int(step)]
        case .destinationAndCounted, .geoStore, .sort: [1, 1, 1]
        case .migrate: [3, 3, 1]
        }
    }
}

@Suite struct CommandTableTests {
    @Test func namesAreFoundInLettersOfEitherCase() {
        #expect(find("GET")?.name.description == "get")
        #expect(find("gEoRaDiUsByMeMbEr_Ro")?.family == .geo)
        #expect(find("config GET").map(table.fullName) == "config|get")
        #expect(find("CONFIG")?.has(.container) == true)
        #expect(find("config nonsense").map(table.fullName) == "config")
        for unknown in ["", "GE", "GETT", "sort\u{7f}ro", "get ", "@et", String(repeating: "get", count: 30)] {
            #expect(table.find(Array(unknown.utf8).span, in: nil) == nil, "\(unknown)")
        }
    }

    @Test func everyRowIsWhatRedisSaysOfTheCommand() async throws {
        let redis = try await LocalRedis.start()
        let told = try Told.all(from: redis).flatMap(\.family)
        let notOfRedis: Set = ["post", "host:"]
        #expect(Set(table.commands.map(table.fullName)).subtracting(notOfRedis) == Set(told.map(\.name)))
        let scripts: Set = ["eval", "evalsha", "fcall"]
        // Channels, which Redis lists where keys stand so that a cluster finds their slot.
        let shardChannels: Set = ["spublish", "ssubscribe", "sunsubscribe"]
        for line in told {
            let command = try #require(find(line.words))
            let comment = Comment(rawValue: line.name)
            #expect(Int(command.arity) == line.arity, comment)
            #expect(command.has(.write) == (line.flags.contains("write") || scripts.contains(line.name)), comment)
            #expect(command.has(.read) == line.flags.contains("readonly"), comment)
            #expect(command.has(.grows) == line.flags.contains("denyoom"), comment)
            if line.flags.contains("blocking") { #expect(command.lane == .blocking, comment) }
            if line.flags.contains("admin"), line.name != "pfdebug" { #expect(command.has(.admin), comment) }
            // What BY and GET of SORT_RO name are patterns, no keys.
            #expect(command.keys.isMovable == line.flags.contains("movablekeys") || line.name == "sort_ro", comment)
            #expect(command.keys.range == (shardChannels.contains(line.name) ? [0, 0, 0] : line.range), comment)
            if command.has(.cacheable) { #expect(command.has(.read) && command.keys != .none, comment) }
            if command.has(.write), command.keys == .none, command.family != .scripting {
                #expect(command.has(.flushes), comment)
            }
        }
        await redis.stop()
    }

    @Test(arguments: ["TEST_REDIS6", "TEST_VALKEY"])
    func otherServersAgreeAboutTheCommandsTheyHave(_ variable: String) async throws {
        guard let program = Environment.current[variable] else { return }
        let redis = try await LocalRedis.start(program: program)
        var seen = 0
        for line in try Told.all(from: redis) {
            guard let command = find(line.words), !command.has(.container), !line.flags.contains("pubsub") else {
                continue
            }
            seen += 1
            let comment = Comment(rawValue: "\(variable) \(line.name)")
            if line.flags.contains("write") { #expect(command.has(.write), comment) }
            if command.has(.cacheable) { #expect(line.flags.contains("readonly"), comment) }
            if !command.keys.isMovable, command.keys != .none { #expect(command.keys.range == line.range, comment) }
        }
        #expect(seen > 180)
        await redis.stop()
    }

    @Test(arguments: [31, 32] as [UInt64]) func keysAreWhereRedisSaysTheyAre(_ seed: UInt64) async throws {
        let redis = try await LocalRedis.start()
        let client = try RawClient(port: redis.port)
        var random = Seeded(seed)
        for command in table.commands where command.keys != .none && command.name.description != "watch" {
            for _ in 0..<(command.keys.isMovable ? 60 : 5) {
                let words = invocation(of: command, &random)
                let reply = Reply(try client.ask((["COMMAND", "GETKEYS"] + words).map { Array($0.utf8) }))
                if case .error = reply {
                    #expect((keys(words) ?? []).isEmpty, "\(words) \(reply) seed \(seed)")
                } else {
                    #expect(keys(words) == reply.elements.map(\.text), "\(words) seed \(seed)")
                }
            }
        }
        await redis.stop()
    }

    @Test func wordsThatDoNotFitTheRuleHaveNoKeys() {
        for text in [
            "EVAL x", "EVAL x 3 a b", "EVAL x -1 a", "EVAL x many a", "ZUNION 9223372036854775807 a", "ZUNIONSTORE",
            "GET",
            "XREAD STREAMS a", "XREAD COUNT 1", "XREAD STREAMS", "MIGRATE h p k 0 1 KEYS a", "MSET", "BLPOP 1", "SORT",
        ] {
            #expect(keys(text.split(separator: " ").map { String($0) }) == nil, "\(text)")
        }
    }

    @Test(arguments: [
        "SORT l LIMIT", "SORT l LIMIT 1", "SORT l BY nosort LIMIT 0", "SORT l GET", "SORT l BY", "SORT l STORE",
        "SORT l GET limit", "SORT_RO l LIMIT 0",
    ]) func sortWithoutTheEndOfAnOptionSortsOneKey(_ text: String) {
        #expect(keys(text.split(separator: " ").map { String($0) }) == ["l"])
    }

    /// Every row, with options cut off, repeated and misplaced. `TEST_FUZZ` sets how many of each, `TEST_SEED` which.
    @Test func everyFuzzedCallNamesOnlyWordsThatAreThere() {
        let options = [
            "limit", "by", "get", "store", "storedist", "streams", "block", "count", "group", "noack", "keys", "auth",
            "auth2", "", "0", "1", "2", "-1", "9223372036854775807", "-9223372036854775808", "99999999999999999999",
        ]
        var random = Seeded(fuzzing: 33)
        for command in table.commands {
            let name = table.fullName(of: command).split(separator: "|").map { String($0) }
            for _ in 0..<Seeded.rounds(default: 60) {
                let rest = (0..<random.below(9)).map { _ in random.chance(0.7) ? random.pick(options) : "k" }
                let bytes = (name + rest).map { Array($0.utf8) }
                let flat = bytes.flatMap { $0 }
                let words = ranges(of: bytes)
                var places: [Int] = []
                _ = command.keys.append(of: words, in: flat.span, to: &places)
                #expect(places.allSatisfy(words.indices.contains), "\(name + rest)")
                var scratch: [Int] = []
                _ = ClusterTarget(command, words, in: flat.span, scratch: &scratch)
                _ = WriteScope(command, words, in: flat.span)
                _ = Settlement(command, words, in: flat.span)
                _ = WritePlan.writes(of: command, words, in: flat.span, database: 0, wallMs: 1_700_000_000_000)
                _ = VolatileWrites.allows(command, words, in: flat.span)
            }
        }
    }

    /// A call that Redis could be asked to run, of random length and with random options.
    private func invocation(of command: Command, _ random: inout Seeded) -> [String] {
        let name = table.fullName(of: command).split(separator: "|").map { String($0).uppercased() }
        func key() -> String { "k\(random.next() % 100)" }
        func list(_ count: Int) -> [String] { (0..<count).map { _ in key() } }
        let some = Int.random(in: 1...4, using: &random)
        switch command.keys {
        case .counted(let place):
            return name + (1..<Int(place)).map { _ in "x" } + ["\(some)"] + list(some) + list(some % 3)
        case .destinationAndCounted: return name + [key(), "\(some)"] + list(some) + ["AGGREGATE", "max"]
        case .geoStore(let from):
            let store = random.pick([[], ["STORE", key()], ["storedist", key()]])
            let options = [["COUNT", "3", "ANY"], store, ["WITHDIST"], ["ASC"]].shuffled(using: &random)
            return name + [key()] + (2..<Int(from)).map { _ in "1" } + options.flatMap { $0 }
        case .sort:
            let options: [[String]] = [
                ["LIMIT", "0", "5"], ["get", "STORE"], ["BY", "store"], ["STORE", key()], ["desc"], ["GET", "#"],
                ["STORE", key()],
            ]
            return name + [key()] + options.shuffled(using: &random).prefix(some).flatMap { $0 }
        case .streams:
            let group = command.name.description == "xreadgroup" ? ["GROUP", "g", "streams"] : []
            let options = [["COUNT", "5"], ["BLOCK", "10"], ["block", "0"]].shuffled(using: &random).prefix(
                some % 3)
            return name + group + options.flatMap { $0 } + ["STREAMS"] + list(some) + list(some)
        case .migrate:
            let isExtended = random.chance(0.5)
            return name + ["h", "1", isExtended ? "" : key(), "0", "10"]
                + random.pick([[], ["COPY"], ["REPLACE", "AUTH", "keys"], ["AUTH2", "u", "keys"]])
                + (isExtended ? ["KEYS"] + list(some) : [])
        case .none, .range:
            let least = abs(Int(command.arity)) - name.count
            let step = command.keys == .keys(step: 2) ? 2 : 1
            return name + list(least + (command.arity < 0 ? (some - 1) * step : 0))
        }
    }
}
