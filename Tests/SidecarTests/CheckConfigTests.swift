import LocalServers
import Runtime
import Testing

@Suite struct CheckConfigTests {
    private func check(
        _ yaml: String, _ arguments: [String] = [], environment: [String: String] = [:]
    ) async throws -> (status: Int32, output: String) {
        let folder = try TemporaryFolder("outrigger-check")
        try Files.write(yaml, to: folder.path + "/o.yml")
        try Files.write(
            "groups: [{name: a, rules: [{alert: B, expr: up == 0}, {record: 'c:d', expr: sum(up)}]}]\n",
            to: folder.path + "/rules.yml")
        let (status, output) = try await RunningOutrigger.run(
            ["check-config", "--config", folder.path + "/o.yml"] + arguments, environment: environment)
        return (status, output.replacing(folder.path + "/", with: ""))
    }

    @Test func itSaysWhatWouldRunAndWhatMatchesNothing() async throws {
        let (status, output) = try await check(
            """
            targets: {redis: [{name: a, url: 'redis://127.0.0.1:1'}, {name: b, url: 'redis://127.0.0.1:2'}]}
            alerting: {rules: [rules.yml, none/*.yml]}
            """)
        #expect(status == 0)
        #expect(
            output
                == "o.yml: warning: alerting.rules: none/*.yml matches no file\no.yml: ok\n2 Redis, 2 rules in 1 file\n"
        )
    }

    @Test func aRuleFileThatServeWouldRefuseIsRefused() async throws {
        let (status, output) = try await check("alerting: {rules: [o.yml]}\n")
        #expect(status != 0 && output.contains("o.yml"))
    }

    @Test func everyValueIsShownWithItsOriginAndNoSecret() async throws {
        let (status, output) = try await check(
            """
            redis: {url: 'redis://me:hush@127.0.0.1:1/0'}
            redis_proxy: {users: [{name: ann, password: hush}]}
            alerting: {receivers: [{name: t, webhook: {url: 'https://chat.example/hush'}}], route: {receiver: t}}
            """, ["--effective", "--log.level=warn"],
            environment: ["DATABASE_URL": "host=127.0.0.1 password=hush"])
        #expect(status == 0)
        for line in [
            "redis.url: redis://***@127.0.0.1:1/0  # o.yml:1\n", "redis_proxy.users[0].name: ann  # o.yml:2\n",
            "redis_proxy.users[0].password: ***  # o.yml:2\n", "log.level: warn  # flag --log.level\n",
            "postgres.url: ***  # environment DATABASE_URL\n", "web.telemetry_path: /metrics  # default\n",
        ] {
            #expect(output.contains(line), "\(line)")
        }
        #expect(!output.contains("hush"))
    }

    @Test(arguments: [
        ("redis: {url: 'redis//user:hush@host'}\n", "redis address"),
        ("postgres: {url: 'postgres//user:hush@host'}\n", "not a connection string"),
        ("alertting: {rules: [x]}\n", "alertting: unknown setting, did you mean alerting?"),
        ("targets: {redis: [{name: a, ulr: 'redis://h'}]}\n", "url: is missing; is ulr meant to be it?"),
        ("log:\n\tlevel: info\n", "o.yml:2: a tab: YAML indents by spaces only"),
    ])
    func aMistakeIsCalledByItsNameAndTellsNoSecret(_ yaml: String, _ words: String) async throws {
        let (status, output) = try await check(yaml)
        #expect(status == 2)
        #expect(output.contains(words), "\(output)")
        #expect(!output.contains("hush"))
    }

    @Test func aShortQuestionForHelpIsUnderstood() async throws {
        #expect(try await RunningOutrigger.run(["-h"]).output.hasPrefix("Outrigger watches"))
    }
}
