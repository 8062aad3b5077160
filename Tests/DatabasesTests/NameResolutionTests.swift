import Glibc
import Runtime
import Synchronization
import Testing

@testable import Databases

@Suite struct NameResolutionTests {
    @Test func aResolverThatHangsIsLeftAloneAndNotAskedTwice() async throws {
        let hanging = HangingResolver()
        defer { hanging.release() }
        let slow: @Sendable (String) -> Result<[String], PostgresError> = { _ in
            hanging.hang()
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
        #expect(hanging.asked <= 1)
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

/// Hangs until the test has seen what it came for.
private final class HangingResolver: Sendable {
    private struct State {
        var asked = 0
        var isReleased = false
    }

    private let state = Mutex(State())

    var asked: Int { state.withLock { $0.asked } }

    func release() { state.withLock { $0.isReleased = true } }

    func hang() {
        state.withLock { $0.asked += 1 }
        while !state.withLock({ $0.isReleased }) { usleep(1000) }
    }
}
