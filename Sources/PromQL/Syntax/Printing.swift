import Runtime

extension Expression: CustomStringConvertible {
    /// The query as Prometheus prints it: one line, matchers sorted, durations in their shortest form.
    public var description: String {
        switch self {
        case .number(let node):
            node.isDuration
                ? DurationText.text(Int64((node.value * 1000).rounded())) : GoFormat.text(node.value, .fixed)
        case .string(let node): quoted(node.value)
        case .vector(let node): node.selection + node.shift.description
        case .matrix(let node):
            "\(node.vector.selection)[\(DurationText.text(node.window))]\(node.vector.shift)"
        case .subquery(let node):
            "\(node.inner)[\(DurationText.text(node.window)):\(node.step.map { DurationText.text($0) } ?? "")]\(node.shift)"
        case .call(let node):
            "\(node.function.name)(\(node.arguments.map(\.description).joined(separator: ", ")))"
        case .aggregation(let node): node.description
        case .binary(let node): node.description
        case .sign(let node): (node.isMinus ? "-" : "+") + node.operand.description
        case .parentheses(let node): "(\(node.inner))"
        }
    }
}

extension VectorSelector {
    /// Name and matchers, without `offset` and `@`.
    var selection: String {
        let shown = matchers.filter { $0.name != nameLabel || $0.operation != .equal || $0.value != name }
        guard !shown.isEmpty || name == nil else { return name ?? "" }
        let texts = shown.map(\.description).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        return "\(name ?? ""){\(texts.joined(separator: ","))}"
    }
}

extension TimeShift: CustomStringConvertible {
    public var description: String {
        var text = ""
        switch anchor {
        case .time(let time): text += " @ \(TimeShift.seconds(time))"
        case .start: text += " @ start()"
        case .end: text += " @ end()"
        case nil: break
        }
        return offset == 0 ? text : text + " offset " + DurationText.text(offset)
    }

    /// Seconds with three digits after the point.
    private static func seconds(_ milliseconds: Int64) -> String {
        let (whole, rest) = milliseconds.magnitude.quotientAndRemainder(dividingBy: 1000)
        let fraction = String(rest + 1000).dropFirst()
        return "\(milliseconds < 0 ? "-" : "")\(whole).\(fraction)"
    }
}

extension Aggregation {
    fileprivate var description: String {
        var text = aggregator.rawValue
        switch grouping {
        case .by([]): break
        case .by(let names): text += " by (\(names.map(labelName).joined(separator: ", "))) "
        case .without(let names): text += " without (\(names.map(labelName).joined(separator: ", "))) "
        }
        return text + "(\(parameter.map { "\($0), " } ?? "")\(inner))"
    }
}

extension BinaryOperation {
    fileprivate var description: String {
        "\(left) \(operation.rawValue)\(returnsBool ? " bool" : "")\(matching?.description ?? "") \(right)"
    }
}

extension VectorMatching {
    fileprivate var description: String {
        let isGrouped = cardinality == .manyToOne || cardinality == .oneToMany
        guard isOn || !labels.isEmpty || isGrouped else { return "" }
        var text = " \(isOn ? "on" : "ignoring") (\(labels.map(labelName).joined(separator: ", ")))"
        if isGrouped {
            let side = cardinality == .manyToOne ? "left" : "right"
            text += " group_\(side) (\(included.map(labelName).joined(separator: ", ")))"
        }
        return text
    }
}
