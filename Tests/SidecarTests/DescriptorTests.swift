import LocalServers
import RedisTesting
import Runtime
import Testing

/// More clients than there are descriptors for.
@Suite struct DescriptorTests {
    private static let refusal = "-ERR max number of clients reached\r\n"

    private func start(limit: String) async throws -> (outrigger: RunningOutrigger, port: UInt16) {
        let port = FreePort.next()
        let outrigger = try await RunningOutrigger.start(
            ["--collect.min-age=0", "--redis-proxy.listen-address=127.0.0.1:\(port)"],
            wrapper: ["prlimit", "--nofile=\(limit)"])
        return (outrigger, port)
    }

    /// What each of so many clients hears, all of which stay.
    private func crowd(_ count: Int, at port: UInt16) throws -> (clients: [RawClient], answers: [String]) {
        var (clients, answers): ([RawClient], [String]) = ([], [])
        for _ in 0..<count {
            let client = try RawClient(port: port)
            clients.append(client)
            answers.append((try? client.ask("PING")) ?? "closed")
        }
        return (clients, answers)
    }

    @Test func aSoftLimitIsRaisedToTheHardOne() async throws {
        let (outrigger, port) = try await start(limit: "64:4096")
        let (clients, answers) = try crowd(100, at: port)
        #expect(answers.allSatisfy { $0 == "+PONG\r\n" })
        withExtendedLifetime(clients) {}
        await outrigger.stop()
    }

    @Test func oneTooManyIsToldSoAndTheNextComesInWhenOthersHaveGone() async throws {
        let (outrigger, port) = try await start(limit: "64:64")
        do {
            let (clients, answers) = try crowd(100, at: port)
            #expect(answers.contains("+PONG\r\n"))
            #expect(answers.last == Self.refusal)
            #expect(Set(answers).isSubset(of: ["+PONG\r\n", Self.refusal]))
            #expect(try await outrigger.get("/-/healthy").status == 200)
            // A page may still show a collection that was under way before.
            var page = ""
            let patience = Deadline.after(.seconds(30))
            while !page.contains("\noutrigger_redis_proxy_clients_refused_total 84\n"), !patience.hasPassed {
                page = try await outrigger.get("/metrics").body
            }
            #expect(page.contains("\noutrigger_redis_proxy_clients_refused_total 84\n"))
            #expect(page.contains("\noutrigger_redis_proxy_clients_limit 16\n"))
            withExtendedLifetime(clients) {}
        }
        let deadline = Deadline.after(.seconds(30))
        var answer = ""
        while answer != "+PONG\r\n", !deadline.hasPassed {
            let client = try RawClient(port: port)
            answer = (try? client.ask("PING")) ?? ""
        }
        #expect(answer == "+PONG\r\n")
        // The refusals are a few lines, however many there were.
        #expect(outrigger.log.split(separator: "\n").count { $0.contains("a client is refused") } < 84)
        await outrigger.stop()
    }
}
