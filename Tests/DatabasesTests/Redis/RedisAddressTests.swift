import Testing

@testable import Databases

@Suite struct RedisAddressTests {
    @Test func everyFormOfAnAddressIsUnderstood() throws {
        #expect(
            try RedisAddress(parsing: "redis://cache:7000/3")
                == RedisAddress(.tcp(host: "cache", port: 7000), database: 3))
        #expect(try RedisAddress(parsing: "cache") == RedisAddress(.tcp(host: "cache", port: 6379)))
        #expect(
            try RedisAddress(parsing: "valkey://reader:s%40fe:ty@[::1]")
                == RedisAddress(.tcp(host: "::1", port: 6379), user: "reader", password: "s@fe:ty"))
        #expect(
            try RedisAddress(parsing: "redis://:only@cache?db=2")
                == RedisAddress(.tcp(host: "cache", port: 6379), password: "only", database: 2))
        #expect(try RedisAddress(parsing: "rediss://cache:1").usesTLS)
        #expect(try RedisAddress(parsing: "redis://cache?protocol=3").protocolVersion == 3)
        #expect(
            try RedisAddress(parsing: "unix:///run/redis.sock?db=1&password=pw")
                == RedisAddress(.unix(path: "/run/redis.sock"), password: "pw", database: 1))
        #expect(try RedisAddress(parsing: "/run/redis.sock") == RedisAddress(.unix(path: "/run/redis.sock")))
        #expect(
            try RedisAddress(parsing: "unix://me:pw@/run/redis.sock")
                == RedisAddress(.unix(path: "/run/redis.sock"), user: "me", password: "pw"))
    }

    @Test(arguments: [
        ("http://cache", RedisAddress.Malformed.unknownScheme("http")), ("redis://cache:0", .badPort("0")),
        ("redis://cache:99999", .badPort("99999")), ("redis://cache/x", .badDatabase("x")), ("redis://", .noHost),
        ("unix://", .noPath), ("redis://cache?tls=1", .unknownParameter("tls")),
        ("redis://cache?protocol=4", .badProtocol("4")),
        ("/" + String(repeating: "x", count: 200), .pathTooLong(bytes: 201)),
    ])
    func aMalformedAddressSaysWhatIsWrong(text: String, expected: RedisAddress.Malformed) {
        #expect(throws: expected) { try RedisAddress(parsing: text) }
    }

    @Test(arguments: [
        "redis://reader:hunter2@cache:7000/1", "unix://reader:hunter2@/run/a.sock", "redis://:hunter2@[::1]:1",
    ])
    func thePasswordIsNeverPrinted(text: String) throws {
        let address = try RedisAddress(parsing: text)
        #expect(address.password == "hunter2")
        #expect(!"\(address)".contains("hunter2"))
    }
}
