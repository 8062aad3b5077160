import Metrics
import Runtime

/// An alert's annotation or label as rule files write it: Go's `text/template` with Prometheus' functions.
///
/// `$labels`, `$externalLabels`, `$externalURL` and `$value` are declared before the text begins. Parsing finds unknown
/// functions and variables, so that a bad rule file is refused when it is read.
public struct Template: Sendable {
    public let text: String
    private let source: [UInt8]
    /// The bodies by name; the text's own goes by `""`. Nil where the text is all there is.
    private let definitions: [String: [TemplateNode]]?

    /// Prometheus' own declarations, first in the same line, since columns of errors count them.
    private static let prelude =
        "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}"
        + "{{$externalURL := .ExternalURL}}{{$value := .Value}}"

    /// Longest text in bytes.
    public static let lengthLimit = 1 << 18

    public static func parse(_ text: String) throws(TemplateError) -> Template {
        guard text.utf8.count <= lengthLimit else {
            throw .syntax(line: 1, "\(text.utf8.count) bytes, more than \(lengthLimit)")
        }
        guard text.contains("{{") else { return Template(text: text, source: [], definitions: nil) }
        let source = Array((prelude + text).utf8)
        let definitions = try TemplateParser.parse(source, name: "", functions: TemplateFunction.names)
        return Template(text: text, source: source, definitions: definitions)
    }

    /// The text with every action replaced by what it yields.
    public func expand(
        _ data: TemplateData, in environment: TemplateEnvironment
    ) throws(TemplateError) -> String {
        guard let definitions else { return text }
        var evaluator = TemplateEvaluator(
            definitions: definitions, source: source, environment: environment, data: data)
        return try evaluator.expand()
    }

    /// Parses and expands; a failure becomes the text that Prometheus shows in the annotation's place. `name` is
    /// `__alert_` and the rule's name.
    public static func expandText(
        _ text: String, name: String, _ data: TemplateData, in environment: TemplateEnvironment
    ) -> String {
        let template: Template
        do {
            template = try parse(text)
        } catch {
            return "<error expanding template: error parsing template \(name): \(error.describe(name: name))>"
        }
        return template.expandText(name: name, data, in: environment)
    }

    /// `expand` with a failure as text.
    public func expandText(name: String, _ data: TemplateData, in environment: TemplateEnvironment) -> String {
        do {
            return try expand(data, in: environment)
        } catch {
            return "<error expanding template: error executing template \(name): \(error.describe(name: name))>"
        }
    }
}

/// What an alert's template is about.
public struct TemplateData: Sendable {
    /// The labels of the sample that fired, its metric's name included.
    public var labels: Labels
    public var externalLabels: Labels
    /// Where Outrigger is reached from outside; nil where nobody configured it.
    public var externalURL: String?
    public var value: Double

    public init(labels: Labels, externalLabels: Labels = .none, externalURL: String? = nil, value: Double) {
        self.labels = labels
        self.externalLabels = externalLabels
        self.externalURL = externalURL
        self.value = value
    }
}

/// What templates may ask of the world.
public struct TemplateEnvironment: Sendable {
    /// Evaluates PromQL at the time of the evaluation.
    public var query: @Sendable (String) throws(TemplateFailure) -> [TemplateSample]
    /// Seconds since 1970 of the evaluation.
    public var now: Double

    public init(now: Double, query: @escaping @Sendable (String) throws(TemplateFailure) -> [TemplateSample]) {
        self.now = now
        self.query = query
    }
}

/// Why a function of a template gave no value.
public struct TemplateFailure: Error, Equatable {
    public let message: String

    public init(_ message: String) { self.message = message }
}
