import Databases
import Runtime
import Testing

@testable import Sidecar

/// Variables as people who come from the exporters have set them.
@Suite struct TargetSettingsTests {
    private func targets(_ environment: [String: String]) throws -> Targets {
        try Targets(Settings(environment: environment), aliases: false, seriesLimit: 50_000)
    }

    @Test func dataSourceNameIsOneConnectionOrSeveral() throws {
        #expect(try targets(["DATA_SOURCE_NAME": "host=a,b user=c"]).postgres.map(\.connection) == ["host=a,b user=c"])
        let several = try targets(["DATA_SOURCE_NAME": "postgresql://a:1,b:2/x,postgres://c/y"]).postgres
        #expect(several.map(\.connection) == ["postgresql://a:1,b:2/x", "postgres://c/y"])
        #expect(several.map(\.name) == ["postgres", "postgres-2"])
    }

    @Test func dataSourcePartsMakeAConnection() throws {
        let folder = try TemporaryFolder("outrigger-target-settings")
        try Files.write("p@ss/word\n", to: folder.path + "/password")
        let parts = [
            "DATA_SOURCE_URI": "db.example:5433/app?sslmode=require", "DATA_SOURCE_USER": "an na",
            "DATA_SOURCE_PASS_FILE": folder.path + "/password",
        ]
        let connection = try #require(try targets(parts).postgres.first?.connection)
        #expect(connection == "postgresql://an%20na:p%40ss%2Fword@db.example:5433/app?sslmode=require")
        let address = try PostgresAddress(connection)
        #expect(address["password"] == "p@ss/word" && address["user"] == "an na" && address["port"] == "5433")
        let named = parts.merging(["DATA_SOURCE_NAME": "host=x"]) { $1 }
        #expect(try targets(named).postgres.map(\.connection) == ["host=x"])
        #expect(try targets(["DATA_SOURCE_USER": "ann"]).postgres.isEmpty)
    }

    @Test func redisVariablesMakeALogin() throws {
        let plain = try #require(
            try targets(["REDIS_ADDR": "redis://cache:6380", "REDIS_USER": "ann", "REDIS_PASSWORD": "s"]).redis.first)
        #expect(plain.address == RedisAddress(.tcp(host: "cache", port: 6380), user: "ann", password: "s"))
        let own = try #require(
            try targets(["REDIS_ADDR": "redis://bob:b@cache:6380", "REDIS_USER": "ann", "REDIS_PASSWORD": "s"]).redis
                .first)
        #expect(own.address.user == "bob" && own.address.password == "b")
        #expect(
            try targets(["REDIS_ENDPOINT": "cache.example"]).redis.first?.address.description
                == "redis://cache.example:6379")
        let folder = try TemporaryFolder("outrigger-target-settings")
        try Files.write(
            #"{"redis://ann@cache:6380": "of ann", "redis://other:1": "x"}"#, to: folder.path + "/passwords")
        let file = ["REDIS_ADDR": "cache:6380", "REDIS_USER": "ann", "REDIS_PASSWORD_FILE": folder.path + "/passwords"]
        #expect(try targets(file).redis.first?.address.password == "of ann")
    }
}
