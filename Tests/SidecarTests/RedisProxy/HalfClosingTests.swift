import Glibc
import LocalServers
import RedisTesting
import Runtime
import Testing

/// Clients that say that they are done before they have read the replies, as `printf … | nc` does.
@Suite struct RedisProxyHalfClosingTests {
    @Test(arguments: ProxyVariant.all) func whoHasFinishedSendingIsAnsweredStill(_ variant: ProxyVariant) async throws {
        let proxy = try await ProxyUnderTest.start(variant)
        let (inside, outside) = (proxy.port, proxy.redis.port)
        try await OwnThread().run {
            for bytes in [
                command("PING"), command("SET", "a", "1") + command("GET", "a") + command("PING"),
                Array("PING\r\n".utf8),
                command("MULTI") + command("GET", "a") + command("EXEC"), command("SELECT", "0") + command("GET", "a"),
            ] {
                let answers = try [inside, outside].map { port in
                    let client = try RawClient(port: port)
                    client.send(bytes)
                    client.finishSending()
                    return try client.readToEnd()
                }
                #expect(
                    answers[0] == answers[1], "\(readable(bytes)): \(readable(answers[0])), \(readable(answers[1]))")
            }
        }
        await proxy.stop()
    }
}
