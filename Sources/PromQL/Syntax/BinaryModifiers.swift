/// What stands between an operator and its right side, before it is known whether it fits.
struct BinaryModifiers {
    var boolRange: Range<Int>?
    var matchingRange: Range<Int>?
    var groupRange: Range<Int>?
    var matching = VectorMatching()
}

extension BinaryOperation {
    /// The operation, if its operands and modifiers go together.
    static func checked(
        _ operation: BinaryOperator, _ left: Expression, _ right: Expression, _ modifiers: BinaryModifiers,
        operatorRange: Range<Int>, fail: (String, Range<Int>) -> PromQLError
    ) throws(PromQLError) -> BinaryOperation {
        let name = operation.rawValue
        if let range = modifiers.boolRange, !operation.isComparison {
            throw fail("bool modifier can only be used on comparison operators", range)
        }
        for side in [left, right] where side.type != .scalar && side.type != .vector {
            throw fail("binary expression must contain only scalar and instant vector types", side.range)
        }
        let scalars = [left, right].count { $0.type == .scalar }
        if operation.isComparison, modifiers.boolRange == nil, scalars == 2 {
            throw fail("comparisons between scalars must use BOOL modifier", operatorRange)
        }
        if operation.isSet, scalars > 0 {
            throw fail("set operator \(quoted(name)) not allowed in binary scalar expression", operatorRange)
        }
        if let range = modifiers.matchingRange, scalars > 0 {
            if !modifiers.matching.labels.isEmpty || modifiers.groupRange != nil {
                throw fail("vector matching only allowed between instant vectors", range)
            }
        }
        if let range = modifiers.groupRange, operation.isSet {
            throw fail("no grouping allowed for \(quoted(name)) operation", range)
        }
        var matching = modifiers.matching
        if operation.isSet { matching.cardinality = .manyToMany }
        if matching.isOn, let both = matching.labels.first(where: matching.included.contains) {
            throw fail("label \(quoted(both)) must not occur in ON and GROUP clause at once", operatorRange)
        }
        return BinaryOperation(
            operation: operation, left: left, right: right, returnsBool: modifiers.boolRange != nil,
            matching: scalars == 0 ? matching : nil)
    }
}
