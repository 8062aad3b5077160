import Glibc
import Runtime
import Testing

@testable import Databases

@Suite struct NameResolutionTests {
    @Test func aResolverThatHangsIsLeftAloneAndNotAskedTwice() async throws {
        let started = ContinuousClock.now
        let slow: @Sendable (String) -> Result<[String], PostgresError> = { _ in
            usleep(3_000_000)
            return .success(["127.0.0.9"])
        }
        let late = #expect(throws: PostgresError.self) {
            try NameResolution.addresses(of: "slow.example", by: .after(.milliseconds(50)), lookUp: slow)
        }
        #expect(late?.kind == .timeout)
        let pending = #expect(throws: PostgresError.self) {
            try NameResolution.addresses(of: "slow.example", by: .after(.seconds(5)), lookUp: slow)
        }
        #expect(pending?.kind == .connection)
        #expect(.now - started < .milliseconds(2500))
    }

    @Test func numbersAreNotLookedUp() throws {
        let never: @Sendable (String) -> Result<[String], PostgresError> = { _ in
            .failure(PostgresError(.other, "asked"))
        }
        for host in ["127.0.0.1", "::1", "fe80::1%lo"] {
            #expect(try NameResolution.addresses(of: host, by: .after(.seconds(1)), lookUp: never) == [host])
        }
    }

    @Test func localhostIsHere() throws {
        #expect(try NameResolution.addresses(of: "localhost", by: .after(.seconds(5))).contains("127.0.0.1"))
    }
}
