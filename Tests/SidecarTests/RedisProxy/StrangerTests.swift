import LocalServers
import RedisTesting
import Runtime
import Testing

@testable import Sidecar

/// What a stranger sends, or sees, of the real binary.
@Suite(.timeLimit(.minutes(2))) struct RedisProxyStrangerTests {
    /// A Redis in memory, and a client of it.
    private func prove(
        _ yaml: String = "", _ proof: @escaping @Sendable (_ port: UInt16) throws -> Void,
        afterwards: (RunningOutrigger) async throws -> Void = { _ in }
    ) async throws {
        let port = FreePort.next()
        let outrigger = try await RunningOutrigger.start(
            yaml: "redis_proxy: {listen_address: \"127.0.0.1:\(port)\"\(yaml)}\n", environment: [:])
        try await ProxyUnderTest.untilOpen(port)
        try await OwnThread().run { try proof(port) }
        try await afterwards(outrigger)
        await outrigger.stop()
    }

    @Test(arguments: [
        "POST / HTTP/1.1\r\nHost: x\r\n\r\nSET a 1\r\n", "Host: x\r\nSET a 1\r\n",
        "*3\r\n$4\r\nPOST\r\n$1\r\n/\r\n$1\r\nx\r\nSET a 1\r\n", "MULTI\r\npost / x\r\nSET a 1\r\nEXEC\r\n",
        "QUIT\r\nSET a 1\r\n",
    ])
    func noCommandIsTakenOutOfWhatABrowserPosts(_ text: String) async throws {
        try await prove { port in
            let browser = try RawClient(port: port)
            browser.send(Array(text.utf8))
            _ = try browser.readToEnd()
            #expect(try RawClient(port: port).ask("DBSIZE") == ":0\r\n")
        }
    }

    @Test func whatATransactionQueuesCountsAsMemory() async throws {
        try await prove(", memory_bytes: 4MiB") { port in
            let (client, other) = (try RawClient(port: port), try RawClient(port: port))
            let value = String(repeating: "v", count: 60_000)
            let full = "-OOM command not allowed when used memory > 'maxmemory'.\r\n"
            for _ in 0..<2 {
                try client.ask("MULTI")
                var queued = 0
                while queued < 200, try client.ask("SET", "k\(queued)", value) == "+QUEUED\r\n" { queued += 1 }
                #expect((20..<90).contains(queued), "\(queued) of 60 KB in 4 MiB")
                // It is also missing for what others store, and watch, and queue.
                #expect(try other.ask("SET", "k", value + value) == full)
                #expect(try client.ask("EXEC").hasPrefix("-EXECABORT"))
                // What it held is free again.
                #expect(try other.ask("SET", "k", value + value) == "+OK\r\n")
                #expect(try other.ask("DEL", "k") == ":1\r\n")
            }
            // Small ones find room when everything is full.
            var stored = 0
            while try client.ask("SET", "s\(stored)", value) == "+OK\r\n" { stored += 1 }
            try client.ask("MULTI")
            for key in 0..<stored { #expect(try client.ask("DEL", "s\(key)") == "+QUEUED\r\n") }
            #expect(try client.ask("EXEC").hasPrefix("*\(stored)\r\n"))
            #expect(try client.ask("DBSIZE") == ":0\r\n")
        }
    }

    @Test func whoResetsBeforeThePasswordIsCountedOnce() async throws {
        try await prove(
            ", require_auth: true, users: [{name: default, password: right}]",
            { port in
                for _ in 0..<3 {
                    let client = try RawClient(port: port)
                    for _ in 0..<5 { #expect(try client.ask("RESET") == "+RESET\r\n") }
                    client.hangUp()
                    let other = try RawClient(port: port)
                    try other.ask("RESET")
                    #expect(try other.ask("AUTH", "right") == "+OK\r\n")
                    #expect(try other.ask("RESET") == "+RESET\r\n")
                }
            },
            afterwards: { outrigger in
                let deadline = Deadline.after(.seconds(30))
                var waiting = ""
                repeat {
                    waiting =
                        try await outrigger.get("/metrics").body.split(separator: "\n")
                        .first { $0.hasPrefix("outrigger_redis_proxy_clients_waiting ") }.map { String($0) } ?? ""
                } while !waiting.hasSuffix(" 0") && !deadline.hasPassed
                #expect(waiting.hasSuffix(" 0"), "\(waiting)")
            })
    }

    @Test func secretsOfTheCommandLineAreNotShown() async throws {
        let port = FreePort.next()
        let outrigger = try await RunningOutrigger.start(
            [
                "--redis-proxy.listen-address=127.0.0.1:\(port)",
                "--redis-proxy.upstream-url=redis://app:hunter2@127.0.0.1:1/3",
            ], environment: [:])
        let shown = try Files.readText("/proc/\(outrigger.process.pid)/cmdline")
        #expect(!shown.contains("hunter2") && shown.contains("redis://app:*******@127.0.0.1:1/3"), "\(shown)")
        await outrigger.stop()
    }

    @Test(arguments: [
        (["--a.password=hunter2", "x"], "--a.password=*******\0x\0"),
        (["--a.password", "hunter2", "--b=1"], "--a.password\0*******\0--b=1\0"),
        (["--a.password-file=/p", "--token=t"], "--a.password-file=/p\0--token=*\0"),
        (["--u=postgres://me:p%40w@h/d?x=1", "--v"], "--u=postgres://me:*****@h/d?x=1\0--v\0"),
        (
            ["--u=a://b@c:1,redis://:x@h", "host=h password=pw user=u"],
            "--u=a://b@c:1,redis://:*@h\0host=h password=** user=u\0"
        ),
        (["serve", "--config=/etc/a:b@c"], "serve\0--config=/etc/a:b@c\0"),
    ])
    func thePlacesOfSecretsAreFound(_ words: [String], _ shown: String) {
        var bytes = Array(words.joined(separator: "\0").utf8) + [0]
        for place in ShownArguments.secretPlaces(in: bytes) { bytes[place] = UInt8(ascii: "*") }
        #expect(String(decoding: bytes, as: UTF8.self) == shown)
    }
}
