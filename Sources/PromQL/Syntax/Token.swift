/// The smallest piece of a query that means something.
struct Token: Sendable, Equatable {
    enum Kind: Sendable, Equatable {
        case end
        case identifier
        case number
        case duration
        case string
        case leftParenthesis, rightParenthesis, leftBrace, rightBrace, leftBracket, rightBracket
        case comma, colon, at
        case equal, equalsRegex, notRegex
        case plus, minus, star, slash, percent, caret
        case equals, notEquals, less, lessOrEqual, greater, greaterOrEqual
        case trimUpper, trimLower
    }

    let kind: Kind

    /// Where it stands, in bytes.
    let range: Range<Int>
}
