import Alerting
import Foundation
import PromQL
import Runtime
import TestTools
import Testing

/// The rule files that users get, in `alerts/`.
@Suite struct AlertFilesTests {
    private static let root: String = {
        var url = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { url.deleteLastPathComponent() }
        return url.path
    }()

    private static let files = Files.matching(root + "/alerts/*.yml")
    private static let tests = Files.matching(root + "/alerts/tests/*.yml")

    private func name(_ path: String) -> String { String(path.split(separator: "/").last ?? "") }

    @Test func everyFileHasTestsOfItsName() {
        #expect(!Self.files.isEmpty)
        #expect(Self.files.map(name) == Self.tests.map(name))
    }

    @Test func everyFileIsReadAndHasNoDuplicates() throws {
        for path in Self.files {
            let file = try RuleFile.load(path)
            #expect(file.duplicates.isEmpty && file.warnings.isEmpty, "\(path)")
        }
    }

    @Test func everyUnitTestPassesHere() {
        for path in Self.tests { #expect(RuleUnitTests.run(file: path).failures == [], "\(path)") }
    }

    @Test(.enabled(if: Tool.promtool != nil, "no promtool on this machine"))
    func everyFileAndEveryUnitTestPassesWithPromtool() async throws {
        let folder = try TemporaryFolder()
        let promtool = try #require(Tool.promtool)
        for (command, paths) in [("check", Self.files), ("test", Self.tests)] {
            let result = try await Tool.run(promtool, [command, "rules"] + paths, in: folder.path)
            #expect(result.status == 0 && !result.text.contains("FAILED"), "\(result.text)")
        }
    }

    @Test func everyAlertSaysHowBadWhatAndWhatToDo() throws {
        for path in Self.files {
            for case .alerting(let rule) in try RuleFile.load(path).groups.flatMap(\.rules) {
                #expect(rule.labels.contains { $0.name == "severity" }, "\(rule.name)")
                let texts = Dictionary(uniqueKeysWithValues: rule.annotations.map { ($0.name, $0.template.text) })
                #expect(texts["summary"]?.isEmpty == false && texts["action"]?.isEmpty == false, "\(rule.name)")
                #expect(texts["description"]?.contains("$value") == true, "\(rule.name)")
            }
        }
    }

    @Test func everyAlertHasATestInWhichItFiresAndOneInWhichItDoesNot() throws {
        for (path, tests) in zip(Self.files, Self.tests) {
            let text = try Files.readText(tests)
            for case .alerting(let rule) in try RuleFile.load(path).groups.flatMap(\.rules)
            where rule.name != "Watchdog" {
                let mentions = text.components(separatedBy: "alertname: \(rule.name)\n").dropFirst()
                #expect(mentions.contains { $0.hasPrefix("    exp_alerts:") }, "\(rule.name) is never expected")
                #expect(
                    mentions.contains { !$0.hasPrefix("    exp_alerts:") }, "\(rule.name) is never expected not to fire"
                )
            }
        }
    }

    /// Every metric that a rule reads is in a catalogue, is declared in our sources, or is recorded by a rule before.
    @Test func noRuleNamesAMetricThatDoesNotExist() throws {
        var known: Set<String> = ["up", "ALERTS", "ALERTS_FOR_STATE"]
        for table in ["postgres-metrics", "redis-metrics", "postgres-exporter-0.11.1-types"] {
            known.formUnion(try Facts.table(table).compactMap { $0["metric"] })
        }
        known.formUnion(try declaredMetrics())
        for path in Self.files {
            for rule in try RuleFile.load(path).groups.flatMap(\.rules) {
                for read in rule.query.expression.reads {
                    let metric = read.metricName ?? ""
                    let base = ["_bucket", "_count", "_sum"].first { metric.hasSuffix($0) }.map {
                        String(metric.dropLast($0.count))
                    }
                    #expect(
                        known.contains(metric) || known.contains(base ?? ""),
                        "\(rule.name) in \(name(path)) reads \(metric)")
                }
                if case .recording(let recorded) = rule { known.insert(recorded.name) }
            }
        }
    }

    /// Names that stand as a text of their own in the sources; PgBouncer's are written without their prefix there.
    private func declaredMetrics() throws -> Set<String> {
        var names: Set<String> = []
        for path in FileManager.default.enumerator(atPath: Self.root + "/Sources") ?? .init() {
            guard let path = path as? String, path.hasSuffix(".swift") else { continue }
            let parts = try Files.readText(Self.root + "/Sources/" + path).split(
                separator: "\"", omittingEmptySubsequences: false)
            let words = parts.map(String.init).filter {
                $0.utf8.count > 3 && $0.utf8.allSatisfy { $0 == 0x5F || ($0 | 0x20) >= 0x61 && ($0 | 0x20) <= 0x7A }
            }
            names.formUnion(words)
            if path.contains("PgBouncer") { names.formUnion(words.map { "pgbouncer_" + $0 }) }
        }
        return names
    }
}
