import Network
import Runtime
import Testing

@testable import RedisProxy

@Suite struct AccessSettingsTests {
    private func settings(_ yaml: String) throws -> Settings {
        Settings(file: ("o.yml", try YAML.parse(yaml) ?? YAML(.mapping([]), line: 1)))
    }

    private func read(_ yaml: String, on address: String = "127.0.0.1:6380", hasRedis: Bool = true) throws
        -> AccessSettings
    {
        let settings = try settings("redis_proxy: {\(yaml)}")
        let address = ListenAddress(setting: address)
        let access = try AccessSettings(settings, listeningOn: address, hasRedis: hasRedis)
        try settings.finish()
        return access
    }

    private static let user = "users: [{name: app, password: secret}]"
    private static let tls = "tls: {cert_file: /c, key_file: /k}"

    @Test(arguments: [
        ("", "127.0.0.1:6380"), ("", "[::1]:6380"), ("", "localhost:6380"),
        ("\(user), \(tls)", ":6380"), ("\(user), \(tls)", "0.0.0.0:6380"), ("\(user), \(tls)", "10.0.0.1:6380"),
        ("auth: redis, \(tls)", ":6380"), ("\(user), require_auth: true", "127.0.0.1:6380"),
        ("unix_socket: /run/redis.sock, unix_socket_mode: 0770", "127.0.0.1:6380"),
    ])
    func whatIsSafeStarts(_ yaml: String, _ address: String) throws {
        _ = try read(yaml, on: address)
    }

    @Test(arguments: [
        (
            "", ":6380",
            "redis_proxy.listen_address: :6380 can be reached from other machines, which needs redis_proxy.users (or redis_proxy.auth: redis), and redis_proxy.tls.cert_file and key_file"
        ),
        (
            user, "0.0.0.0:6380",
            "redis_proxy.listen_address: 0.0.0.0:6380 can be reached from other machines, which needs redis_proxy.tls.cert_file and key_file"
        ),
        (
            tls, "127.evil.example:6380",
            "redis_proxy.listen_address: 127.evil.example:6380 can be reached from other machines, which needs redis_proxy.users (or redis_proxy.auth: redis)"
        ),
        (
            "require_auth: true", "127.0.0.1:6380",
            "redis_proxy.require_auth: needs redis_proxy.users, or redis_proxy.auth: redis"
        ),
        ("tls: {cert_file: /c}", "127.0.0.1:6380", "redis_proxy.tls.cert_file: cert_file and key_file go together"),
        (
            "tls: {client_ca_file: /c}", "127.0.0.1:6380",
            "redis_proxy.tls.client_ca_file: needs cert_file and key_file"
        ),
    ])
    func whatIsNotSafeDoesNot(_ yaml: String, _ address: String, _ complaint: String) throws {
        let error = try #require(throws: SettingsError.self) { try read(yaml, on: address) }
        #expect("\(error)" == "o.yml: \(complaint)")
    }

    @Test func nobodyCanJudgeWithoutARedis() throws {
        let error = try #require(throws: SettingsError.self) { try read("auth: redis", hasRedis: false) }
        #expect("\(error)" == "o.yml: redis_proxy.auth: there is no Redis that could judge passwords")
    }

    @Test(arguments: [
        (
            "{name: a}",
            "o.yml:1: redis_proxy.users[0].name: needs one of password, password_file, password_sha256 and password_scram"
        ),
        (
            "{name: a, password: x, password_sha256: y}",
            "o.yml:1: redis_proxy.users[0].name: needs one of password, password_file, password_sha256 and password_scram"
        ),
        (
            "{name: a, password_sha256: abc}",
            "o.yml:1: redis_proxy.users[0].password_sha256: must be 64 hexadecimal digits"
        ),
        (
            "{name: a, password: \"\"}",
            "o.yml:1: redis_proxy.users[0].password: is empty: anybody could come in"
        ),
        (
            "{name: a, password_file: /none}",
            "o.yml:1: redis_proxy.users[0].password_file: open /none: No such file or directory"
        ),
        ("{password: x}", "o.yml:1: redis_proxy.users[0].name: is missing"),
        ("{name: a, password: x}, {name: a, password: y}", "o.yml: redis_proxy.users: two users have one name"),
    ])
    func aUserHasANameAndOnePassword(_ users: String, _ complaint: String) throws {
        let error = try #require(throws: SettingsError.self) { try read("users: [\(users)]") }
        #expect("\(error)" == complaint)
    }

    @Test func aPasswordMayStandInAFileOrAsItsDigest() throws {
        let folder = try TemporaryFolder()
        try Files.write("from file\n", to: folder.path + "/password")
        let digest = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
        let settings = try settings(
            """
            redis_proxy: {users: [{name: a, password: plain}, {name: b, password_file: \(folder.path)/password},
              {name: c, password_sha256: \(digest)}]}
            """)
        let users = try ProxyUsers(settings)
        for (name, password, isKnown) in [
            ("a", "plain", true), ("b", "from file", true), ("c", "secret", true), ("a", "secret", false),
            ("b", "from file\n", false), ("c", "", false), ("d", "plain", false), ("d", "", false),
            ("A", "plain", false),
        ] {
            var isRight = false
            if case .right = users.know(Array(name.utf8), password: Array(password.utf8)) { isRight = true }
            #expect(isRight == isKnown, "\(name)")
        }
    }
}
