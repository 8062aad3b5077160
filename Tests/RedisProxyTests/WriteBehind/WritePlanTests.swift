import LocalServers
import RedisTesting
import Runtime
import Testing

@testable import RedisProxy

private func plan(_ words: [String], wallMs: Int = 1_000_000) -> [PlannedWrite]? {
    let bytes = words.map { Array($0.utf8) }
    let flat = bytes.flatMap { $0 }
    var start = 0
    let ranges = bytes.map { word in
        defer { start += word.count }
        return start..<start + word.count
    }
    guard let command = CommandTable.shared.command(ranges, in: flat.span) else { return nil }
    return WritePlan.writes(of: command, ranges, in: flat.span, database: 2, wallMs: wallMs)
}

private func plan(_ text: String) -> [PlannedWrite]? { plan(text.split(separator: " ").map { String($0) }) }

@Suite struct WritePlanTests {
    @Test func whatOverwritesStringsIsPlanned() {
        #expect(plan("SET k v") == [PlannedWrite("k", "v", in: 2)])
        #expect(plan("set k v ex 10") == [PlannedWrite("k", "v", .lifetime(endsMs: 1_010_000), in: 2)])
        #expect(plan("SET k v PX 10") == [PlannedWrite("k", "v", .lifetime(endsMs: 1_000_010), in: 2)])
        #expect(plan("SET k v EXAT 10") == [PlannedWrite("k", "v", .moment(ms: 10_000), in: 2)])
        #expect(plan("SET k v pxat 10") == [PlannedWrite("k", "v", .moment(ms: 10), in: 2)])
        #expect(plan("SETEX k 10 v") == [PlannedWrite("k", "v", .lifetime(endsMs: 1_010_000), in: 2)])
        #expect(plan("PSETEX k 10 v") == [PlannedWrite("k", "v", .lifetime(endsMs: 1_000_010), in: 2)])
        #expect(plan("MSET a 1 b 2") == [PlannedWrite("a", "1", in: 2), PlannedWrite("b", "2", in: 2)])
    }

    @Test(arguments: [
        "SET k", "SET k v NX", "SET k v XX", "SET k v GET", "SET k v KEEPTTL", "SET k v EX", "SET k v EX 0",
        "SET k v EX -1", "SET k v EX ten", "SET k v EX 9223372036854775807", "SET k v PX 9223372036854775807",
        "SET k v EX 10 NX", "SET k v EX 10 PX 10", "SET k v NX EX 10", "SETEX k 0 v", "SETEX k v", "PSETEX k x v",
        "MSET a", "MSET a 1 b", "MSETNX a 1", "SETNX k v", "GETSET k v", "APPEND k v", "INCR k", "GET k",
        "HSET h f v", "HMSET h f v", "HSETNX h f v", "HDEL h f", "DEL k", "UNLINK k", "EXPIRE k 1", "SETRANGE k 0 v",
    ]) func whatOnlyRedisCanAnswerIsNot(_ text: String) {
        #expect(plan(text) == nil)
    }

    @Test func onlyCommandsThatOverwriteAreMarked() {
        let marked = CommandTable.shared.commands.filter { $0.has(.writeBehind) }.map { "\($0.name)" }
        #expect(Set(marked) == ["set", "setex", "psetex", "mset"])
    }

    /// Whatever is there before, Redis says `OK`, and what is sent later leaves the same behind.
    @Test func whatIsPlannedIsWhatRedisWouldHaveDone() async throws {
        let redis = try await LocalRedis.start()
        let client = try RawClient(port: redis.port)
        func ask(_ text: String) throws -> Reply {
            Reply(try client.ask(text.split(separator: " ").map { Array($0.utf8) }))
        }
        let later = Int(WallClock.nowMilliseconds) + 5_000_000
        let writes = [
            "SET k v", "SET k v EX 1000", "SET k v PX 1000000", "SET k v EXAT \(later / 1000)", "SET k v PXAT \(later)",
            "SET k v EXAT 1", "SET k v PXAT 1", "SETEX k 1000 v", "PSETEX k 1000000 v", "MSET k u k v",
        ]
        for before in [
            "DEL k", "SET k old EX 50", "HSET k f v", "RPUSH k a b", "SADD k a", "ZADD k 1 a", "XADD k * f v",
        ] {
            for text in writes {
                _ = try ask("DEL k")
                _ = try ask(before)
                #expect(try ask(text).text == "OK", "\(before), \(text)")
                let (value, lifetime) = (try ask("GET k"), try ask("PTTL k").integer ?? 0)
                _ = try ask("DEL k")
                _ = try ask(before)
                let now = Int(WallClock.nowMilliseconds)
                let words = text.split(separator: " ").map { String($0) }
                let plans = try #require(plan(words, wallMs: now))
                for plan in plans {
                    let write = PendingWrite(sequence: 1, plan: plan, acceptedWallMs: now)
                    client.send(write.command(wallMs: now))
                    if case .error(let error) = Reply(try client.nextReply()) { Issue.record("\(text): \(error)") }
                }
                #expect(try ask("GET k") == value, "\(before), \(text)")
                #expect(abs((try ask("PTTL k").integer ?? 0) - lifetime) < 5000, "\(before), \(text)")
            }
        }
        await redis.stop()
    }
}
