/// Why a template cannot be parsed or expanded. The description is worded as Prometheus words it, since people search
/// for those words and tools compare them.
public enum TemplateError: Error, Equatable, CustomStringConvertible {
    /// The text is no template: an unknown function, an unclosed action, a word out of place.
    case syntax(line: Int, String)
    /// It could not be evaluated. `template` is the `define` it happened in, nil in the text itself; line and column
    /// tell where, `source` is the part of the template at fault.
    case execution(template: String?, line: Int, column: Int, source: String, String)

    public var description: String { describe(name: "text") }

    /// The message as Prometheus words it, for a template that goes by `name` (`__alert_<rule>` for an alert's).
    public func describe(name: String) -> String {
        switch self {
        case .syntax(let line, let what): "template: \(name):\(line): \(what)"
        case .execution(let template, let line, let column, let source, let what):
            "template: \(name):\(line):\(column): executing \(GoQuote.quoted(template ?? name)) at <\(source)>: \(what)"
        }
    }
}
