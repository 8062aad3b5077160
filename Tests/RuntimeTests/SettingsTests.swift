import Runtime
import Testing

@Suite struct SettingsTests {
    private func settings(_ yaml: String = "", environment: [String: String] = [:], _ arguments: String...) throws
        -> Settings
    {
        let root = try YAML.parse(yaml) ?? YAML(.scalar("", isPlain: true), line: 1)
        let (flags, _) = CommandLineFlag.parse(arguments) { !$0.hasPrefix("no_") && $0 != "compat.aliases" }
        return Settings(file: ("o.yml", root), environment: environment, flags: flags)
    }

    @Test func flagBeatsEnvironmentBeatsFileBeatsDefault() throws {
        let file = "web: {limit: 1}"
        #expect(try settings().read("web.limit", default: 0, "") == 0)
        #expect(try settings(file).read("web.limit", default: 0, "") == 1)
        #expect(try settings(file, environment: ["OUTRIGGER_WEB_LIMIT": "2"]).read("web.limit", default: 0, "") == 2)
        #expect(
            try settings(file, environment: ["OUTRIGGER_WEB_LIMIT": "2"], "--web.limit=3").read(
                "web.limit", default: 0, "") == 3)
    }

    @Test func whatTheFileSaysOfASettingStaysKnownWhenSomethingElseWins() throws {
        let file = "web: {limit: 1, hosts: [a], locks: {enabled: no}}"
        let given = try settings(
            file, environment: ["OUTRIGGER_WEB_LIMIT": "2"], "--web.hosts=b", "--web.locks", "--web.limit=3")
        _ = try given.read("web.limit", default: 0, "")
        #expect(try given.readList("web.hosts", "") == ["b"])
        #expect(try given.read("web.locks", default: false, ""))
        try given.finish()
    }

    @Test func dashesAndUnderscoresAreOneAndAValueMayStandApart() throws {
        #expect(try settings("", "--web.listen-address", ":1").read("web.listen_address", default: "", "") == ":1")
    }

    @Test func aSwitchIsTurnedOffByNo() throws {
        #expect(try settings("", "--no-collector.locks").read("collector.locks", default: true, "") == false)
        #expect(try settings("collector: {locks: {enabled: no}}").read("collector.locks", default: true, "") == false)
    }

    @Test func anUnknownKeyIsNamedWithItsLineAndAGuess() throws {
        let given = try settings("web:\n  listen_adress: ':1'\n")
        _ = try given.read("web.listen_address", default: "", "")
        let error = #expect(throws: SettingsError.self) { try given.finish() }
        #expect(error?.description == "o.yml:2: web.listen_adress: unknown setting, did you mean web.listen_address?")
    }

    @Test func anUnknownFlagIsNamed() throws {
        let error = #expect(throws: SettingsError.self) { try settings("", "--nope").finish() }
        #expect(error?.description == "command line: --nope: unknown flag")
    }

    @Test func aWrongValueIsNamedWithItsPlace() throws {
        let error = #expect(throws: SettingsError.self) { try settings("a: {b: x}").read("a.b", default: 1, "") }
        #expect(error?.description == "o.yml:1: a.b: \"x\" is not a whole number")
    }

    @Test func itemsOfAListAreReadAndTheirUnknownKeysNamed() throws {
        let given = try settings("targets:\n  postgres:\n    - {name: a, url: b}\n    - {name: c, uri: d}\n")
        let error = #expect(throws: SettingsError.self) {
            _ = try given.readItems("targets.postgres", "") { item throws(SettingsError) in
                try item.require("name", "") + item.read("url", default: "-", "")
            }
            try given.finish()
        }
        #expect(
            error?.description
                == "o.yml:4: targets.postgres[1].uri: unknown setting, did you mean targets.postgres[].url?")
    }

    @Test func aSecretIsReadFromAFile() throws {
        let folder = try TemporaryFolder()
        try Files.write("s3cret\n", to: folder.path + "/url")
        let given = try settings(environment: ["DATABASE_URL_FILE": folder.path + "/url"])
        #expect(try given.read("postgres.url", as: String.self, "", aliases: ["DATABASE_URL"]) == "s3cret")
    }

    @Test(arguments: [("15s", 15_000), ("1m30s", 90_000), ("0.5", 500), ("2h", 7_200_000), ("250ms", 250)])
    func durations(_ text: String, _ milliseconds: Int) {
        #expect(Duration(setting: text)?.milliseconds == milliseconds)
    }

    @Test(arguments: ["", "1s1m", "-1", "5x", "s"]) func wrongDurations(_ text: String) {
        #expect(Duration(setting: text) == nil)
    }

    @Test(arguments: [("64MiB", 67_108_864), ("1kB", 1000), ("12", 12)])
    func sizes(_ text: String, _ bytes: Int) { #expect(ByteCount(setting: text)?.bytes == bytes) }
}
