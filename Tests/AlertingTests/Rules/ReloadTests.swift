import Alerting
import Metrics
import Runtime
import Testing

@Suite struct ReloadTests {
    private func rules(_ more: String = "", expr: String = "a > 0", hold: String = "1m") -> String {
        "groups: [{name: g, rules: [{alert: A, expr: '\(expr)', for: \(hold), labels: {l: x}}\(more)]}]"
    }

    @Test func alertsOfRulesThatStayKeepTheirState() async throws {
        let scene = try await RuleScene(rules())
        try scene.append("a", 1, at: 0)
        await scene.run(until: 100_000)
        let before = scene.alerts
        #expect(before.map(\.state) == [.firing])
        try scene.append("a", 1, at: 100_000)
        try await scene.reload(rules(", {record: r, expr: '1'}", expr: "a > -1"))
        #expect(scene.alerts.map(\.firedAt) == before.map(\.firedAt))
        await scene.run(until: 130_000)
        #expect(scene.alerts.map(\.firedAt) == before.map(\.firedAt))
    }

    @Test func aRuleWithOtherLabelsIsAnotherRule() async throws {
        let scene = try await RuleScene(rules())
        try scene.append("a", 1, at: 0)
        await scene.run(until: 100_000)
        try await scene.reload(rules().replacing("l: x", with: "l: y"))
        #expect(scene.alerts.isEmpty)
    }

    @Test func seriesOfARuleThatWentEndAtTheNextEvaluation() async throws {
        let scene = try await RuleScene(rules(", {record: r, expr: '1'}"))
        await scene.run(until: 30_000)
        #expect(try scene.ask("r", at: scene.now).count == 1)
        try await scene.reload(rules())
        await scene.run(until: 60_000)
        #expect(try scene.ask("r", at: scene.now).isEmpty)
    }

    @Test func seriesOfAGroupThatWentEndAfterTwoIntervals() async throws {
        let scene = try await RuleScene("groups: [{name: old, rules: [{record: r, expr: '1'}]}, {name: g, rules: []}]")
        await scene.run(until: 45_000)
        try await scene.reload("groups: [{name: g, rules: [{record: other, expr: '1'}]}]")
        await scene.run(until: 75_000)
        #expect(try scene.ask("r", at: scene.now).count == 1)
        await scene.run(until: 150_000)
        #expect(try scene.ask("r", at: scene.now).isEmpty)
    }

    @Test func aRuleThatMovedToAnotherGroupGoesOnWithoutAGap() async throws {
        let scene = try await RuleScene("groups: [{name: old, rules: [{record: r, expr: '1'}]}]")
        await scene.run(until: 45_000)
        try await scene.reload("groups: [{name: new, rules: [{record: r, expr: '1'}]}]")
        for end in stride(from: Int64(45_000), through: 240_000, by: 5000) {
            await scene.run(until: end)
            #expect(try scene.ask("r", at: scene.now).count == 1, "at \(end)")
        }
    }

    @Test func aFileAtFaultLeavesAllRulesAsTheyAre() async throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/r.yml"
        try Files.write("groups: [{name: g, rules: [{alert: A, expr: '1'}]}]", to: path)
        var settings = RulerSettings()
        settings.files = [folder.path + "/*.yml"]
        let ruler = Ruler(settings, store: ScratchStore())
        try await ruler.load()
        #expect(ruler.snapshot.groups.count == 1)
        try Files.write("groups: [{name: g, rules: [{alert: A, expr: '1 +'}]}]", to: folder.path + "/s.yml")
        await #expect(throws: RuleLoadError.self) { try await ruler.load() }
        #expect(ruler.snapshot.groups.map(\.file) == [path])
    }

    /// Reading and evaluating go as deep as an expression nests, on the ruler's own thread.
    @Test func theDeepestExpressionsThatAreReadFitOnTheRulersThread() async throws {
        let folder = try TemporaryFolder()
        let expressions = [
            String(repeating: "(", count: 63) + "1" + String(repeating: ")", count: 63),
            String(repeating: "abs(", count: 62) + "vector(1)" + String(repeating: ")", count: 62),
            "vector(1)" + String(repeating: " + vector(1)", count: 290),
            String(repeating: "max_over_time(", count: 20) + "vector(1)" + String(repeating: "[2m:1m])", count: 20),
        ]
        let rules = expressions.map { "  - {record: deep, expr: '\($0)'}" }.joined(separator: "\n")
        try Files.write("groups:\n- name: g\n  interval: 1m\n  rules:\n\(rules)\n", to: folder.path + "/deep.yml")
        var settings = RulerSettings()
        settings.files = [folder.path + "/deep.yml"]
        let ruler = Ruler(settings, store: ScratchStore())
        try await ruler.load()
        let next = await ruler.step(at: 0)
        await ruler.step(at: max(next, WallClock.nowMilliseconds + 60_000))
        let evaluated = ruler.snapshot.groups.flatMap(\.rules)
        #expect(evaluated.map { $0.evaluations.last?.samples } == [1, 1, 1, 1])
        #expect(evaluated.allSatisfy { $0.lastError == nil })
    }
}
