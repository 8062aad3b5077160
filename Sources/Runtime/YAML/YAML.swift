/// A node of a YAML document that remembers where it stood, so that every complaint can name its line.
public struct YAML: Sendable, Equatable {
    public enum Content: Sendable, Equatable {
        /// The text as it was, and whether it was plain: only then may it mean null, a number or a truth.
        case scalar(String, isPlain: Bool)
        case sequence([YAML])
        case mapping([Entry])
    }

    public struct Entry: Sendable, Equatable {
        public let key: String
        /// Line of the key, from 1.
        public let line: Int
        public let value: YAML

        public init(key: String, line: Int, value: YAML) {
            self.key = key
            self.line = line
            self.value = value
        }
    }

    public let content: Content
    /// Line on which the node begins, from 1.
    public let line: Int

    public init(_ content: Content, line: Int) {
        self.content = content
        self.line = line
    }

    /// The first value of a key in a mapping.
    public subscript(key: String) -> YAML? { entries?.first { $0.key == key }?.value }

    public var entries: [Entry]? {
        if case .mapping(let entries) = content { return entries }
        return nil
    }

    public var items: [YAML]? {
        if case .sequence(let items) = content { return items }
        return nil
    }

    /// A scalar's text, whatever it looks like: `1` and `"1"` alike.
    public var text: String? {
        if case .scalar(let text, _) = content { return text }
        return nil
    }

    /// Nothing, `~` or `null`, unquoted.
    public var isNull: Bool {
        if case .scalar(let text, true) = content { return ["", "~", "null", "Null", "NULL"].contains(text) }
        return false
    }

    /// What kind of node it is, for messages: `a mapping`, `a list`, `a value`.
    public var kindText: String {
        switch content {
        case .scalar: "a value"
        case .sequence: "a list"
        case .mapping: "a mapping"
        }
    }
}

/// A document that cannot be read.
public struct YAMLError: Error, Equatable, CustomStringConvertible {
    /// From 1; 0 when the document as a whole is at fault.
    public let line: Int
    public let problem: String

    public init(line: Int, problem: String) {
        self.line = line
        self.problem = problem
    }

    public var description: String { line > 0 ? "line \(line): \(problem)" : problem }
}
