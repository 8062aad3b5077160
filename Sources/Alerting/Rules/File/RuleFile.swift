import Metrics
import Runtime

/// A file of rules as Prometheus loads it, read and checked.
///
/// The form is that of Prometheus 3 (`query_offset` and group `labels` among it), unknown keys are errors wherever they
/// stand. Metric and label names are the classic ones, `[a-zA-Z_][a-zA-Z0-9_]*`, which every Prometheus accepts.
public struct RuleFile: Sendable {
    /// The path as it was given, which is also how the API and the metrics name the file.
    public let path: String
    public let groups: [RuleGroupDefinition]

    /// What is odd but does not keep the file from being used.
    public let warnings: [String]

    /// Longest file in bytes.
    public static let sizeLimit = 16 << 20

    public init(path: String, groups: [RuleGroupDefinition], warnings: [String] = []) {
        self.path = path
        self.groups = groups
        self.warnings = warnings
    }

    /// Reads the file at `path`. Blocks.
    public static func load(_ path: String) throws(RuleFileError) -> RuleFile {
        let bytes: [UInt8]
        do {
            bytes = try Files.read(path, limitBytes: sizeLimit)
        } catch {
            throw RuleFileError(path: path, problems: [RuleFileProblem("\(error)")])
        }
        return try parse(bytes, path: path)
    }

    public static func parse(_ bytes: [UInt8], path: String) throws(RuleFileError) -> RuleFile {
        let root: YAML?
        do {
            root = try YAML.parse(bytes)
        } catch {
            throw RuleFileError(
                path: path,
                problems: [RuleFileProblem("yaml: \(error.problem)", line: error.line > 0 ? error.line : nil)])
        }
        var reader = RuleFileReader()
        let groups = reader.groups(of: root)
        guard reader.problems.isEmpty else { throw RuleFileError(path: path, problems: reader.problems) }
        let ignored = "only the first YAML document is read, the others are ignored"
        return RuleFile(path: path, groups: groups, warnings: hasSecondDocument(bytes) ? [ignored] : [])
    }

    public static func parse(_ text: String, path: String = "rules.yml") throws(RuleFileError) -> RuleFile {
        try parse(Array(text.utf8), path: path)
    }

    /// Whether a line `---` follows some content: in YAML nothing else can stand there.
    private static func hasSecondDocument(_ bytes: [UInt8]) -> Bool {
        var hasContent = false
        for line in bytes.split(separator: UInt8(ascii: "\n")) {
            let isMarker = line.starts(with: "---".utf8) && (line.count == 3 || line[line.startIndex + 3] <= 0x20)
            if isMarker, hasContent { return true }
            guard !isMarker, let first = line.first(where: { $0 > 0x20 }) else { continue }
            if first != UInt8(ascii: "#"), first != UInt8(ascii: "%") { hasContent = true }
        }
        return false
    }
}

/// Everything that is wrong with a file.
public struct RuleFileError: Error, Sendable, CustomStringConvertible {
    public let path: String
    /// At least one.
    public let problems: [RuleFileProblem]

    public var description: String {
        problems.map { "\(path): \($0)" }.joined(separator: "\n")
    }
}

public struct RuleFileProblem: Sendable, Equatable, CustomStringConvertible {
    /// From 1; nil where no line is at fault.
    public let line: Int?
    public let text: String

    init(_ text: String, line: Int? = nil) {
        self.text = text
        self.line = line
    }

    public var description: String { (line.map { "\($0): " } ?? "") + text }
}
