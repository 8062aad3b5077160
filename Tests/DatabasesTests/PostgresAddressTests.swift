import Databases
import Testing

@Suite struct PostgresAddressTests {
    @Test(arguments: [
        ("postgresql://ann:secret@db.example:6543/shop?sslmode=disable", "db.example:6543"),
        ("host=db.example port=6543 user=ann password=secret dbname=shop", "db.example:6543"),
        ("db.example:6543/shop?sslmode=disable", "db.example:6543"),
        ("db.example", "db.example:5432"),
        ("user=ann password=secret", "localhost:5432"),
    ])
    func everySpellingNamesTheServer(text: String, server: String) throws {
        let address = try PostgresAddress(text)
        #expect(address.server == server)
        #expect(!address.redacted.contains("secret"))
    }

    @Test(arguments: [
        "postgresql://ann:secret@[::1", "password=secret nonsense", "host='secret",
        "postgresql://ann:sec@ret@db.example/shop", "postgresql://ann:sec/ret@db.example/shop",
    ])
    func whatCannotBeReadIsNotRepeated(text: String) {
        let error = #expect(throws: PostgresError.self) { try PostgresAddress(text) }
        for word in ["secret", "sec", "ret"] { #expect(error?.description.contains(word) == false) }
    }

    @Test func anOverrideWins() throws {
        var address = try PostgresAddress("db.example:6543")
        address["user"] = "ann"
        address["port"] = "1"
        #expect(address.server == "db.example:1")
        #expect(address["user"] == "ann")
    }
}
