import Glibc
import LocalServers
import Runtime
import Synchronization
import Testing

@testable import Network

/// A name that leads elsewhere from one moment to the next.
@Suite struct NamedHostTests {
    /// Answers as told, and counts the questions.
    private final class NameServer: Sendable {
        let state = Mutex<(answer: Result<[StreamAddress.Candidate], StreamAddress.Unknown>, asked: Int)>(
            (.failure(StreamAddress.Unknown(description: "nothing yet")), 0))

        func say(_ port: UInt16?) throws {
            let answer: Result<[StreamAddress.Candidate], StreamAddress.Unknown> =
                if let port {
                    .success(try StreamAddress(host: "127.0.0.1", port: port).candidates)
                } else {
                    .failure(StreamAddress.Unknown(description: "out of order"))
                }
            state.withLock { $0.answer = answer }
        }

        var asked: Int { state.withLock { $0.asked } }

        @Sendable func lookUp(_ host: String, _ port: UInt16) -> Result<
            [StreamAddress.Candidate], StreamAddress.Unknown
        > {
            state.withLock { state in
                state.asked += 1
                return state.answer
            }
        }
    }

    private func eventually(_ isSo: () -> Bool) async throws {
        let deadline = Deadline.after(.seconds(60))
        while !isSo() {
            try #require(!deadline.hasPassed)
            try await Task.sleep(for: .milliseconds(2))
        }
    }

    @Test func aNameThatIsFoundLaterIsUsedThen() async throws {
        let server = NameServer()
        let host = NamedHost("redis", port: 1, lookUp: server.lookUp)
        #expect(host.candidates.isEmpty && !host.hasAnswer)
        host.askAgain()
        try await eventually { host.hasAnswer }
        #expect(host.candidates.isEmpty)
        try server.say(7001)
        // Only once the answer is a second old.
        try await eventually {
            host.askAgain()
            return !host.candidates.isEmpty
        }
        #expect(host.moves == 0)
        #expect(server.asked == 2)
    }

    @Test func anAnswerWithNothingInCommonIsAMoveAndNoAnswerIsNone() async throws {
        let server = NameServer()
        try server.say(7002)
        let before = try StreamAddress(host: "127.0.0.1", port: 7001).candidates
        let host = NamedHost("redis", port: 1, knowing: before, lookUp: server.lookUp)
        try await eventually {
            host.askAgain()
            return host.moves == 1
        }
        let now = host.candidates
        #expect(now != before)
        try server.say(nil)
        try await eventually {
            host.askAgain()
            return server.asked == 2
        }
        #expect(host.candidates == now && host.moves == 1)
    }
}
