import Runtime
import Testing

@Suite struct YAMLTests {
    @Test func nodesKnowTheirLines() throws {
        let root = try #require(try YAML.parse("a: 1\nb:\n  - x\n  - 'y'\n"))
        #expect(root["a"]?.text == "1")
        #expect(root["b"]?.items?.map(\.line) == [3, 4])
    }

    @Test func anchorsAndMergeKeysAreResolved() throws {
        let root = try #require(try YAML.parse("base: &b {x: 1, y: 2}\nmore: {<<: *b, y: 3}\n"))
        #expect(root["more"]?["x"]?.text == "1")
        #expect(root["more"]?["y"]?.text == "3")
    }

    @Test func aKeyThatStandsTwiceIsAnError() {
        let error = #expect(throws: YAMLError.self) { try YAML.parse("a: 1\na: 2\n") }
        #expect(error?.line == 2)
    }

    @Test func aBillionLaughsAreRefused() {
        var text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
        for level in 1...12 {
            let alias = "*a\(level - 1)"
            text += "a\(level): &a\(level) [\(Array(repeating: alias, count: 9).joined(separator: ", "))]\n"
        }
        #expect(throws: YAMLError.self) { try YAML.parse(text) }
    }

    @Test func nullIsPlainOnly() throws {
        let root = try #require(try YAML.parse("a: ~\nb: '~'\n"))
        #expect(root["a"]?.isNull == true)
        #expect(root["b"]?.isNull == false)
    }

    @Test(arguments: ["a: [1", "a: b: c", "\tx", "- *nope"]) func brokenTextIsAnError(_ text: String) {
        #expect(throws: YAMLError.self) { try YAML.parse(text) }
    }
}
