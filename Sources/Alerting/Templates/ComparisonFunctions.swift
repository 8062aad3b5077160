import Runtime

/// `eq`, `ne`, `lt`, `le`, `gt`, `ge`. Go compares like with like: a float with a whole literal is an error, which is
/// why rules write `gt $value 0.0`.
extension TemplateFunction {
    static let comparisons: [TemplateFunction] = [
        TemplateFunction("eq", [.any], rest: .any) { _, _, arguments throws(TemplateFailure) in
            guard arguments.count > 1 else { throw TemplateFailure("missing argument for comparison") }
            for other in arguments.dropFirst() where try equal(arguments[0], other) { return .bool(true) }
            return .bool(false)
        },
        TemplateFunction("ne", [.any, .any]) { _, _, arguments throws(TemplateFailure) in
            .bool(!(try equal(arguments[0], arguments[1])))
        },
        TemplateFunction("lt", [.any, .any]) { _, _, arguments throws(TemplateFailure) in
            .bool(try less(arguments[0], arguments[1]))
        },
        TemplateFunction("le", [.any, .any]) { _, _, arguments throws(TemplateFailure) in
            .bool(try lessOrEqual(arguments[0], arguments[1]))
        },
        // As in Go, greater is what is not less or equal, so that nothing is greater than NaN's opposite.
        TemplateFunction("gt", [.any, .any]) { _, _, arguments throws(TemplateFailure) in
            .bool(!(try lessOrEqual(arguments[0], arguments[1])))
        },
        TemplateFunction("ge", [.any, .any]) { _, _, arguments throws(TemplateFailure) in
            .bool(!(try less(arguments[0], arguments[1])))
        },
    ]

    /// What a value counts as when it is compared.
    private enum Comparable {
        case bool(Bool)
        case int(Int)
        case float(Double)
        case string(String)
        case other
    }

    private static func comparable(_ value: TemplateValue) -> Comparable {
        switch value {
        case .bool(let value): .bool(value)
        case .int(let value): .int(value)
        case .byte(let value): .int(Int(value))
        case .duration(let value): .int(Int(value))
        case .float(let value): .float(value)
        case .string(let text), .html(let text): .string(text)
        default: .other
        }
    }

    private static func equal(_ left: TemplateValue, _ right: TemplateValue) throws(TemplateFailure) -> Bool {
        switch (comparable(left), comparable(right)) {
        case (.bool(let left), .bool(let right)): return left == right
        case (.int(let left), .int(let right)): return left == right
        case (.float(let left), .float(let right)): return left == right
        case (.string(let left), .string(let right)): return left.utf8.elementsEqual(right.utf8)
        default:
            if case .nothing = left { return isNothing(right) }
            if case .nothing = right { return false }
            throw incompatible(left, right)
        }
    }

    private static func isNothing(_ value: TemplateValue) -> Bool {
        if case .nothing = value { true } else { false }
    }

    private static func less(_ left: TemplateValue, _ right: TemplateValue) throws(TemplateFailure) -> Bool {
        switch (comparable(left), comparable(right)) {
        case (.int(let left), .int(let right)): return left < right
        case (.float(let left), .float(let right)): return left < right
        case (.string(let left), .string(let right)): return left.utf8.lexicographicallyPrecedes(right.utf8)
        case (.bool, .bool): throw TemplateFailure("invalid type for comparison")
        default: throw incompatible(left, right)
        }
    }

    private static func lessOrEqual(_ left: TemplateValue, _ right: TemplateValue) throws(TemplateFailure) -> Bool {
        if try less(left, right) { return true }
        return try equal(left, right)
    }

    private static func incompatible(_ left: TemplateValue, _ right: TemplateValue) -> TemplateFailure {
        if case .other = comparable(left) { return TemplateFailure("invalid type for comparison") }
        if case .other = comparable(right) { return TemplateFailure("invalid type for comparison") }
        return TemplateFailure("incompatible types for comparison")
    }
}
