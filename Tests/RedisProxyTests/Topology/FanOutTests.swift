import RedisTesting
import TestTools
import Testing

@testable import RedisProxy

/// What the client is told when nodes reply these; line ends as `|`.
private func merged(_ merge: FanOut.Merge, _ replies: String..., pick: Int = 0, limit: Int = 1000) -> String {
    var fan = FanOut(merge, of: replies.count, pick: pick, limitBytes: limit)
    for reply in replies {
        #expect(!fan.isComplete)
        let bytes = wire(reply)
        fan.add(bytes.span)
    }
    #expect(fan.isComplete)
    var output: [UInt8] = []
    fan.append(to: &output)
    return String(decoding: output, as: UTF8.self).replacing("\r\n", with: "|")
}

@Suite struct FanOutTests {
    @Test(arguments: FanOut.Merge.allCases) func anErrorIsToldAndALostNodeIsOne(_ merge: FanOut.Merge) {
        var fan = FanOut(merge, of: 2)
        fan.add(failure: "ERR 10.0.0.1:6379 cannot be reached")
        let refusal = wire("-ERR no|")
        fan.add(refusal.span)
        var output: [UInt8] = []
        fan.append(to: &output)
        #expect(output == wire("-ERR 10.0.0.1:6379 cannot be reached|"))
    }

    @Test func allHaveToSucceed() {
        #expect(merged(.allSucceeded, "+OK|", "+OK|") == "+OK|")
        #expect(merged(.allSucceeded, "+OK|", "-READONLY no|", "-ERR other|") == "-READONLY no|")
        #expect(merged(.allSucceeded, "$3|abc|", "$3|abc|") == "$3|abc|")
    }

    @Test func oneIsEnough() {
        #expect(merged(.oneSucceeded, "-NOTBUSY a|", "+OK|", "-NOTBUSY b|") == "+OK|")
        #expect(merged(.oneSucceeded, "-NOTBUSY a|", "-NOTBUSY b|") == "-NOTBUSY a|")
    }

    @Test func numbersAreAddedOrTheLeastIsTaken() {
        #expect(merged(.sum, ":1|", ":20|", ":300|") == ":321|")
        #expect(merged(.sum, ":1|", "-ERR no|", ":3|") == "-ERR no|")
        #expect(merged(.least, ":5|", ":2|", ":3|") == ":2|")
        #expect(merged(.sum, ":1|", "+OK|") == "-ERR the nodes of the cluster replied in different ways|")
    }

    @Test func whatAllNodesHaveIsThere() {
        #expect(merged(.allTrue, "*3|:1|:0|:1|", "*3|:1|:1|:0|") == "*3|:1|:0|:0|")
        #expect(merged(.allTrue, "*1|:1|", "*2|:1|:1|") == "-ERR the nodes of the cluster replied in different ways|")
    }

    @Test func elementsAreBroughtTogether() {
        #expect(merged(.concatenated, "*2|$1|a|$1|b|", "*0|", "*1|*1|:1|") == "*3|$1|a|$1|b|*1|:1|")
        #expect(merged(.concatenated, "*0|", "*0|") == "*0|")
        #expect(
            merged(.concatenated, "*1|$8|aaaaaaaa|", "*1|$8|aaaaaaaa|", "*1|$1|a|", limit: 20)
                == "-ERR the nodes of the cluster replied more than 20 bytes together|")
    }

    @Test func oneOfThoseThatArePresentIsTaken() {
        #expect(merged(.oneOf, "$-1|", "$1|a|", "_|") == "$1|a|")
        #expect(merged(.oneOf, "$-1|", "$-1|") == "$-1|")
        #expect(merged(.oneOf, "$1|a|", "$1|b|", pick: 1) == "$1|a|")
        #expect(merged(.oneOf, "$1|a|", "$1|b|", pick: -2) == "$1|b|")
    }

    @Test(arguments: [71] as [UInt64]) func rubbishNeverTraps(_ seed: UInt64) {
        var random = Seeded(seed)
        for _ in 0..<20_000 {
            let merge = random.pick(FanOut.Merge.allCases)
            var fan = FanOut(merge, of: 2, pick: Int(truncatingIfNeeded: random.next()))
            for _ in 0..<2 {
                var reply: [UInt8] = []
                for _ in 0..<Int.random(in: 0...8, using: &random) { reply.append(random.protocolByte()) }
                fan.add(reply.span)
            }
            var output: [UInt8] = []
            fan.append(to: &output)
        }
    }
}
