import LocalServers
import Runtime
import Testing

@Suite struct LocalServersTests {
    @Test func postgresAnswersAndLeavesNothingBehind() async throws {
        var folder = ""
        do {
            let postgres = try await LocalPostgres.start()
            folder = postgres.server.folder.path
            #expect(try await postgres.sql("SELECT 40 + 2") == "42\n")
            await postgres.stop()
            let again = try await postgres.restarted()
            #expect(try await again.sql("SELECT 1") == "1\n")
            await again.stop()
        }
        #expect(!Files.exists(folder))
    }

    @Test func redisAnswersAndLeavesNothingBehind() async throws {
        var folder = ""
        do {
            let redis = try await LocalRedis.start()
            folder = redis.server.folder.path
            #expect(try await redis.command("PING") == "PONG\n")
            await redis.stop()
        }
        #expect(!Files.exists(folder))
    }
}
