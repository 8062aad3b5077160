import LocalServers
import Runtime
import Testing

@testable import Databases

@Suite struct PostgresConversationTests {
    private func ask(
        _ connection: PostgresConnection, _ segments: [[String]], within patience: Duration = .seconds(10),
        timeouts: PostgresTimeouts? = nil
    ) -> PostgresConversation {
        let queries = segments.map { $0.map { PostgresQuery(name: $0, sql: $0) } }
        let conversation = PostgresConversation(connection, segments: queries, timeouts: timeouts)
        PostgresRound.hold([conversation], by: .after(patience))
        return conversation
    }

    private func texts(_ conversation: PostgresConversation) -> [String] {
        conversation.answers.map { answer in
            answer.map { $0.rows?.text(0, 0) ?? $0.error.map { "\($0.kind)" } ?? "null" } ?? "unanswered"
        }
    }

    @Test func anErrorCostsOnlyItsOwnStatement() async throws {
        let server = try await LocalPostgres.start()
        let connection = PostgresConnection(try PostgresAddress(server.url()))
        let segments = [
            ["SELECT 1", "SELECT nowhere", "SELECT 2", "SELECT 1 / 0", "SELECT 3", "SELECT 4"],
            ["SELECT * FROM nothing", "SELECT 5"],
        ]
        let expected = ["1", "missing", "2", "other", "3", "4", "missing", "5"]
        #expect(texts(ask(connection, segments)) == expected)
        // The second time everything is prepared.
        #expect(texts(ask(connection, segments)) == expected)
        #expect(connection.openings == 1)
        await server.stop()
    }

    @Test func aSlowStatementEndsByItsTimeoutAndALateRoundByItsDeadline() async throws {
        let server = try await LocalPostgres.start()
        let connection = PostgresConnection(try PostgresAddress(server.url()))
        let timeouts = PostgresTimeouts(statement: .milliseconds(100), lock: .milliseconds(50))
        let slow = ask(connection, [["SELECT 1", "SELECT pg_sleep(60)", "SELECT 2"]], timeouts: timeouts)
        #expect(texts(slow) == ["1", "timeout", "2"])
        let started = ContinuousClock.now
        let patient = PostgresTimeouts(statement: .seconds(60), lock: .seconds(60))
        let late = ask(
            connection, [["SELECT 1"], ["SELECT pg_sleep(60)"], ["SELECT 2"]], within: .milliseconds(300),
            timeouts: patient)
        // Half of what the statement sleeps.
        #expect(ContinuousClock.now - started < .seconds(30))
        #expect(texts(late) == ["1", "unanswered", "unanswered"])
        #expect(late.connectionError?.kind == .timeout)
        #expect(!connection.isReady)
        // The server was told to stop.
        let deadline = Deadline.after(.seconds(120))
        let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)' AND state = 'active'"
        while try await server.sql(sleeping) != "0\n", !deadline.hasPassed {}
        #expect(try await server.sql(sleeping) == "0\n")
        await server.stop()
    }

    @Test func parametersNullsAndTypesAreRead() async throws {
        let server = try await LocalPostgres.start()
        let connection = PostgresConnection(try PostgresAddress(server.url()))
        let query = PostgresQuery(
            name: "typed",
            sql: "SELECT $1::int + 1 AS a, $2::text AS b, true AS c, -1.5e3::float8 AS d, ''::text AS e, 'word' AS f",
            parameters: ["41", nil])
        let conversation = PostgresConversation(connection, segments: [[query]])
        PostgresRound.hold([conversation], by: .after(.seconds(10)))
        let rows = try #require(conversation.answers[0]?.rows)
        #expect(rows.number(0, 0) == 42)
        #expect(rows.isNull(0, 1) && rows.text(0, 1) == nil && rows.number(0, 1) == nil)
        #expect(rows.number(0, 2) == 1)
        #expect(rows.number(0, 3) == -1500)
        #expect(rows.text(0, 4) == "" && rows.number(0, 4) == nil)
        #expect(rows.number(0, 5) == nil && rows.text(0, 5) == "word")
        #expect(rows.column("d") == 3 && rows.column("z") == nil)
        var key: [UInt8] = []
        rows.appendKey(0, [1, 4, 5], to: &key)
        #expect(rows.matches(0, [1, 4, 5], key: key, from: 0, to: key.count))
        #expect(!rows.matches(0, [4, 1, 5], key: key, from: 0, to: key.count))
        await server.stop()
    }

    @Test func manyConnectionsWorkAtOnce() async throws {
        let server = try await LocalPostgres.start()
        let address = try PostgresAddress(server.url())
        let conversations = (0..<20).map { _ in
            PostgresConversation(
                PostgresConnection(address), segments: [[PostgresQuery(name: "s", sql: "SELECT pg_sleep(0.1)")]])
        }
        PostgresRound.hold(conversations, atOnce: 8, by: .after(.seconds(20)))
        #expect(conversations.allSatisfy { $0.answers[0]?.rows != nil })
        await server.stop()
    }

    @Test func namesThatAreGoneAreNotNeeded() async throws {
        let server = try await LocalPostgres.start()
        let connection = PostgresConnection(try PostgresAddress(server.url()))
        #expect(texts(ask(connection, [["SELECT 1"], ["SELECT 2"]])) == ["1", "2"])
        _ = ask(connection, [["DEALLOCATE ALL"]])
        #expect(texts(ask(connection, [["SELECT 1"], ["SELECT 2"]])) == ["1", "2"])
        #expect(connection.openings == 1)
        await server.stop()
    }

    @Test func loginsTellTheirCodeAndNotTheSource() {
        let words = """
            connection to server at "127.0.0.1", port 5432 failed: FATAL:  42501: permission denied for database "x"
            DETAIL:  User does not have CONNECT privilege.
            LOCATION:  CheckMyDatabase, postinit.c:367
            """
        let (message, state) = PostgresConnection.plain(words)
        #expect(state == "42501")
        #expect(
            message == "connection to server at \"127.0.0.1\", port 5432 failed: "
                + "FATAL:  permission denied for database \"x\"; DETAIL:  User does not have CONNECT privilege.")
    }
}
