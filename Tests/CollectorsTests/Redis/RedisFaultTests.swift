import Databases
import Foundation
import LocalServers
import Metrics
import Runtime
import Synchronization
import Testing

@testable import Collectors

/// Whatever a Redis does, there is an answer within the round's time, and it says what is wrong.
@Suite struct RedisFaultTests {
    private static func failed(_ page: ExporterPage, _ errorClass: String) -> Bool {
        page["redis_up"] == "0" && page["outrigger_collector_success{collector=\"redis\"}"] == "0"
            && page["outrigger_collector_last_error{class=\"\(errorClass)\",collector=\"redis\"}"] == "1"
            && page.values.contains { $0.key.hasPrefix("redis_exporter_last_scrape_error{err=\"") && $0.value == "1" }
    }

    @Test func aServerThatIsDownIsToldAtOnceAndFoundAgain() async throws {
        let redis = try await LocalRedis.start()
        let target = try RedisTarget(redis)
        #expect(await target.page()["redis_up"] == "1")

        await redis.stop()
        let down = await target.page()
        #expect(try #require(down.number("redis_exporter_last_scrape_duration_seconds")) < 2)
        #expect(Self.failed(down, "connection"))
        #expect(down.types["redis_memory_used_bytes"] == nil)
        #expect(down["redis_exporter_scrapes_total"] == "2")

        let again = try await redis.restarted()
        let up = await target.page()
        #expect(up["redis_up"] == "1")
        #expect(up["redis_exporter_last_scrape_error"] == "0")
        #expect(up["outrigger_collector_last_error{class=\"connection\",collector=\"redis\"}"] == "0")
        await again.stop()
    }

    @Test func aRestartBetweenTwoScrapesIsNotNoticed() async throws {
        let redis = try await LocalRedis.start()
        let target = try RedisTarget(redis)
        _ = await target.page()
        await redis.stop()
        let again = try await redis.restarted()

        let page = await target.page()

        #expect(page["redis_up"] == "1")
        #expect(page["outrigger_redis_connects_total"] == "2")
        await again.stop()
    }

    @Test func aStoppedServerIsGivenUpInTime() async throws {
        let redis = try await LocalRedis.start()
        let target = try RedisTarget(redis)
        #expect(await target.page()["redis_up"] == "1")
        redis.server.process.signal(SIGSTOP)

        for _ in 1...2 {
            let page = await target.page(within: .milliseconds(500))
            #expect(Self.failed(page, "timeout"))
            // By the target's own clock: the test itself may wait for its turn on a machine that runs all tests at once.
            #expect(try #require(page.number("redis_exporter_last_scrape_duration_seconds")) < 2)
        }

        redis.server.process.signal(SIGCONT)
        #expect(await target.page()["redis_up"] == "1")
        await redis.stop()
    }

    /// Through the registry, as it is served: a target that is late is replaced, and nothing else suffers.
    @Test func theRegistryAnswersWhileATargetHangs() async throws {
        let redis = try await LocalRedis.start()
        let registry = Registry(minAge: .zero, seriesLimit: 10_000)
        registry.add(try RedisTarget(redis))
        registry.add(ProcessSource())
        redis.server.process.signal(SIGSTOP)

        let snapshot = await registry.gather(by: .after(.milliseconds(300)))
        let page = ExporterPage(String(decoding: Exposition.encode(snapshot, as: .text).page, as: UTF8.self))

        #expect(page["redis_up"] == "0")
        #expect(page["process_max_fds"] != nil)
        redis.server.process.signal(SIGCONT)
        await redis.stop()
    }

    @Test func whatIsServedInPlaceOfALateAnswerFailsEverything() async throws {
        let redis = try await LocalRedis.start()
        let target = try RedisTarget(redis, name: "main")
        let round = CollectionRound(deadline: .after(.seconds(1)))
        let never = ExporterPage(target.collectedWhenLate(round))
        #expect(never["redis_up{target=\"main\"}"] == "0")
        #expect(never["outrigger_collector_success{collector=\"redis\",target=\"main\"}"] == "0")

        _ = await target.page()
        let late = ExporterPage(target.collectedWhenLate(round))
        #expect(late["redis_up{target=\"main\"}"] == "0")
        #expect(late["outrigger_collector_success{collector=\"redis_slowlog\",target=\"main\"}"] == "0")
        await redis.stop()
    }

    @Test func refusedLoginsAreToldWithoutThePassword() async throws {
        let redis = try await LocalRedis.start(["--requirepass", "right"])
        let without = RedisTarget(address: try RedisAddress(parsing: redis.url))
        let wrong = RedisTarget(address: try RedisAddress(parsing: "redis://:hunter2@127.0.0.1:\(redis.port)"))
        let right = RedisTarget(address: try RedisAddress(parsing: "redis://:right@127.0.0.1:\(redis.port)"))

        let noauth = await without.page()
        #expect(Self.failed(noauth, "permission"))
        #expect(noauth.values.keys.contains { $0.contains("NOAUTH") })
        let wrongpass = await wrong.page()
        #expect(Self.failed(wrongpass, "permission"))
        #expect(wrongpass.values.keys.contains { $0.contains("WRONGPASS") })
        #expect(!wrongpass.values.keys.contains { $0.contains("hunter2") })
        #expect(await right.page()["redis_up"] == "1")
        await redis.stop()
    }

    @Test func aFullServerIsToldAndTriedAgain() async throws {
        let redis = try await LocalRedis.start(["--maxclients", "1"])
        let holder = RedisTarget(address: try RedisAddress(parsing: redis.url))
        // The connection that found the port open may still count.
        let deadline = Deadline.after(.seconds(120))
        while await holder.page()["redis_up"] != "1" { try #require(!deadline.hasPassed) }
        let target = try RedisTarget(redis)

        let page = await target.page()

        #expect(Self.failed(page, "connection"))
        #expect(page.values.keys.contains { $0.contains("max number of clients") })
        #expect(await holder.page()["redis_up"] == "1")
        await redis.stop()
    }

    /// A role that may do next to nothing still brings INFO, and what is refused is asked for only once.
    @Test func whatARoleMayNotAskIsAskedOnceAndToldAsPermission() async throws {
        let redis = try await LocalRedis.start()
        try await redis.command("ACL", "SETUSER", "reader", "on", ">pw", "-@all", "+info", "+client|setname")
        let target = RedisTarget(address: try RedisAddress(parsing: "redis://reader:pw@127.0.0.1:\(redis.port)"))
        _ = await target.page()
        let second = await target.page()

        #expect(second["redis_up"] == "1")
        #expect(second["redis_db_keys{db=\"db15\"}"] == "0")
        for collector in ["redis_config", "redis_latency", "redis_slowlog"] {
            #expect(second["outrigger_collector_success{collector=\"\(collector)\"}"] == "0")
            #expect(second["outrigger_collector_last_error{class=\"permission\",collector=\"\(collector)\"}"] == "1")
        }
        #expect(second.number("redis_total_error_replies") == 5)
        #expect(await target.page().number("redis_total_error_replies") == 5)
        await redis.stop()
    }

    @Test func renamedCommandsAreMissedAndNothingElse() async throws {
        let redis = try await LocalRedis.start([
            "--rename-command", "CONFIG", "", "--rename-command", "SLOWLOG", "", "--rename-command", "LATENCY", "",
        ])
        let target = try RedisTarget(redis)
        let page = await target.page()

        #expect(page["redis_up"] == "1")
        #expect(page["redis_db_keys{db=\"db15\"}"] == "0")
        #expect(page["redis_slowlog_length"] == nil)
        for collector in ["redis_config", "redis_latency", "redis_slowlog"] {
            #expect(page["outrigger_collector_last_error{class=\"missing\",collector=\"\(collector)\"}"] == "1")
        }
        let errors = await target.page()["redis_total_error_replies"]
        #expect(await target.page()["redis_total_error_replies"] == errors)
        await redis.stop()
    }

    @Test func aRenamedConfigIsFoundByItsNewName() async throws {
        let redis = try await LocalRedis.start(["--rename-command", "CONFIG", "SETTINGS"])
        var options = RedisOptions()
        options.configCommand = "SETTINGS"
        #expect(try await RedisTarget(redis, options).page()["redis_config_maxclients"] != nil)
        options.configCommand = "-"
        let without = try await RedisTarget(redis, options).page()
        #expect(without["redis_config_maxclients"] == nil)
        #expect(without["outrigger_collector_success{collector=\"redis_config\"}"] == nil)
        await redis.stop()
    }

    @Test(arguments: ["no info at all", "", "# Server\r\n# Clients\r\n", "\u{0}\u{1}\u{2}"])
    func anInfoThatIsNoneIsADownServer(info: String) async throws {
        let server = try ScriptedRedis { words in words[0] == "INFO" ? .bulk(info) : .error("ERR unknown command") }
        let target = RedisTarget(address: try RedisAddress(parsing: server.url))
        #expect(Self.failed(await target.page(), "protocol"))
    }

    @Test func garbageBetweenGoodLinesCostsOnlyItself() async throws {
        var info = Array("redis_version:7.0.0\r\nused_memory:77\r\n".utf8)
        info += [0xFF, 0xFE, 0x3A, 0x80, 0x0A]
        info += Array("# Commandstats\r\ncmdstat_\u{7}\"\\:calls=1,usec=1\r\ncmdstat_get:calls=,usec=1\r\n".utf8)
        info += Array("# Keyspace\r\ndb0:keys=1,expires=1\r\ndb0:keys=1,expires=1\r\n".utf8)
        let text = info
        let server = try ScriptedRedis { words in words[0] == "INFO" ? .bulk(text) : .error("ERR unknown command") }
        let target = RedisTarget(address: try RedisAddress(parsing: server.url))

        let page = await target.page()

        #expect(page["redis_up"] == "1")
        #expect(page["redis_memory_used_bytes"] == "77")
        #expect(page["redis_db_keys{db=\"db0\"}"] == "1")
        #expect(page["redis_commands_total{cmd=\"\u{7}\\\"\\\\\"}"] == "1")
        #expect(page.duplicates.isEmpty)
    }

    @Test func aServerThatHasNothingForAllIsAskedForItsUsualInfo() async throws {
        let server = try ScriptedRedis { words in
            switch words {
            case ["INFO", "ALL"]: .bulk("")
            case ["INFO"]: .bulk("used_memory:5\r\n")
            case ["INFO", "SERVER"]: .error("ERR syntax error")
            default: .error("ERR unknown command '\(words[0])'")
            }
        }
        let target = RedisTarget(address: try RedisAddress(parsing: server.url))
        #expect(await target.page()["redis_memory_used_bytes"] == "5")
    }

    @Test(arguments: ["LOADING Redis is loading the dataset in memory", "BUSY Redis is busy running a script"])
    func aServerThatIsBusyIsAskedAgainNextTime(reason: String) async throws {
        let isBusy = Mutex(true)
        let server = try ScriptedRedis { words in
            if words == ["INFO", "SERVER"] { return .bulk("redis_version:7.0.0") }
            if isBusy.withLock({ $0 }) { return .error(reason) }
            return words[0] == "INFO" ? .bulk("used_memory:5\r\n") : .error("ERR unknown command")
        }
        let target = RedisTarget(address: try RedisAddress(parsing: server.url))
        #expect(Self.failed(await target.page(), "other"))
        isBusy.withLock { $0 = false }
        #expect(await target.page()["redis_up"] == "1")
    }

    @Test func aCheckThatHangsLeavesTheRestOfTheScrape() async throws {
        let server = try ScriptedRedis { words in
            switch words[0] {
            case "INFO": .bulk("redis_version:7.0.0\r\nused_memory:5\r\n")
            case "SCAN": .silence
            default: .error("ERR unknown command")
            }
        }
        var options = RedisOptions()
        options.countKeys = try DatabaseKey.list("*")
        options.checkStreams = try DatabaseKey.list("*")
        let target = RedisTarget(address: try RedisAddress(parsing: server.url), options: options)
        let page = await target.page(within: .milliseconds(500))
        #expect(try #require(page.number("redis_exporter_last_scrape_duration_seconds")) < 2)
        #expect(page["redis_up"] == "1")
        #expect(page["redis_memory_used_bytes"] == "5")
        for collector in ["redis_key_count", "redis_streams"] {
            #expect(page["outrigger_collector_last_error{class=\"timeout\",collector=\"\(collector)\"}"] == "1")
        }
    }

    @Test func aScanThatNeverEndsIsBounded() async throws {
        let server = try ScriptedRedis { words in
            switch words[0] {
            case "INFO": .bulk("redis_version:7.0.0\r\nused_memory:5\r\n")
            case "SCAN": .bytes(Array("*2\r\n$1\r\n7\r\n*1\r\n$1\r\na\r\n".utf8))
            default: .error("ERR unknown command")
            }
        }
        var options = RedisOptions()
        options.checkKeys = try DatabaseKey.list("*")
        options.scanKeysLimit = 10_000
        let target = RedisTarget(address: try RedisAddress(parsing: server.url), options: options)
        #expect(await target.page()["redis_up"] == "1")
        let scans = server.commands.count { $0[0] == "SCAN" }
        #expect(scans > 0 && scans <= 10)
    }

    @Test func brokenAndQuotedNamesAreServedAsTextThatPrometheusReads() async throws {
        let redis = try await LocalRedis.start()
        let connection = try RedisConnection(
            to: try RedisAddress(parsing: redis.url), clientName: "we\"ird\\=name", by: .after(.seconds(5)))
        let names: [[UInt8]] = [
            [0x6B, 0xFF, 0xFE], Array("k\"quoted\"\\".utf8), Array("k\nline".utf8), Array("k ☃".utf8),
        ]
        _ = try connection.pipeline(
            names.map { RedisCommand([Array("SET".utf8), $0, [0xC3, 0x28]], name: "SET") }, by: .after(.seconds(5)))
        var options = RedisOptions()
        options.checkKeys = try DatabaseKey.list("k*")
        options.exportClientList = true
        let target = try RedisTarget(redis, options)
        let collected = await target.collect(CollectionRound(deadline: .after(.seconds(5))))
        let bytes = Exposition.encode(Snapshot(families: collected.flatMap(\.families)), as: .text).page

        let text = try #require(String(validating: bytes, as: UTF8.self))
        let page = ExporterPage(text)
        #expect(page["redis_key_size{db=\"db0\",key=\"k\u{FFFD}\u{FFFD}\"}"] == "2")
        #expect(page["redis_key_size{db=\"db0\",key=\"k\\\"quoted\\\"\\\\\"}"] == "2")
        #expect(page["redis_key_size{db=\"db0\",key=\"k\\nline\"}"] == "2")
        #expect(page["redis_key_size{db=\"db0\",key=\"k ☃\"}"] == "2")
        #expect(
            page.values.keys.contains {
                $0.hasPrefix("redis_connected_client_info{") && $0.contains("we\\\"ird\\\\=name")
            })
        try await Self.promtoolAccepts(text)
        await redis.stop()
    }

    private static func promtoolAccepts(_ text: String) async throws {
        guard Files.exists("/usr/bin/promtool") else {
            print("skipped: promtool is not installed: apt-get install prometheus")
            return
        }
        let folder = try TemporaryFolder("outrigger-promtool")
        try Files.write(text, to: folder.path + "/page")
        // Lint warnings end with 3: redis_exporter's names have many. A page that cannot be read ends with 1.
        let output = try await LocalServer.run(
            "sh", ["-c", "promtool check metrics < page; test $? -ne 1"], folder: folder)
        #expect(!output.contains("error while linting"))
    }

    @Test func nothingIsLeakedByFailures() async throws {
        let redis = try await LocalRedis.start(["--requirepass", "right"])
        func openFiles() throws -> Int { try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count }
        func cycle() async throws {
            let addresses = [
                redis.url, "redis://:wrong@127.0.0.1:\(redis.port)", "redis://127.0.0.1:\(FreePort.next())",
                "redis://:right@127.0.0.1:\(redis.port)", "unix:///nowhere.sock", "rediss://127.0.0.1:1",
            ]
            for address in addresses {
                _ = await RedisTarget(address: try RedisAddress(parsing: address)).page()
            }
        }
        try await cycle()
        let files = try openFiles()
        for _ in 1...20 { try await cycle() }
        // Other tests run beside this one and hold files of their own.
        #expect(try openFiles() < files + 60)
        await redis.stop()
    }
}
