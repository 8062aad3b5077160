import Databases
import Metrics
import Runtime

/// CLIENT LIST: who is connected, one line each, `id=3 addr=192.0.2.1:54321 name=worker age=7 …`.
struct ClientListReader {
    private let base: Labels
    private let options: RedisOptions
    private var clients = Memo<ClientLabels>()

    init(base: Labels, options: RedisOptions) {
        self.base = base
        self.options = options
    }

    static let command = RedisCommand("CLIENT", "LIST", name: "CLIENT LIST")
    static let info = RedisMetrics.plain("connected_client_info", .gauge)
    /// What redis_exporter before 1.64 told in labels, and so as a new series with every second.
    static let details = Metric.gauge("redis_connected_clients_details", "Details about connected clients")

    private enum Unit { case number, secondsAgo }

    /// A field of a line and its metric.
    private static let numbers: [(field: [UInt8], metric: Metric, unit: Unit)] = [
        (field: String, metric: String, unit: Unit)
    ]([
        ("omem", "output_buffer_memory_usage_bytes", .number),
        ("tot-mem", "total_memory_consumed_bytes", .number),
        ("age", "created_at_timestamp", .secondsAgo),
        ("idle", "idle_since_timestamp", .secondsAgo),
        ("sub", "channel_subscriptions_count", .number),
        ("psub", "pattern_matching_subscriptions_count", .number),
        ("qbuf", "query_buffer_length_bytes", .number),
        ("qbuf-free", "query_buffer_free_space_bytes", .number),
        ("obl", "output_buffer_length_bytes", .number),
        ("oll", "output_list_length", .number),
        ("ssub", "shard_channel_subscriptions_count", .number),
        ("watch", "shard_channel_watched_keys", .number),
    ]).map { (Array($0.field.utf8), RedisMetrics.plain("connected_client_" + $0.metric, .gauge), $0.unit) }

    static let metrics = [info] + numbers.map(\.metric)

    /// The fields that say who the client is.
    private static let identity = ["id", "addr", "name", "flags", "db", "user", "resp"].map { Array($0.utf8) }

    /// - Parameter now: seconds since 1970.
    mutating func read(_ reply: RedisReply, now: Double) -> [Family] {
        guard let list = reply.bytes else { return [] }
        let text = list.span
        let second = now.rounded(.down)
        var infos = Family(Self.info)
        var details = Family(Self.details)
        var families = Self.numbers.map { Family($0.metric) }
        clients.begin()
        defer { clients.end() }

        var start = 0
        while start < text.count {
            let end = text.firstIndex(of: UInt8(ascii: "\n"), in: start..<text.count) ?? text.count
            let line = text.trimmed(start..<end)
            start = end + 1
            guard let client = labels(text, line) else { continue }
            infos.samples.append(Sample(client.info, 1))
            for (index, (field, _, unit)) in Self.numbers.enumerated() {
                guard let value = Self.value(text, line, field), let number = text.number(value) else { continue }
                families[index].samples.append(Sample(client.base, unit == .number ? number : second - number))
            }
            if options.aliases { details.samples.append(Sample(formerLabels(text, line, client, second), 1)) }
        }
        return ([infos, details] + families).filter { !$0.samples.isEmpty }
    }

    private struct ClientLabels {
        let base: Labels
        let info: Labels
    }

    private mutating func labels(_ text: Span<UInt8>, _ line: Range<Int>) -> ClientLabels? {
        var key: [UInt8] = []
        for field in Self.identity {
            if let value = Self.value(text, line, field) { key += text.bytes(value) }
            key.append(UInt8(ascii: "\n"))
        }
        guard Self.value(text, line, Self.identity[0]) != nil, Self.value(text, line, Self.identity[1]) != nil else {
            return nil
        }
        return clients.value(key.span, 0..<key.count) { [base, options] key in
            let values = key.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
                .map { String(decoding: $0, as: UTF8.self) }
            let own = base.adding([Label("id", values[0]), Label("name", values[2])])
            // An address ends with `:port`, and one of IPv6 has more colons before.
            let colon = values[1].lastIndex(of: ":") ?? values[1].endIndex
            var info = [
                Label("host", String(values[1][..<colon])), Label("flags", values[3]), Label("db", values[4]),
                Label("user", values[5]), Label("resp", values[6]),
            ]
            if options.exportClientPort { info.append(Label("port", String(values[1][colon...].dropFirst()))) }
            return ClientLabels(base: own, info: own.adding(info))
        }
    }

    private func formerLabels(
        _ text: Span<UInt8>, _ line: Range<Int>, _ client: ClientLabels, _ second: Double
    ) -> Labels {
        func string(_ field: String) -> String {
            guard let value = Self.value(text, line, Array(field.utf8)) else { return "" }
            return text.string(value)
        }
        func moment(_ field: String) -> String {
            Double(string(field)).map { String(Int(clamping: (second - $0).rounded(.towardZero))) } ?? ""
        }
        return client.info.removing("id").adding([
            Label("created_at", moment("age")), Label("idle_since", moment("idle")), Label("omem", string("omem")),
            Label("cmd", string("cmd")),
        ])
    }

    private static func value(_ text: Span<UInt8>, _ line: Range<Int>, _ field: [UInt8]) -> Range<Int>? {
        var start = line.lowerBound
        while start < line.upperBound {
            let end = text.firstIndex(of: UInt8(ascii: " "), in: start..<line.upperBound) ?? line.upperBound
            if start + field.count < end, text[start + field.count] == UInt8(ascii: "="),
                text.equals(start..<start + field.count, field)
            {
                return start + field.count + 1..<end
            }
            start = end + 1
        }
        return nil
    }
}
