import Network
import Runtime

/// Reports operations as a shop's service would, by StatsD: some quick, some slow, one payment in 500 failing, which is
/// within what the rules in `alerts/` take for well.
struct DemoService: Sendable {
    private let sender: DatagramSender

    /// What a visitor does, with the milliseconds that most of it takes.
    private static let operations: [(name: String, every: Int, typicalMs: ClosedRange<Double>)] = [
        ("browse", 1, 4...30), ("search", 2, 20...120), ("login", 5, 40...90), ("pay", 5, 80...300),
    ]
    private static let visitsAfterWhichAPaymentFails = 2500

    init(statsdPort: UInt16) throws(DatagramSender.Failure) { sender = try DatagramSender(port: statsdPort) }

    /// Until it is cancelled.
    func serve() async {
        var visit = 0
        while !Task.isCancelled {
            sender.send(DemoService.packet(visit))
            visit += 1
            try? await Task.sleep(for: .milliseconds(50))
        }
    }

    /// One visit's lines, in DogStatsD's form.
    private static func packet(_ visit: Int) -> String {
        var lines = ["shop.baskets:\(20 + visit / 20 % 15)|g"]
        for operation in operations where visit % operation.every == 0 {
            let isSlow = Int.random(in: 0..<50) == 0
            let time = Double.random(in: operation.typicalMs) * (isSlow ? 4 : 1)
            let fails = operation.name == "pay" && visit % visitsAfterWhichAPaymentFails == 0
            lines.append("\(operation.name):\(time)|ms" + (fails ? "|#status:error" : "|#status:ok"))
        }
        if visit % 5 == 0 { lines.append("shop.orders_total:1|c") }
        return lines.joined(separator: "\n")
    }
}
