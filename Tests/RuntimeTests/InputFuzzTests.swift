import TestTools
import Testing

@testable import Runtime

/// Settings, documents and state files, damaged. `TEST_FUZZ` sets how many of each, `TEST_SEED` which.
@Suite struct InputFuzzTests {
    private static let rounds = Seeded.rounds(default: 1500)

    private static let documents = [
        "{\"a\": [1, -2.5e3, true, null, \"\\u00e9\\ud83d\\ude00\"], \"b\": {\"c\": {\"d\": []}}}",
        "[[[[[[[[[[0]]]]]]]]]]", "a: &x [1, 2]\nb: {<<: *y, c: *x}\nd: |\n  text\n", "- &a {k: v}\n- *a\n- [*a, *a]\n",
        "%YAML 1.1\n---\n\"k\\x41\": !!int 5\n", "{a: [b, {c: d}]}\n",
    ].map { Array($0.utf8) }

    @Test func fuzzedDocumentsAreReadOrRefused() {
        var random = Seeded(fuzzing: 91)
        for _ in 0..<Self.rounds {
            let bytes = random.mutated(random.pick(Self.documents))
            _ = try? JSON.parse(bytes)
            _ = try? YAML.parse(bytes, limits: .init(nodes: 1000, depth: 20))
        }
    }

    private static let values = ["1d2h3m4s5ms", "0.5", "90s", "64MB", "1GiB", "65536", "true", "15", "1e3"]

    @Test func fuzzedSettingsAreReadOrRefused() {
        var random = Seeded(fuzzing: 92)
        for _ in 0..<Self.rounds * 4 {
            let text = String(decoding: random.mutated(Array(random.pick(Self.values).utf8)), as: UTF8.self)
            if let duration = Duration(setting: text) {
                _ = duration.nanoseconds
                _ = duration.settingText
                _ = Deadline.after(duration).pollMilliseconds
            }
            _ = ByteCount(setting: text)?.settingText
            _ = Int(setting: text)
            _ = Double(setting: text)?.settingText
        }
    }

    @Test(arguments: ["9300000000", "9999999999", "9007199254740991ms", "104249991d", "104249991d2501999792h"])
    func longDurationsAreLongAndNothingElse(_ text: String) throws {
        let duration = try #require(Duration(setting: text))
        #expect(duration.nanoseconds > 0 && duration.milliseconds > 0)
        #expect(Deadline.after(duration).pollMilliseconds == .max)
    }

    @Test(arguments: [Int64.min, .min + 1, -1, 0, .max]) func everySecondHasADate(_ second: Int64) {
        #expect(RFC3339.text(seconds: second).hasSuffix("Z"))
    }

    @Test func numbersFromOutsideAreClamped() {
        #expect(Int.max.addingClamped(1) == .max && Int.min.addingClamped(-1) == .min && 2.addingClamped(3) == 5)
        #expect(Int.min.subtractingClamped(1) == .min && Int.max.subtractingClamped(-1) == .max)
        #expect(Int.max.multipliedClamped(by: 2) == .max && Int.min.multipliedClamped(by: 2) == .min)
        #expect(Int.min.multipliedClamped(by: -1) == .max)
        #expect(Int(clamping: Double.nan) == 0 && Int(clamping: Double.infinity) == .max)
        #expect(Int(clamping: -1e300) == .min && UInt64(clamping: -3.0) == 0 && Int(clamping: 2.6) == 3)
    }

    /// Each anchor holds the one before, so that the text is short and the tree deep.
    @Test func aliasesCannotNestDeeperThanTheLimit() {
        let lines = (1...60).map { number in
            "k\(number): &a\(number) " + String(repeating: "[", count: 20) + (number > 1 ? "*a\(number - 1)" : "")
                + String(repeating: "]", count: 20)
        }
        #expect(throws: YAMLError.self) { try YAML.parse(lines.joined(separator: "\n")) }
        #expect((try? YAML.parse(lines[..<3].joined(separator: "\n"))) != nil)
    }

    @Test func fuzzedJournalsAndStateFilesAreReadAsFarAsTheyAreWhole() throws {
        let folder = try TemporaryFolder()
        let (journal, state) = (folder.path + "/journal", StateFile(folder.path + "/state"))
        try Journal.open(journal).journal.append([Array("first".utf8), Array("second".utf8)])
        try state.write(Array("content 1 2 3".utf8))
        let (recorded, stated) = (try Files.read(journal), try Files.read(state.path))
        var random = Seeded(fuzzing: 93)
        for _ in 0..<min(Self.rounds / 20, 2000) {
            try Files.write(random.mutated(recorded), to: journal)
            _ = try Journal.open(journal)
            try Files.write(random.mutated(stated), to: state.path)
            _ = try state.read()
        }
    }
}
