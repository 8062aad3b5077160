import LocalServers
import Runtime
import Testing

/// A real Prometheus scrapes Outrigger and loads the same `alerts/`; both live through the same faults.
///
/// Time is compressed sixty times: a minute in `for:`, in a window or in an interval is a second here.
@Suite struct AlertDifferentialTests {
    /// How far apart the two may see the same thing, in seconds: neither samples nor evaluates in step with the other.
    private static let sampling: Int64 = 1
    private static let interval: Int64 = 1

    /// At least; rounds of faults are finished. `TEST_DIFFERENTIAL_SECONDS=600` is ten minutes, as `make soak` runs it.
    private static let duration = Environment.current["TEST_DIFFERENTIAL_SECONDS"].flatMap { Int64($0) } ?? 1

    /// Seconds until both have samples and evaluate: Prometheus spreads the first evaluations of its groups.
    private static let warmUp: Int64 = 8

    @Test(.timeLimit(.minutes(15)))
    func prometheusAgreesOnTheStateOfEveryAlertAtEveryEvaluation() async throws {
        let folder = try TemporaryFolder("outrigger-differential")
        let files = try compressedRules(into: folder.path)
        let servers = try await DifferentialFaults.Servers.start()
        let nobody = FreePort.next()
        let outrigger = try await RunningOutrigger.start(
            ["--collector.postmaster"],
            yaml: """
                history: {interval: 1s}
                collect: {min_age: 0s}
                performance: {enabled: false}
                postgres: {url: "\(servers.postgres.url())"}
                redis: {url: "\(servers.redis.url)"}
                pgbouncer: {url: "\(servers.pgbouncer.url())"}
                alerting:
                  receivers: [{name: nobody, webhook: {url: "http://127.0.0.1:\(nobody)/"}}]
                  route: {receiver: nobody, group_wait: 1s, group_interval: 1s}
                  evaluation_interval: 1s
                  rules: ["\(folder.path)/*.yml"]

                """)
        let prometheus = try await LocalPrometheus.start(scraping: outrigger.port, ruleFiles: files)

        let begin = WallClock.nowMilliseconds / 1000
        let faults = DifferentialFaults(outrigger, servers, folder, isWide: Self.duration >= 60)
        try await faults.prepare()
        try await faults.pass(Int(Self.warmUp))
        try await faults.induce(until: begin + Self.duration)
        let end = WallClock.nowMilliseconds / 1000 - 2

        let theirs = try await Story.read(begin...end) { path, parameters in try await prometheus.ask(path, parameters)
        }
        let ours = try await Story.read(begin...end) { path, parameters in
            let words = parameters.flatMap { ["--data-urlencode", "\($0.0)=\($0.1)"] }
            let body = try await outrigger.get(path, ["-G"] + words).body
            return try #require(JSON.parse(Array(body.utf8))["data"], "\(body)")
        }
        await prometheus.stop()
        await outrigger.stop()
        await faults.end()

        let compared = (begin + Self.warmUp)...(end - Self.interval - Self.sampling)
        // A machine with too much to do makes a scrape fail, and nobody sees what happens then.
        let blind = ours.blind.union(theirs.blind)
        let differences = ours.differences(
            from: theirs, in: compared, within: Self.interval + Self.sampling, notIn: blind)
        #expect(differences.isEmpty, "\(differences.joined(separator: "\n"))")
        let strict = ours.differences(from: theirs, in: compared, within: Self.interval, notIn: blind)
        let fired = ours.fired.intersection(theirs.fired)
        print(
            """
            \(ours.alerts.count) alerts, \(compared.count) evaluations compared, \(strict.count) states seen more than one \
            apart, \(blind.intersection(compared).count) seconds blind; fired in both: \(fired.sorted().joined(separator: " "))
            """)
        for name in faults.expected {
            #expect(fired.contains(name), "\(name) was to fire in both")
        }
    }

    /// The shipped rule files with every duration a sixtieth of what it is.
    ///
    /// - Returns: their paths.
    private func compressedRules(into folder: String) throws -> [String] {
        let source = "alerts"
        let files = try Files.list(source).filter { $0.hasSuffix(".yml") }.sorted()
        #expect(files.count >= 6)
        return try files.map { name in
            let text = try Files.readText("\(source)/\(name)")
            // Minutes become seconds and hours minutes, in `for: 5m` and in `[5m]`; an interval of seconds goes.
            let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { line -> String in
                let key = line.drop { $0 == " " || $0 == "-" }
                if key.hasPrefix("interval:") { return "" }
                let isDuration = key.hasPrefix("for:") || key.hasPrefix("keep_firing_for:")
                return compressed(String(line), everywhere: isDuration)
            }
            let path = "\(folder)/\(name)"
            try Files.write(lines.joined(separator: "\n"), to: path)
            return path
        } + [try failingRule(in: folder)]
    }

    /// A rule whose every evaluation fails once the first operation has been told, about which an alert tells.
    private func failingRule(in folder: String) throws -> String {
        let path = "\(folder)/failing.yml"
        let rule =
            "{record: many, expr: '{operation=\"checkout\"} * on () {operation=\"checkout\"}'}"
        try Files.write("groups: [{name: failing, rules: [\(rule)]}]\n", to: path)
        return path
    }

    private func compressed(_ line: String, everywhere: Bool) -> String {
        var output = ""
        var isWindow = everywhere
        var isAfterDigit = false
        for character in line {
            if character == "[" { isWindow = true }
            if character == "]" { isWindow = everywhere }
            switch character {
            case "m" where isWindow && isAfterDigit: output.append("s")
            case "h" where isWindow && isAfterDigit: output.append("m")
            default: output.append(character)
            }
            isAfterDigit = character.isNumber
        }
        return output
    }
}

/// What one of the two saw: the states of every alert, second by second.
private struct Story {
    enum State: String { case inactive, pending, firing }

    /// By the alert's name and labels, without those that differ by design: who scraped whom.
    private(set) var alerts: [String: [Int64: State]] = [:]
    /// Seconds in which a sample or an evaluation was missing, or its effect shows.
    private(set) var blind: Set<Int64> = []

    static func read(
        _ span: ClosedRange<Int64>, ask: (String, [(String, String)]) async throws -> JSON
    ) async throws -> Story {
        let data = try await ask(
            "/api/v1/query_range",
            [("query", "ALERTS"), ("start", "\(span.lowerBound)"), ("end", "\(span.upperBound)"), ("step", "1")])
        var story = Story()
        for series in data["result"]?.array ?? [] {
            var labels: [String: String] = [:]
            for member in series["metric"]?.members ?? [] { labels[member.key] = member.value.string }
            let state = try #require(labels.removeValue(forKey: "alertstate").flatMap { State(rawValue: $0) })
            for name in ["__name__", "job", "instance"] { labels[name] = nil }
            // `up` of what Outrigger watches is its own; Prometheus has one for Outrigger.
            guard labels["alertname"] != "TargetDown" else { continue }
            let alert = labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: " ")
            for sample in series["values"]?.array ?? [] {
                let time = try #require(sample.array?.first?.double.map { Int64($0) })
                story.alerts[alert, default: [:]][time] = state
            }
        }
        for series in ["process_start_time_seconds{job=\"outrigger\"}", "ALERTS{alertname=\"Watchdog\"}"] {
            let times = try await ask(
                "/api/v1/query_range",
                [
                    ("query", "max(timestamp(\(series)))"), ("start", "\(span.lowerBound)"),
                    ("end", "\(span.upperBound)"), ("step", "1"),
                ])
            story.note(times: times["result"]?.array?.first?["values"]?.array ?? [])
        }
        return story
    }

    private mutating func note(times: [JSON]) {
        let seconds = times.compactMap { $0.array?.last?.string.flatMap { Double($0) } }
        for (earlier, later) in zip(seconds, seconds.dropFirst()) where later - earlier > 1.5 {
            blind.formUnion(Int64(earlier)...(Int64(later) + 3))
        }
    }

    /// Names of the alerts that fired.
    var fired: Set<String> {
        Set(
            alerts.filter { $0.value.values.contains(.firing) }.flatMap { alert in
                alert.key.split(separator: " ").filter { $0.hasPrefix("alertname=") }.map { String($0.dropFirst(10)) }
            })
    }

    /// How long after a blind second an alert may take until both agree about it again: what was pending began anew.
    private static let settling: Int64 = 30

    /// Where a state of one was not the other's at any second within `tolerance`. After a blind second an alert is looked
    /// at again as soon as both agree about it.
    func differences(
        from other: Story, in span: ClosedRange<Int64>, within tolerance: Int64, notIn blind: Set<Int64>
    ) -> [String] {
        var found: [String] = []
        for alert in Set(alerts.keys).union(other.alerts.keys).sorted() {
            let (ours, theirs) = (alerts[alert] ?? [:], other.alerts[alert] ?? [:])
            var unsettledUntil: Int64 = .min
            for time in span {
                let near = (time - tolerance)...(time + tolerance)
                let (mine, its) = (ours[time] ?? .inactive, theirs[time] ?? .inactive)
                if blind.contains(time) {
                    unsettledUntil = time + Self.settling
                } else if mine == its {
                    unsettledUntil = .min
                }
                guard time > unsettledUntil,
                    !near.contains(where: { (theirs[$0] ?? .inactive) == mine })
                        || !near.contains(where: { (ours[$0] ?? .inactive) == its })
                else { continue }
                found.append("\(alert) at +\(time - span.lowerBound) s: \(mine) here, \(its) in Prometheus")
            }
        }
        return found
    }
}
