import RedisTesting
import TestTools
import Testing

@testable import RedisProxy

@Suite struct ClusterScanTests {
    /// Nodes 1 and 2 from slot 0 and 100 on; nobody has 200 and above.
    private let map = SlotMap([(0...99, .init(node(1))), (100...199, .init(node(2)))])

    private func scan(_ cursor: String) -> ClusterScan? { ClusterScan(cursor: Array(cursor.utf8).span, in: map) }

    private func reply(_ text: String, to cursor: String) -> String? {
        var output: [UInt8] = []
        scan(cursor)?.append(wire(text).span, in: map, to: &output)
        return String(decoding: output, as: UTF8.self).replacing("\r\n", with: "|")
    }

    @Test func aScanGoesFromNodeToNode() throws {
        let first = try #require(scan("0"))
        #expect(first.node(in: map) == node(1) && first.cursor == 0)
        #expect(reply("*2|$1|5|*1|$1|k|", to: "0") == "*2|$5|81920|*1|$1|k|")
        let second = try #require(scan("81920"))
        #expect(second.node(in: map) == node(1) && second.cursor == 5)
        #expect(reply("*2|$1|0|*0|", to: "81920") == "*2|$3|100|*0|")
        let third = try #require(scan("100"))
        #expect(third.node(in: map) == node(2) && third.cursor == 0)
        #expect(reply("*2|$1|1|*0|", to: "100") == "*2|$5|16484|*0|")
        #expect(reply("*2|$1|0|*0|", to: "16484") == "*2|$1|0|*0|")
    }

    @Test func theCursorIsReplacedInTheCommand() {
        let text = Array("SCAN81920COUNT7".utf8)
        var command: [UInt8] = []
        scan("81920")?.append([0..<4, 4..<9, 9..<14, 14..<15], of: text.span, to: &command)
        #expect(command == wire("*4|$4|SCAN|$1|5|$5|COUNT|$1|7|"))
    }

    @Test func errorsStayAsTheyAre() {
        #expect(reply("-ERR syntax error|", to: "0") == "-ERR syntax error|")
        #expect(reply("*2|$1|x|*0|", to: "0") == "*2|$1|x|*0|")
    }

    @Test func whatIsNoCursorIsForANodeToRefuse() {
        for bad in ["", "x", "-1", "1x", "99999999999999999999", "100000000000000000000"] { #expect(scan(bad) == nil) }
        #expect(ClusterScan(cursor: Array("0".utf8).span, in: SlotMap()) == nil)
    }

    @Test func aSlotThatNobodyHasLeadsToTheNextNodeOrBackToTheFirst() {
        #expect(scan("200")?.node(in: map) == node(1))
        let later = SlotMap([(10...19, .init(node(1)))])
        #expect(ClusterScan(cursor: Array("5".utf8).span, in: later)?.node(in: later) == node(1))
        #expect(ClusterScan(cursor: Array("5".utf8).span, in: later)?.node(in: SlotMap()) == nil)
    }

    @Test func aCursorWithoutRoomForTheNodeIsAnError() {
        #expect(reply("*2|$15|562949953421311|*0|", to: "0") == "*2|$19|9223372036854759424|*0|")
        #expect(
            reply("*2|$15|562949953421312|*0|", to: "0")
                == "-ERR the node's cursor 562949953421312 leaves no room for the node|")
    }

    @Test(arguments: [111] as [UInt64]) func mutatedRepliesNeverTrap(_ seed: UInt64) {
        var random = Seeded(seed)
        for _ in 0..<20_000 {
            var bytes = wire("*2|$10|1234567890|*1|$1|k|")
            for _ in 0..<2 { bytes[Int.random(in: 0..<bytes.count, using: &random)] = random.protocolByte() }
            bytes.removeLast(Int.random(in: 0..<bytes.count, using: &random))
            var output: [UInt8] = []
            scan("\(random.next() >> UInt64.random(in: 0...63, using: &random))")?.append(
                bytes.span, in: map, to: &output)
        }
    }
}
