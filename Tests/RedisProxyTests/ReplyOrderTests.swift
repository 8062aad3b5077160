import RedisTesting
import TestTools
import Testing

@testable import RedisProxy

@Suite struct ReplyOrderTests {
    /// Commands begin, some with their replies at hand, and end in any order; what leaves is what was asked, in order.
    @Test(arguments: 0..<50) func repliesLeaveInTheOrderOfTheirCommands(_ seed: UInt64) {
        var random = Seeded(seed)
        var order = ReplyOrder()
        var (output, asked): ([UInt8], [UInt8]) = ([], [])
        var known: [Bool] = []
        var open: [Int] = []
        func reply(_ number: Int) -> [UInt8] { Array("\(number):\(String(repeating: "x", count: number % 7)) ".utf8) }
        for _ in 0..<300 {
            switch Int.random(in: 0..<3, using: &random) {
            case 0:
                open.append(order.begin())
                known.append(false)
            case 1 where order.inFlight > 0:
                let count = Int.random(in: 0...3, using: &random)
                let first = order.next
                order.answerNext { bytes in
                    for number in first..<first + count { bytes += reply(number) }
                    return count
                }
                known += Array(repeating: true, count: count)
            default:
                guard !open.isEmpty else { continue }
                let place = random.chance(0.6) ? 0 : Int.random(in: open.indices, using: &random)
                let number = open.remove(at: place)
                order.end(number, reply(number).span, to: &output)
                known[number] = true
            }
            let left = known.prefix { $0 }.count
            #expect(order.inFlight == known.count - left)
            #expect(order.unanswered == open.count)
            #expect(
                order.earlyBytes
                    == known.indices.filter { $0 >= left && known[$0] }.map { reply($0).count }.reduce(0, +))
        }
        for number in open { order.end(number, reply(number).span, to: &output) }
        for number in known.indices { asked += reply(number) }
        #expect(output == asked && order.inFlight == 0 && order.earlyBytes == 0)
    }
}
