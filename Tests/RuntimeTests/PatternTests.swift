import Foundation
import Runtime
import TestTools
import Testing

@Suite struct PatternTests {
    @Test(arguments: [
        ("abc", "abc", true), ("abc", "abcd", false), ("a|bc", "bc", true), ("a|bc", "abc", false),
        ("", "", true), ("", "x", false), (".*", "", true), (".+", "", false), ("web.*", "web-1", true),
        ("web.+", "web", false), (".*-eu", "node-eu", true), (".+-eu", "-eu", false), ("(?i)get|post", "GeT", true),
        ("(?i:k)", "\u{212A}", true), ("[^a-c]+", "xyz", true), ("[^a-c]+", "xbz", false), ("\\d{3}", "404", true),
        ("\\d{3}", "40", false), ("[45]..", "503", true), ("a{2,3}", "aaaa", false), ("a{2,}", "aaaa", true),
        ("(?:ab)*", "abab", true), ("[[:alpha:]]+", "abc", true), ("[[:^alpha:]]+", "123", true),
        ("\\w+\\s\\S+", "left right", true), ("é+", "éé", true), ("[à-ü]", "é", true), ("\\x41\\x{1F600}", "A😀", true),
        (".", "\n", false), ("(?s).", "\n", true), ("\\Q.*\\E", ".*", true), ("x\\.y", "x.y", true),
        ("\\pL+", "grün", true), ("\\PL+", "12", true), ("a??b", "ab", true), ("^a$", "a", true), ("a^b", "ab", false),
        ("(?m)a$\n^b", "a\nb", true), ("\\bon\\b", "on", true), ("o\\bn", "on", false), ("a{,2}", "a{,2}", true),
    ])
    func aWholeTextMatchesOrNot(expression: String, text: String, expected: Bool) throws {
        let pattern = try Pattern(expression)
        #expect(pattern.matches(text) == expected)
        #expect((pattern.wholeMatch(of: text) != nil) == expected)
    }

    @Test(arguments: [
        ("(a", PatternError.Reason.missingClosingParenthesis, 0), ("ab)", .unexpectedParenthesis, 2),
        ("x[a-", .missingClosingBracket, 1), ("[z-a]", .invalidRange("z-a"), 1), ("a**", .nothingToRepeat("**"), 1),
        ("*a", .nothingToRepeat("*"), 0), ("é\\", .trailingBackslash, 2), ("a\\y", .invalidEscape("\\y"), 1),
        ("a{1001}", .invalidRepetition("{1001}"), 1), ("a{3,2}", .invalidRepetition("{3,2}"), 1),
        ("[[:nope:]]", .unknownClass("[:nope:]"), 1), ("(?=a)", .unknownGroup("(?="), 0),
        ("(?P<n>a)(?P<n>b)", .duplicateName("n"), 8), ("\\1", .invalidEscape("\\1"), 0),
    ])
    func aMistakeIsNamedWithItsPlace(expression: String, reason: PatternError.Reason, offset: Int) {
        #expect(throws: PatternError(reason, at: offset)) { try Pattern(expression) }
    }

    @Test func groupsAreFoundAsABacktrackingSearchWouldFindThem() throws {
        let match = try #require(try Pattern("(a+?)(a*)(b)?").firstMatch(in: "xaaay"))
        #expect(match.groups == [1..<4, 1..<2, 2..<4, nil])
        #expect(try Pattern("a|ab|abc").firstMatch(in: "zabc")?.range == 1..<2)
        #expect(try Pattern("(|a)*").firstMatch(in: "aa")?.groups == [0..<0, 0..<0])
        #expect(try Pattern("(|a)+").firstMatch(in: "aa")?.groups == [0..<0, 0..<0])
        #expect(try Pattern("(a|b)*").firstMatch(in: "abx")?.groups == [0..<2, 1..<2])
    }

    @Test(arguments: [
        ("(\\w+)@(\\w+)", "$2 at $1", "joe@home and ann@work", "home at joe and work at ann"),
        ("a*", "-", "baac", "-b-c-"), ("(?P<first>.)(.)", "${first}$2x$$", "ab", "a$"), ("b", "[$0]", "abc", "a[b]c"),
        ("x", "y", "", ""), ("é", "e", "café é", "cafe e"), ("(.)", "$1x", "a", ""), ("(.)", "${1}x", "a", "ax"),
    ])
    func replacingFollowsGo(expression: String, template: String, text: String, expected: String) throws {
        #expect(try Pattern(expression).replacingAll(in: text, with: template) == expected)
    }

    @Test func listsOfTextsAreKnownForIndexes() throws {
        #expect(try Pattern("api|web-(1|2)").literals == ["api", "web-1", "web-2"])
        #expect(try Pattern("api.*").literals == nil)
    }

    @Test func whatOthersTakeExponentialTimeForIsQuick() throws {
        let text = String(repeating: "a", count: 5000)
        let started = computedByThisThread
        #expect(try !Pattern("(a+)+b").matches(text))
        #expect(try !Pattern("(a?){500}a{500}b").matches(text))
        #expect(try Pattern("(.*)(.*)(.*)(.*)(.*)x").firstMatch(in: text) == nil)
        #expect(computedByThisThread - started < .seconds(10))
    }

    /// By number, because a test that names its argument would print all of it.
    private static let enormous = [
        String(repeating: "(", count: 100_000), "((a{1000}){1000}){1000}", "(((){1000}){1000}){1000}",
        String(repeating: "a|", count: 200_000), String(repeating: "[\\pL\\pN]{500}", count: 40),
    ]

    @Test(arguments: enormous.indices)
    func enormousExpressionsAreRefused(number: Int) {
        #expect(throws: PatternError.self) { try Pattern(Self.enormous[number]) }
    }

    /// Random expressions and texts, with Foundation's matcher as the judge. `TEST_FUZZ` sets how many.
    @Test func randomExpressionsMatchAsElsewhere() throws {
        var random = Seeded(fuzzing: 20_26)
        for _ in 0..<Seeded.rounds(default: 500) {
            let expression = random.expression(depth: 3)
            let text = random.text(of: ["a", "b", "c", "é", "\n", "😀"], upTo: 8)
            let pattern = try Pattern(expression)
            let judge = try NSRegularExpression(pattern: expression)
            let whole = NSRange(text.startIndex..., in: text)
            let expected = judge.firstMatch(in: text, range: whole).flatMap { Range($0.range, in: text) }
                .map {
                    text.utf8.distance(
                        from: text.startIndex, to: $0.lowerBound)..<text.utf8.distance(
                            from: text.startIndex, to: $0.upperBound)
                }
            #expect(pattern.firstMatch(in: text)?.range == expected, "\(expression) in \(text.debugDescription)")
            let anchored = try NSRegularExpression(pattern: "\\A(?:\(expression))\\z")
            let matches = anchored.firstMatch(in: text, range: whole) != nil
            #expect(pattern.matches(text) == matches, "\(expression) on \(text.debugDescription)")
            #expect((pattern.wholeMatch(of: text) != nil) == matches, "\(expression) on \(text.debugDescription)")
        }
    }

    /// Random bytes between what has a meaning: nothing but an answer or an error may come of it.
    @Test func randomTextsAreReadOrRefused() {
        var random = Seeded(fuzzing: 7)
        let pieces = [
            "(", ")", "[", "]", "{", "}", "*", "+", "?", "|", "\\", "^", "$", ".", "a", "9", ",", "-", ":",
            "(?i", "[[:alpha:]]", "\\pL", "\\x{", "é", "\\Q", "\\E", "{2,3}", "(?P<n>",
        ]
        for _ in 0..<Seeded.rounds(default: 500) {
            let expression = random.text(of: pieces, upTo: 12)
            guard let pattern = try? Pattern(expression) else { continue }
            _ = pattern.matches("aé9")
            _ = pattern.replacingAll(in: "a9a", with: "$1")
        }
    }
}

extension Seeded {
    fileprivate mutating func text(of pieces: [String], upTo count: Int) -> String {
        (0..<Int.random(in: 0...count, using: &self)).map { _ in pieces.randomElement(using: &self)! }.joined()
    }

    fileprivate mutating func expression(depth: Int) -> String {
        let atoms = ["a", "b", "c", "é", ".", "[ab]", "[^b]", "[a-cé]", "\\n", "😀"]
        guard depth > 0 else { return atoms.randomElement(using: &self)! }
        switch Int.random(in: 0..<8, using: &self) {
        case 0: return "(?:\(expression(depth: depth - 1))|\(expression(depth: depth - 1)))"
        case 1: return "(\(expression(depth: depth - 1)))"
        case 2, 3, 4: return expression(depth: depth - 1) + expression(depth: depth - 1)
        case 5:
            let operators = ["*", "+", "?", "*?", "+?", "??", "{2}", "{0,2}", "{1,}?"]
            // Something to read first: matchers disagree on repetitions of nothing.
            return "(?:\(expression(depth: 0))\(expression(depth: depth - 1)))\(operators.randomElement(using: &self)!)"
        case 6: return "^" + expression(depth: depth - 1)
        default: return atoms.randomElement(using: &self)!
        }
    }
}
