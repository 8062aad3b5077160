import Network
import Runtime
import Serving

/// Pages about all proxies: what can be switched off, and what took long.
struct ProxyPages: Sendable {
    let proxies: [ProxyFacts]

    var routes: [Router.Route] {
        proxies.isEmpty ? [] : [.get("/-/features") { _ in list() }, .confidential("/v1/slow") { _ in slow() }]
    }

    var fallbacks: [Router.Fallback] { proxies.isEmpty ? [] : [change] }

    private static let prefix = "/-/features/"

    /// `PUT /-/features/cache=off`, `=on`, `=25%`.
    @Sendable private func change(_ request: HTTPRequest) async -> HTTPResponse? {
        guard request.path.hasPrefix(Self.prefix) else { return nil }
        guard request.method == "PUT" else { return .text("method not allowed\n", status: 405) }
        if let refusal = Router.refusesChange(request) { return refusal }
        let parts = request.path.dropFirst(Self.prefix.count).split(separator: "=", omittingEmptySubsequences: false)
        guard parts.count == 2, let percent = Self.percent(String(parts[1])),
            set(String(parts[0]), percent: percent)
        else {
            let names = shares.map(\.label).joined(separator: ", ")
            return .text("write NAME=on, NAME=off or NAME=25%, where NAME is one of \(names)\n", status: 400)
        }
        Log.info("feature changed", ["feature": String(parts[0]), "percent": "\(percent)"])
        return list()
    }

    private static func percent(_ text: String) -> Int? {
        switch text {
        case "on": return 100
        case "off": return 0
        default:
            guard let number = Int(text.hasSuffix("%") ? String(text.dropLast()) : text), (0...100).contains(number)
            else { return nil }
            return number
        }
    }

    /// In every proxy that has it.
    ///
    /// - Returns: false where none has.
    private func set(_ label: String, percent: Int) -> Bool {
        // All of them are asked: `contains` would stop at the first.
        proxies.filter { $0.features.set(label: label, percent: percent) }.isEmpty == false
    }

    /// Of all proxies. A feature that several have is as much on as where it is least.
    private var shares: [(label: String, percent: Int)] {
        var shares: [(label: String, percent: Int)] = []
        for share in proxies.flatMap(\.features.shares) {
            if let place = shares.firstIndex(where: { $0.label == share.label }) {
                shares[place].percent = min(shares[place].percent, share.percent)
            } else {
                shares.append(share)
            }
        }
        return shares
    }

    private func list() -> HTTPResponse {
        .json(JSON.object(shares.map { JSON.Member($0.label, .integer(Int64($0.percent))) }).encoded)
    }

    /// The commands that lately took longest, without keys and values.
    private func slow() -> HTTPResponse {
        .json(JSON.object(proxies.map { JSON.Member($0.name, .array(Self.entries($0.slowest))) }).encoded)
    }

    private static func entries(_ slowest: SlowOperations) -> [JSON] {
        slowest.newest.map { entry in
            let at = RFC3339.text(
                seconds: entry.atMs / 1000, nanoseconds: Int(entry.atMs % 1000) * 1_000_000, fractionDigits: 3)
            return JSON.object([
                JSON.Member("at", .string(at)),
                JSON.Member("command", .string(entry.name)),
                JSON.Member("duration_seconds", .number(Double(entry.durationNs) / 1e9)),
                JSON.Member("reply_bytes", .integer(Int64(entry.replyBytes))),
            ])
        }
    }
}

extension JSON {
    /// On a line of its own.
    fileprivate var encoded: [UInt8] {
        var writer = JSONWriter()
        writer.value(self)
        writer.newline()
        return writer.bytes
    }
}
