import Foundation
import PromQL
import TestTools
import Testing

/// Prometheus' own scripts, where a checkout of them lies beside the package.
@Suite struct PublicScriptsTests {
    private static let folder = URL(filePath: Facts.sharedPath("promqltest"))

    private struct Listed: Decodable {
        let file: String
        let line: Int
        let cls: String
    }

    private struct Place: Hashable, CustomStringConvertible {
        let file: String
        let line: Int
        var description: String { "\(file):\(line)" }
    }

    /// Cases that suppose names to be dropped at the end of a query, which Prometheus does not do by default.
    private static let needSwitch = Set(
        [59, 64, 69, 74, 89, 115, 119, 123].map { Place(file: "name_label_dropping.test", line: $0) })

    /// Experimental in Prometheus 3, and accepted here: it is the `holt_winters` of Prometheus 2.
    private static let smoothing = [898, 926].map { Place(file: "functions.test", line: $0) }

    private static func outcomes(delaysNameRemoval: Bool) throws -> [Place: PromQLTest.Case] {
        var outcomes: [Place: PromQLTest.Case] = [:]
        let files = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(".test") }
        for file in files {
            let script = try String(contentsOf: folder.appending(path: file), encoding: .utf8)
            for one in try PromQLTest(delaysNameRemoval: delaysNameRemoval).run(script) {
                outcomes[Place(file: file, line: one.line)] = one
            }
        }
        return outcomes
    }

    @Test(
        .enabled(if: Facts.hasShared("promqltest/cases.json"), "\(Facts.needs("promqltest"))"),
        arguments: [false, true])
    func everyPlainCasePassesAndOnlyTheOthersAreSkipped(delaysNameRemoval: Bool) throws {
        let listed = try JSONDecoder().decode(
            [Listed].self, from: Data(contentsOf: Self.folder.appending(path: "cases.json")))
        let plain = Set(listed.filter { $0.cls == "plain" }.map { Place(file: $0.file, line: $0.line) })
            .union(Self.smoothing)
        let outcomes = try Self.outcomes(delaysNameRemoval: delaysNameRemoval)

        var passed: Set<Place> = []
        var skipped: Set<Place> = []
        var failed: [Place: String] = [:]
        for (place, one) in outcomes {
            switch one.outcome {
            case .passed: passed.insert(place)
            case .skipped: skipped.insert(place)
            case .failed(let why): failed[place] = "\(one.expression): \(why)"
            }
        }

        let expectedFailures = delaysNameRemoval ? [] : Self.needSwitch
        for (place, why) in failed.sorted(by: { "\($0.key)" < "\($1.key)" }) where !expectedFailures.contains(place) {
            Issue.record("\(place): \(why)")
        }
        #expect(outcomes.count == listed.count)
        #expect(skipped.subtracting(Set(listed.map { Place(file: $0.file, line: $0.line) }).subtracting(plain)) == [])
        #expect(Set(outcomes.keys).subtracting(plain).subtracting(skipped) == [])
        #expect(passed == plain.subtracting(expectedFailures))
        #expect(passed.count == (delaysNameRemoval ? 890 : 882))
    }
}
