/// The shapes that most expressions in label matchers have, and that need no machine.
enum PatternShortcut: Sendable, Equatable {
    case anything
    case something
    case literals([String])
    case prefix(String, atLeast: Int)
    case suffix(String, atLeast: Int)

    private static let literalLimit = 10_000

    init?(_ syntax: PatternSyntax) {
        if let literals = syntax.literals(limit: PatternShortcut.literalLimit) {
            self = .literals(literals)
            return
        }
        var items: [PatternSyntax]
        if case .sequence(let inner) = syntax.bare { items = inner } else { items = [syntax.bare] }
        if let atLeast = items.last?.anythingAtLeast {
            items.removeLast()
            if items.isEmpty {
                self = atLeast == 0 ? .anything : .something
            } else if let literal = PatternSyntax.sequence(items).literals(limit: 1)?.first {
                self = .prefix(literal, atLeast: atLeast)
            } else {
                return nil
            }
        } else if let atLeast = items.first?.anythingAtLeast {
            items.removeFirst()
            guard let literal = PatternSyntax.sequence(items).literals(limit: 1)?.first else { return nil }
            self = .suffix(literal, atLeast: atLeast)
        } else {
            return nil
        }
    }
}

extension PatternSyntax {
    /// The same without groups around the whole.
    fileprivate var bare: PatternSyntax {
        if case .capture(let inner, _) = self { return inner.bare }
        return self
    }

    /// 0 for `.*` and 1 for `.+`, where the dot includes line feeds.
    fileprivate var anythingAtLeast: Int? {
        guard case .repetition(.scalars(.all), let atLeast, nil, _) = bare, atLeast <= 1 else { return nil }
        return atLeast
    }

    /// Every text that matches, if they are few and can be listed.
    fileprivate func literals(limit: Int) -> [String]? {
        switch self {
        case .empty: return [""]
        case .scalars(let set):
            guard let value = set.single, let scalar = Unicode.Scalar(value) else { return nil }
            return [String(scalar)]
        case .capture(let inner, _): return inner.literals(limit: limit)
        case .choice(let branches):
            var all: [String] = []
            for branch in branches {
                guard let some = branch.literals(limit: limit) else { return nil }
                all += some
                guard all.count <= limit else { return nil }
            }
            return all
        case .sequence(let items):
            var texts = [""]
            for item in items {
                guard let tails = item.literals(limit: limit), texts.count * tails.count <= limit else { return nil }
                texts = texts.flatMap { head in tails.map { head + $0 } }
            }
            return texts
        case .assertion, .repetition: return nil
        }
    }
}
