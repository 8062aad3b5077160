import Databases
import Metrics

/// SENTINEL: the masters that a Sentinel watches, their replicas and the other Sentinels, in two round trips.
struct SentinelCheck: RedisCheck {
    let collector = "redis_sentinel"
    private let base: Labels
    private let options: RedisOptions

    init(base: Labels, options: RedisOptions) {
        self.base = base
        self.options = options
    }

    private static let masters = RedisCommand("SENTINEL", "MASTERS", name: "SENTINEL MASTERS")
    private static let config = RedisCommand("SENTINEL", "CONFIG", "GET", "*", name: "SENTINEL CONFIG")

    private static let numbers: [(field: String, metric: Metric, divisor: Double)] = [
        ("quorum", RedisMetrics.sentinelMasterSettingCkquorum, 1),
        ("failover-timeout", RedisMetrics.sentinelMasterSettingFailoverTimeout, 1),
        ("parallel-syncs", RedisMetrics.sentinelMasterSettingParallelSyncs, 1),
        ("down-after-milliseconds", RedisMetrics.sentinelMasterSettingDownAfterMilliseconds, 1),
        ("config-epoch", RedisMetrics.sentinelMasterConfigEpoch, 1),
        ("last-ok-ping-reply", RedisMetrics.sentinelMasterLastOkPingReplySeconds, 1000),
    ]

    mutating func run(_ context: CheckContext) throws(RedisError) -> CheckResult {
        guard context.info.hasSentinel else { return CheckResult() }
        var result = CheckResult()
        let first = try context.session.ask(
            [Self.masters] + (options.includeConfigMetrics ? [Self.config] : []), by: context.deadline)
        result.note(first[0])
        let masters = (first[0].elements ?? []).compactMap(Facts.init).filter { $0["name"] != nil && $0["ip"] != nil }
        let questions = masters.flatMap { master in
            ["CKQUORUM", "SENTINELS", "SLAVES"].map {
                RedisCommand("SENTINEL", $0, master["name"] ?? "", name: "SENTINEL " + $0)
            }
        }
        let replies = try context.session.ask(questions, by: context.deadline)
        for (index, master) in masters.enumerated() {
            result.families += families(
                master, quorum: replies[3 * index], sentinels: replies[3 * index + 1], slaves: replies[3 * index + 2])
        }
        if first.count > 1 { result.families += settings(first[1]) }
        return result
    }

    /// Names and values of a reply.
    private struct Facts {
        private let pairs: [String: String]

        init?(_ reply: RedisReply) {
            guard let pairs = reply.pairs else { return nil }
            self.pairs = Dictionary(pairs.map { ($0.name, $0.value.text ?? "") }) { $1 }
        }

        subscript(name: String) -> String? { pairs[name] }

        /// Neither this Sentinel nor the others think that it is down.
        var isOk: Bool {
            guard let flags = pairs["flags"] else { return false }
            return !flags.split(separator: ",").contains { $0 == "o_down" || $0 == "s_down" }
        }
    }

    private func families(
        _ master: Facts, quorum: RedisReply, sentinels: RedisReply, slaves: RedisReply
    ) -> [Family] {
        let name = Label("master_name", master["name"] ?? "")
        let address = "\(master["ip"] ?? ""):\(master["port"] ?? "")"
        let labels = base.adding([name, Label("master_address", address)])
        let peers = (sentinels.elements ?? []).compactMap(Facts.init)
        var families = Self.numbers.map { field, metric, divisor in
            Family(metric, (Double(master[field] ?? "") ?? 0) / divisor, labels)
        }
        families.append(
            Family(
                RedisMetrics.sentinelMasterCkquorumStatus, quorum.errorText == nil ? 1 : 0,
                base.adding([name, Label("message", quorum.text ?? quorum.errorText ?? "")])))
        // The one that answers is one of them.
        families.append(
            Family(RedisMetrics.sentinelMasterOkSentinels, Double(1 + peers.count(where: \.isOk)), labels))
        families.append(
            Family(
                RedisMetrics.sentinelMasterOkSlaves,
                Double((slaves.elements ?? []).compactMap(Facts.init).count(where: \.isOk)), labels))
        if options.includeSentinelPeerInfo { families.append(peerInfo(peers, labels)) }
        return families
    }

    private func peerInfo(_ peers: [Facts], _ labels: Labels) -> Family {
        Family(
            RedisMetrics.sentinelPeerInfo,
            peers.map { peer in
                let own = ["name", "ip", "port", "runid", "flags"].map { Label($0, peer[$0] ?? "") }
                return Sample(labels.adding(own), 1)
            })
    }

    private func settings(_ reply: RedisReply) -> [Family] {
        var texts = Family(RedisMetrics.sentinelConfigKeyValue)
        var numbers = Family(RedisMetrics.sentinelConfigValue)
        for (name, value) in reply.pairs ?? [] where !options.redactConfigMetrics || !name.hasSuffix("-pass") {
            let text = value.text ?? ""
            let labels = base.adding([Label("key", name)])
            texts.samples.append(Sample(labels.adding([Label("value", text)]), 1))
            if let number = Double(text) { numbers.samples.append(Sample(labels, number)) }
        }
        return [texts, numbers].filter { !$0.samples.isEmpty }
    }
}
