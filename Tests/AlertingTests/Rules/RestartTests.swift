import Alerting
import Metrics
import PromQL
import Runtime
import Testing

/// What a new process makes of the alerts that the one before left on disk.
@Suite struct RestartTests {
    private static let rules = """
        groups:
        - name: g
          rules:
          - {alert: Firing, expr: 'a > 0'}
          - {alert: Pending, expr: 'a > 0', for: 10m}
          - {alert: Kept, expr: 'a > 5', keep_firing_for: 10m}
        """

    private struct Setting {
        let folder: TemporaryFolder
        var file: StateFile { StateFile(folder.path + "/alerts") }

        init() throws { folder = try TemporaryFolder() }

        func scene(start: Int64, rules: String = RestartTests.rules) async throws -> RuleScene {
            try await RuleScene(rules, start: start, stateFile: file)
        }
    }

    private func phases(_ scene: RuleScene) -> [String: ActiveAlert.Phase] {
        Dictionary(uniqueKeysWithValues: scene.alerts.map { ($0.labels["alertname"] ?? "", $0.phase) })
    }

    @Test func everyPhaseAndItsTimesAreTheSameAfterARestart() async throws {
        let setting = try Setting()
        let first = try await setting.scene(start: 0)
        try first.append("a", 6, at: 0)
        await first.run(until: 60_000)
        try first.append("a", 1, at: 60_000)
        await first.run(until: 95_000)
        let before = phases(first)
        guard case .firing(_, .some) = before["Kept"] else {
            Issue.record("keep_firing_for does not hold: \(before)")
            return
        }

        // Nothing is in the store yet when the new process evaluates for the first times.
        let second = try await setting.scene(start: 100_000)
        #expect(phases(second) == before)
        await second.run(until: 130_000)
        #expect(phases(second) == before)
        #expect(second.sent().allSatisfy { !$0.isResolved(at: Moment(milliseconds: 130_000)) })

        try second.append("a", 1, at: 130_000)
        await second.run(until: 250_000)
        #expect(phases(second) == before)
    }

    @Test func startsAtStaysAndNoEndIsToldFalsely() async throws {
        let setting = try Setting()
        let first = try await setting.scene(start: 0)
        try first.append("a", 1, at: 0)
        await first.run(until: 40_000)
        let told = try #require(first.sent().first)

        let second = try await setting.scene(start: 3_600_000)
        await second.run(until: 3_620_000)
        try second.append("a", 1, at: 3_620_000)
        await second.run(until: 3_900_000)
        let again = second.sent().filter { $0.name == "Firing" }
        #expect(!again.isEmpty)
        #expect(again.allSatisfy { $0.startsAt == told.startsAt && $0.endsAt ?? told.startsAt > $0.updatedAt })
    }

    @Test func everyAlertIsHandedOnAtOnceAndThenAsUsual() async throws {
        let setting = try Setting()
        let first = try await setting.scene(start: 0)
        try first.append("a", 1, at: 0)
        await first.run(until: 40_000)
        let told = first.sent()
        let second = try await setting.scene(start: 41_000)
        try second.append("a", 1, at: 41_000)
        await second.run(until: 71_000)
        // Whoever tells people has lost what it was told, except for what it wrote down.
        #expect(second.sent().map(\.startsAt) == told.map(\.startsAt))
        await second.run(until: 120_000)
        #expect(second.sent().isEmpty)
    }

    @Test func anAlertThatReallyEndedWhileNobodyLookedIsResolvedOnce() async throws {
        let setting = try Setting()
        let first = try await setting.scene(start: 0)
        try first.append("a", 1, at: 0)
        await first.run(until: 40_000)
        let second = try await setting.scene(start: 600_000)
        try second.append("a", 0, at: 600_000)
        await second.run(until: 800_000)
        let ends = second.sent().filter { $0.isResolved(at: $0.updatedAt) }
        #expect(Set(ends.map(\.name)) == ["Firing"])
        #expect(Set(ends.map(\.endsAt)).count == 1)
    }

    /// An end that was seen but perhaps told to nobody, since a crash came first, is handed on by the next process although
    /// the alert is pending or firing again by then; and only by the next process, as Prometheus hands on no such end.
    @Test(arguments: [0, 120_000] as [Int64])
    func theEndOfAnAlertThatIsActiveAgainOutlivesACrash(_ hold: Int64) async throws {
        let setting = try Setting()
        let rules = "groups: [{name: g, rules: [{alert: A, expr: 'a > 0', for: \(hold / 1000)s}]}]"
        let first = try await setting.scene(start: 0, rules: rules)
        try first.append("a", 1, at: 0)
        await first.run(until: 150_000)
        try first.append("a", 0, at: 160_000)
        await first.run(until: 200_000)
        let end = try #require(first.sent().last)
        #expect(end.isResolved(at: end.updatedAt))
        try first.append("a", 1, at: 210_000)
        await first.run(until: 245_000)
        #expect(first.sent().allSatisfy { $0.startsAt > end.startsAt })

        let second = try await setting.scene(start: 250_000, rules: rules)
        try second.append("a", 1, at: 250_000)
        await second.run(until: 290_000)
        let sent = second.sent()
        #expect(sent.count == (hold == 0 ? 2 : 1) && sent.first?.endsAt == end.endsAt)
        #expect(sent.first?.startsAt == end.startsAt && sent.dropFirst().allSatisfy { $0.startsAt > end.startsAt })
        // A pending alert is promoted and handed on as if there had been no end before.
        await second.run(until: 400_000)
        #expect(second.sent().first { $0.startsAt > end.startsAt } != nil || hold == 0)

        // And by one that comes so late that the end would have been forgotten.
        let third = try await setting.scene(start: 4_000_000, rules: rules)
        await third.run(until: 4_030_000)
        #expect(third.sent().first?.startsAt == end.startsAt)
    }

    @Test func aRuleWithALongWindowWaitsUntilTheHistoryReachesBack() async throws {
        let setting = try Setting()
        let rules = "groups: [{name: g, rules: [{alert: A, expr: 'rate(a[10m]) > 0.5'}]}]"
        let first = try await setting.scene(start: 0, rules: rules)
        for second in stride(from: 0, through: 900, by: 15) {
            try first.append("a", Double(second), at: Int64(second) * 1000)
        }
        await first.run(until: 900_000)
        #expect(first.alerts.map(\.state) == [.firing])

        var settings = RulerSettings()
        settings.evaluationInterval = 30_000
        let store = ScratchStore(keptSince: 1_000_000)
        let ruler = Ruler(
            settings, store: store, stateFile: setting.file,
            clock: RulerClock(now: { 1_000_000 }, stopwatch: { 0 }, sleep: { _ in }))
        await ruler.load([try RuleFile.parse(rules)])
        var resolvedAt: Int64?
        for time in stride(from: Int64(1_000_000), through: 2_000_000, by: 15_000) {
            store.append([RuleSample(labels: Labels(["__name__": "a"]), time: time, value: Double(time) / 1000)])
            await ruler.step(at: time)
            let rule = ruler.snapshot.groups[0].rules[0]
            if rule.alerts.allSatisfy({ $0.state != .firing }), resolvedAt == nil { resolvedAt = time }
            #expect(rule.evaluations.isEmpty || rule.lacksHistory == (time < 1_600_000 + 30_000) || time < 1_640_000)
        }
        // A rate over little history is too small at first; it is no reason to resolve.
        #expect(resolvedAt == nil)
    }

    @Test func aDamagedStateFileIsLeftAside() async throws {
        let setting = try Setting()
        try Files.write("outrigger-state 1 5 5\nhello", to: setting.file.path)
        let scene = try await setting.scene(start: 0)
        #expect(scene.alerts.isEmpty)
    }

    @Test func theFileIsNotWrittenWhileNothingChanges() async throws {
        let setting = try Setting()
        let scene = try await setting.scene(
            start: 0, rules: "groups: [{name: g, rules: [{alert: A, expr: 'a > 0', for: 1h}]}]")
        try scene.append("a", 1, at: 0)
        await scene.run(until: 30_000)
        let before = try Files.read(setting.file.path)
        try Files.remove(setting.file.path)
        try scene.append("a", 2, at: 30_000)
        await scene.run(until: 120_000)
        #expect(!Files.exists(setting.file.path))
        #expect(!before.isEmpty)
    }
}
