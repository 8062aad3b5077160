import LocalServers
import RedisTesting
import Runtime
import Testing

@testable import RedisProxy

/// One client of an in-memory Redis, told the time.
private final class Client {
    let redis: MemoryRedis
    var database = 0
    var version = RESPVersion.two
    var nowMs = 1_000_000

    init(_ change: (inout MemoryRedis.Limits) -> Void = { _ in }) {
        var limits = MemoryRedis.Limits()
        change(&limits)
        redis = MemoryRedis(limits: limits, nowMs: nowMs)
    }

    func ask(_ words: [[UInt8]]) -> [UInt8] {
        var reply: [UInt8] = []
        let bytes = words.flatMap { $0 }
        var start = 0
        let ranges = words.map { word in
            defer { start += word.count }
            return start..<start + word.count
        }
        redis.run(ranges, in: bytes.span, database: &database, version: version, nowMs: nowMs, reply: &reply)
        return reply
    }

    /// `ask("SET a 1")`, with the reply's line ends as blanks.
    func ask(_ text: String) -> String {
        let reply = ask(text.split(separator: " ").map { Array($0.utf8) })
        return String(decoding: reply, as: UTF8.self).replacing("\r\n", with: " ").trimmed
    }
}

extension String {
    fileprivate var trimmed: String { hasSuffix(" ") ? String(dropLast()) : self }
}

@Suite struct MemoryRedisTests {
    @Test func keysExpireOnTimeAndNotBefore() {
        let client = Client()
        #expect(client.ask("SET a 1 PX 100") == "+OK")
        #expect(client.ask("SET b 1 EX 1") == "+OK")
        client.nowMs += 99
        #expect(client.ask("GET a") == "$1 1")
        #expect(client.ask("PTTL a") == ":1")
        client.nowMs += 1
        #expect(client.ask("GET a") == "$-1")
        #expect(client.ask("DBSIZE") == ":1")
        client.nowMs += 900
        #expect(client.ask("EXISTS b") == ":0")
        #expect(client.redis.statistics.expired == 2)
        #expect(client.redis.sizeBytes == 0)
    }

    @Test func aLifetimeThatWasChangedManyTimesCostsTheMemoryOfOne() {
        let client = Client { $0.bytes = 10_000 }
        for turn in 0..<20_000 {
            #expect(client.ask("SET key value PX \(1000 + turn % 50)") == "+OK")
        }
        #expect(client.redis.sizeBytes < 300)
        client.nowMs += 2000
        #expect(client.ask("DBSIZE") == ":0")
    }

    @Test func whoIsFullRefusesWhatGrowsAndServesTheRest() {
        let client = Client { $0.bytes = 20_000 }
        var stored = 0
        while client.ask("SET key:\(stored) \(String(repeating: "v", count: 100))") == "+OK" { stored += 1 }
        #expect(stored > 50 && stored < 100)
        #expect(client.ask("SET x y") == "-OOM command not allowed when used memory > 'maxmemory'.")
        #expect(client.ask("SETRANGE y 400000000 x").hasPrefix("-OOM"))
        #expect(client.ask("GET key:0").hasPrefix("$100"))
        #expect(client.ask("DEL key:0 key:1") == ":2")
        #expect(client.ask("SET x y") == "+OK")
        #expect(client.redis.sizeBytes <= 20_000)
    }

    @Test(arguments: MemoryEviction.allCases.filter { $0 != .none })
    func anEvictionPolicyNeverHoldsMoreThanTheLimit(_ eviction: MemoryEviction) {
        let client = Client {
            $0.bytes = 50_000
            $0.eviction = eviction
        }
        for turn in 0..<2000 {
            client.nowMs += 1
            let expiry = turn % 2 == 0 || !eviction.takesAnyKey ? "EX \(100 + turn % 7)" : ""
            #expect(client.ask("SET key:\(turn) \(String(repeating: "v", count: turn % 200 + 1)) \(expiry)") == "+OK")
            #expect(client.redis.sizeBytes <= 50_000)
            if eviction == .anyLeastRecentlyUsed, turn > 0 { _ = client.ask("GET key:0") }
        }
        #expect(client.redis.statistics.evicted > 1000)
        if eviction == .anyLeastRecentlyUsed { #expect(client.ask("EXISTS key:0") == ":1") }
    }

    @Test func aTransactionRunsAtOnceOrNotAtAll() {
        let client = Client()
        _ = client.ask("SET a 1")
        func words(_ text: String) -> [[UInt8]] { text.split(separator: " ").map { Array($0.utf8) } }
        func exec(_ watched: [MemoryRedis.Watched]) -> String {
            var reply: [UInt8] = []
            _ = client.redis.run(
                transaction: [words("INCR a"), words("HGET a f"), words("SELECT 3"), words("SET b 2")],
                unlessChanged: watched, database: &client.database, nowMs: client.nowMs, reply: &reply)
            return String(decoding: reply, as: UTF8.self).replacing("\r\n", with: " ")
        }
        func watch(_ key: String) -> MemoryRedis.Watched {
            client.redis.watch(Array(key.utf8), database: client.database, nowMs: client.nowMs)
        }
        let wrongType = "-WRONGTYPE Operation against a key holding the wrong kind of value"
        #expect(exec([watch("a"), watch("none")]) == "*4 :2 \(wrongType) +OK +OK ")
        #expect(client.database == 3)
        client.database = 0
        for change in ["SET a 5", "INCR a", "EXPIRE a 10", "DEL a"] {
            _ = client.ask("SET a 1")
            let watched = watch("a")
            _ = client.ask(change)
            #expect(exec([watched]) == "*-1 ", "\(change)")
        }
        let absent = watch("new")
        _ = client.ask("SET new 1 PX 5")
        client.nowMs += 10
        #expect(exec([absent]) == "*-1 ")
        #expect(client.redis.refusal(of: words("GET")) == "ERR wrong number of arguments for 'get' command")
        #expect(client.redis.refusal(of: words("GET a")) == nil)
    }

    @Test func aScanMeetsEverythingThatStaysWhileOtherKeysComeAndGo() {
        let client = Client()
        for index in 0..<500 { _ = client.ask("SET stays:\(index) 1") }
        var met: Set<String> = []
        var cursor = 0
        var turn = 0
        repeat {
            let reply = Reply(client.ask(["SCAN", "\(cursor)", "MATCH", "stays:*"].map { Array($0.utf8) })).elements
            cursor = Int(reply[0].text) ?? 0
            met.formUnion(reply[1].elements.map(\.text))
            turn += 1
            for index in 0..<10 { _ = client.ask("SET goes:\(turn):\(index) 1") }
            for index in 0..<10 { _ = client.ask("DEL goes:\(turn - 1):\(index)") }
        } while cursor != 0 && turn < 10_000
        #expect(met.count == 500)
    }

    @Test func itSaysWhatItIs() {
        let client = Client()
        #expect(client.ask("INFO server").contains("outrigger_mode:memory"))
        #expect(
            client.ask("LPUSH a b")
                == "-ERR 'lpush' needs a Redis behind Outrigger, which serves strings and hashes from memory here")
        #expect(client.ask("nosuch a b") == "-ERR unknown command 'nosuch', with args beginning with: 'a' 'b' ")
        client.version = .three
        #expect(client.ask("GET none") == "_")
        _ = client.ask("HSET h a 1")
        #expect(client.ask("HGETALL h") == "%1 $1 a $1 1")
    }

    @Test func aPatternOfManyStarsIsNoTrap() {
        let pattern = RedisPattern(Array(String(repeating: "a*", count: 40).utf8) + [UInt8(ascii: "b")])
        #expect(!pattern.matches(Array(repeating: UInt8(ascii: "a"), count: 10_000)))
    }

    @Test func theVolatileFallbackTakesPlainStringsAndHashesOnly() {
        func allows(_ text: String, counters: Bool = false, locks: Bool = false) -> Bool {
            let bytes = Array(text.utf8)
            var ranges: [Range<Int>] = []
            var start = 0
            for word in text.split(separator: " ") {
                ranges.append(start..<start + word.utf8.count)
                start += word.utf8.count + 1
            }
            guard let command = CommandTable.shared.command(ranges, in: bytes.span) else { return false }
            return VolatileWrites.allows(command, ranges, in: bytes.span, counters: counters, locks: locks)
        }
        for text in ["GET a", "SET a 1", "SET a 1 EX 10", "HSET a b c", "HGETALL a", "DEL a", "EXPIRE a 1"] {
            #expect(allows(text), "\(text)")
        }
        for text in [
            "INCR a", "SET a 1 NX EX 10", "SET a 1 px 5 nx", "SETNX a 1", "LPUSH a b", "GETDEL a", "EVAL x 0",
            "FLUSHALL",
            "RENAME a b", "SADD a b", "HINCRBY a b 1", "CONFIG GET a", "MULTI", "SUBSCRIBE a", "SET a 1 GET",
        ] {
            #expect(!allows(text), "\(text)")
        }
        #expect(allows("INCR a", counters: true))
        #expect(allows("SET a 1 NX", locks: true))
        #expect(!allows("LPUSH a b", counters: true, locks: true))
    }
}
