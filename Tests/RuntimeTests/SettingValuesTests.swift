import Runtime
import Testing

@Suite struct SettingValuesTests {
    private func values(
        _ yaml: String, environment: [String: String] = [:], flags: [String] = []
    ) throws -> SettingValues {
        let settings = Settings(
            file: ("o.yml", try #require(try YAML.parse(Array(yaml.utf8)))), environment: environment,
            flags: CommandLineFlag.parse(flags) { _ in true }.flags)
        _ = try settings.read("a.one", default: 1, "One.")
        _ = try settings.read("a.two", default: "x", "Two.")
        _ = try settings.readList("a.list", default: ["p"], "List.")
        _ = try settings.readItems("a.items", "Items.") { item throws(SettingsError) in
            (try item.require("name", "Name."), try item.read("size", default: 3, "Size."))
        }
        _ = settings.readSection("free", "A section.")
        return settings.values
    }

    @Test func everyValueIsNotedWithItsOrigin() throws {
        let values = try values(
            "a:\n  one: 2\n  items:\n    - {name: n}\nfree:\n  deep: [{k: v}]\n",
            environment: ["OUTRIGGER_A_TWO": "y"], flags: ["--a.list=q", "--a.list=r"])
        #expect(
            values.all.map { "\($0.name) \($0.text) (\($0.origin))" } == [
                "a.one 2 (o.yml:2)", "a.two y (environment OUTRIGGER_A_TWO)", "a.list q,r (flag --a.list)",
                "a.items[0].name n (o.yml:4)", "a.items[0].size 3 (default)", "free.deep[0].k v (o.yml:6)",
            ])
    }

    @Test func changesAreNamedAsTheReferenceNamesThem() throws {
        let old = try values("a: {one: 2, items: [{name: n}, {name: m}]}\n")
        let new = try values("a: {one: 1, items: [{name: n, size: 4}]}\nfree: {k: v}\n")
        #expect(new.changes(since: old) == ["a.one", "a.items[].size", "free.k", "a.items[].name"])
        let half = old.replacing({ $0.hasPrefix("a.items") }, from: new)
        #expect(new.changes(since: half) == ["a.one", "free.k"])
    }
}
