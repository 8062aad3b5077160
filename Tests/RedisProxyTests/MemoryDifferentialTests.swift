import LocalServers
import RedisTesting
import Runtime
import TestTools
import Testing

@testable import RedisProxy

/// Random commands to the in-memory Redis and to a real one, whose replies have to be the same.
@Suite struct MemoryDifferentialTests {
    @Test(arguments: [1, 2, 3] as [UInt64]) func repliesAreThoseOfRedis(_ seed: UInt64) async throws {
        let server = try await LocalRedis.start()
        let real = try RawClient(port: server.port)
        let memory = MemoryRedis()
        var random = Seeded(seed)
        var (database, wrong) = (0, 0)
        for turn in 0..<Seeded.rounds(default: 12_000) where wrong < 5 {
            let words = randomCommand(turn, &random)
            let theirs = Reply(try real.ask(words.map { Array($0.utf8) }))
            var reply: [UInt8] = []
            let bytes = command(words.map { Array($0.utf8) })
            var reader = CommandReader()
            _ = reader.next(in: bytes.span)
            memory.run(reader.arguments, in: bytes.span, database: &database, reply: &reply)
            guard !isSame(Reply(reply), theirs, words) else { continue }
            wrong += 1
            Issue.record("seed \(seed), turn \(turn), \(words): \(Reply(reply)), but Redis \(theirs)")
        }
        await server.stop()
    }

    private func isSame(_ ours: Reply, _ theirs: Reply, _ words: [String]) -> Bool {
        switch words[0].lowercased() {
        case "hkeys", "hvals", "keys": return sorted(ours.elements) == sorted(theirs.elements)
        case "hgetall", "hscan", "hrandfield", "scan":
            let pair = [ours, theirs].map { $0.elements.first?.text == "0" ? $0.elements.last ?? $0 : $0 }
            if case .error = theirs { return ours == theirs }
            return sorted(pair[0].elements) == sorted(pair[1].elements)
        case "ttl", "expiretime": return isNear(ours, theirs, within: 1)
        case "pttl", "pexpiretime": return isNear(ours, theirs, within: 1000)
        // Redis counts what has expired until it comes across it.
        case "dbsize": return ours == theirs || (ours.integer ?? .max) < (theirs.integer ?? .min)
        default: return ours == theirs
        }
    }

    private func sorted(_ replies: [Reply]) -> [String] { replies.map(\.description).sorted() }

    private func isNear(_ ours: Reply, _ theirs: Reply, within distance: Int) -> Bool {
        guard let left = ours.integer, let right = theirs.integer, left > 0, right > 0 else { return ours == theirs }
        return abs(left - right) <= distance
    }

    private func randomCommand(_ turn: Int, _ random: inout Seeded) -> [String] {
        let template = random.pick(Self.templates)
        var words: [String] = []
        for word in template.split(separator: " ") {
            switch word {
            case "K": words.append(random.pick(["a", "b", "c", "d", "e", "h1", "h2", "h3"]))
            case "F": words.append(random.pick(["f", "g", "1", "", "long field"]))
            case "V": words.append(random.pick(Self.values))
            case "I": words.append(random.pick(Self.integers))
            case "N": words.append(random.pick(Self.numbers))
            // Far enough away that no clock matters, or over long ago. No two are alike: which of two equal ones is the
            // later (`GT`, `LT`) would depend on the milliseconds in between, which the servers do not count alike.
            case "S":
                let later = random.pick([4000, 5000, 100_000]) + 7 * turn
                words.append(
                    random.pick([
                        "\(later)", "\(later)", "\(later)", "0", "-1", "x", "9223372036854775807", "99999999999999",
                    ]))
            case "P":
                let later = random.pick([5_000_000, 100_000_000]) + 7000 * turn + 500
                words.append(random.pick(["\(later)", "\(later)", "-5", "9223372036854775807"]))
            case "A": words.append(random.pick(["1", "9000000000", "8000000000", "-3"]))
            case "D": words.append(random.pick(["0", "1", "2", "15", "16", "-1", "x"]))
            default: words.append(random.chance(0.1) ? word.lowercased() : String(word))
            }
        }
        // Now and then a word too many, too few, or another one.
        if random.chance(0.03) { words.append(random.pick(["x", "NX", "1", "GET"])) }
        if random.chance(0.02), words.count > 1 { words.removeLast() }
        return words
    }

    private static let values = [
        "", "1", "-7", "10", "text", "3.25", "0.1", "1e3", "  1", "9223372036854775807", "ünï", "a\r\nb",
    ]
    private static let integers = [
        "0", "1", "-1", "5", "-5", "100", "-100", "9223372036854775807", "-9223372036854775808", "01", "+1", "x", "",
        "1.5",
    ]
    private static let numbers = [
        "1", "0.1", "-0.25", "3.0e3", "1e-5", "100.123456789", "1e18", "1e22", "-1e22", "inf", "nan", "x", "0x1F", " 1",
        "",
        "2.5000000000000001", "123456789.987654321", "1e-17", "4.9e-18",
    ]

    private static let templates = [
        "GET K", "GET K", "SET K V", "SET K V", "SET K V NX", "SET K V XX", "SET K V GET", "SET K V NX GET",
        "SET K V EX S",
        "SET K V PX P", "SET K V EXAT A", "SET K V PXAT P", "SET K V KEEPTTL", "SET K V XX GET KEEPTTL",
        "SET K V EX S NX",
        "SET K V NX XX", "SET K V EX", "SETNX K V", "SETEX K S V", "PSETEX K P V", "GETSET K V", "GETDEL K", "GETEX K",
        "GETEX K EX S", "GETEX K PERSIST", "GETEX K PXAT P", "GETEX K PERSIST EX S", "MGET K K K", "MSET K V K V",
        "MSETNX K V K V", "APPEND K V", "STRLEN K", "GETRANGE K I I", "SUBSTR K I I", "SETRANGE K 3 V",
        "SETRANGE K 0 V",
        "SETRANGE K -1 V", "SETRANGE K 536870911 xx", "INCR K", "DECR K", "INCRBY K I", "DECRBY K I", "INCRBYFLOAT K N",
        "INCRBYFLOAT K N", "SET K N", "HSET K F V", "HSET K F V F V", "HSET K F N", "HSETNX K F V", "HGET K F",
        "HMGET K F F F", "HMSET K F V F V", "HGETALL K", "HDEL K F", "HDEL K F F F", "HEXISTS K F", "HLEN K", "HKEYS K",
        "HVALS K", "HSTRLEN K F", "HINCRBY K F I", "HINCRBYFLOAT K F N", "HSCAN K 0", "HSCAN K 0 MATCH *f*",
        "HSCAN K 0 COUNT I", "HSCAN K x", "HRANDFIELD K 100", "HRANDFIELD K 100 WITHVALUES", "HRANDFIELD K 0",
        "HRANDFIELD K x", "DEL K K", "UNLINK K", "EXISTS K K K", "TYPE K", "EXPIRE K S", "EXPIRE K S NX",
        "EXPIRE K S XX",
        "EXPIRE K S GT", "EXPIRE K S LT", "EXPIRE K S NX GT", "EXPIRE K S GT LT", "EXPIRE K S XX GT", "EXPIRE K S WHAT",
        "PEXPIRE K P", "EXPIREAT K A", "PEXPIREAT K P", "TTL K", "PTTL K", "EXPIRETIME K", "PEXPIRETIME K", "PERSIST K",
        "RENAME K K", "RENAMENX K K", "COPY K K", "COPY K K REPLACE", "COPY K K DB D", "COPY K K DB D REPLACE",
        "MOVE K D",
        "KEYS *", "KEYS h?", "KEYS [a-c]", "KEYS [^a-c]*", "KEYS \\a", "SCAN 0 COUNT 1000",
        "SCAN 0 COUNT 1000 TYPE hash",
        "SCAN 0 MATCH h* COUNT 1000", "SCAN x", "SCAN 0 COUNT 0", "DBSIZE", "TOUCH K K", "SELECT D", "SWAPDB D D",
        "PING",
        "PING V", "PING V V", "ECHO V", "NOSUCH V V", "CONFIG NOSUCH", "HSET K", "GET", "FLUSHDB", "FLUSHALL ASYNC",
        "FLUSHDB WHAT",
    ]
}
