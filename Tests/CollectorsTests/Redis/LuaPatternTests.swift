import Databases
import LocalServers
import Runtime
import TestTools
import Testing

@testable import Collectors

@Suite struct LuaPatternTests {
    private static let patterns = [
        "^(.-):", "^([^:]+):([^:]+)", "^(user)_[_]*(%d)", "(%a+)(%d+)$", "^.*$", "()b()", "x", "(a*(.)%w(%s*))", "%b()",
        "%f[%w](%w+)", "(.)%1", "[%a_][%w_]*", "[]]", "[^]]+", "a-b", "a?b?(c?)", "^$", "%%", "[a-c-]+", "%S+%s(%S+)",
        "(%u%l*)", "%x+", "%p", "(.*)(.*)", "^(..-)b", "%.%d", "é(.)", "[%]%-]",
    ]
    private static let texts = [
        "", "a", "ab", "aab", "user_1", "user__12", "session:42:x", "THE (quick) fox", "x=1", "foo_bar9", "]-[",
        "a b c",
        "100%", "1.5", "Hello World", "été", "a-b-c", "((nested) deep)", "abcabc", "key with spaces ", "::",
    ]

    /// The one that decides is Lua itself, which every Redis has.
    @Test func everyPatternMatchesAsInLua() async throws {
        let redis = try await LocalRedis.start()
        let script = """
            local found = {string.find(ARGV[1], ARGV[2])}
            if found[1] == nil then return 'no' end
            return 'yes' .. table.concat({unpack(found, 3, #found)}, '')
            """
        let connection = try RedisConnection(
            to: try RedisAddress(parsing: redis.url), clientName: nil, by: .after(.seconds(5)))
        for pattern in Self.patterns {
            let ours = try LuaPattern(pattern)
            let questions = Self.texts.map { RedisCommand("EVAL", script, "0", $0, pattern) }
            let replies = try connection.pipeline(questions, by: .after(.seconds(10)))
            for (text, reply) in zip(Self.texts, replies) {
                let match = ours.captures(in: Array(text.utf8)[...])
                let expected = match.map { Array("yes".utf8) + $0 } ?? Array("no".utf8)
                #expect(reply.bytes.map { Array($0) } == expected, "\(pattern) in \(text)")
            }
        }
        await redis.stop()
    }

    @Test(arguments: [
        ("%", LuaPattern.Malformed.endsWithPercent), ("[a", .openSet), ("(a", .openCapture), ("a)", .closedTwice),
        ("%bx", .badBalance), ("%fa", .badFrontier), ("%1", .badBackReference), ("(%1)", .badBackReference),
        (String(repeating: "()", count: 33), .tooManyCaptures),
    ])
    func aMalformedPatternIsRefused(pattern: String, expected: LuaPattern.Malformed) {
        #expect(throws: expected) { try LuaPattern(pattern) }
    }

    @Test func aPatternThatWouldRunForeverIsGivenUp() throws {
        let pattern = try LuaPattern("(.-)(.-)(.-)(.-)(.-)(.-)(.-)x$")
        let began = computedByThisThread
        #expect(pattern.captures(in: [UInt8](repeating: UInt8(ascii: "a"), count: 5000)[...]) == nil)
        #expect(computedByThisThread - began < .seconds(10))
    }
}
