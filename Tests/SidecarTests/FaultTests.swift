import Glibc
import LocalServers
import Network
import Runtime
import Testing

/// Servers that are down, stopped, full or locked, and clients that behave badly: there is always an answer in time.
@Suite struct FaultTests {
    /// A page, and that it came inside the time-out that the scrape gave.
    private func scrape(_ outrigger: RunningOutrigger, timeoutSeconds: Int = 3) async throws -> String {
        let began = ContinuousClock.now
        let answer = try await outrigger.get(
            "/metrics", ["-H", "X-Prometheus-Scrape-Timeout-Seconds: \(timeoutSeconds)"])
        let took = ContinuousClock.now - began
        // What starting a client costs beside it, on this machine and now.
        let plain = try await ContinuousClock().measure {
            _ = try await LocalServer.run("curl", ["--version"], folder: outrigger.folder)
        }
        #expect(took < .seconds(timeoutSeconds) + plain * 10, "later than the scrape's time-out")
        #expect(answer.status == 200)
        return answer.body
    }

    private func waitFor(_ line: String, from outrigger: RunningOutrigger) async throws {
        let deadline = Deadline.after(.seconds(120))
        var page = ""
        repeat {
            page = try await scrape(outrigger)
            if page.split(separator: "\n").contains(Substring(line)) { return }
        } while !deadline.hasPassed
        Issue.record("\(line) did not come; the log says: \(outrigger.log.suffix(600))")
    }

    @Test func serversThatAreDownAndComeBack() async throws {
        let postgres = try await LocalPostgres.start()
        let redis = try await LocalRedis.start()
        let outrigger = try await RunningOutrigger.start(environment: [
            "DATABASE_URL": postgres.url(), "REDIS_URL": redis.url,
        ])
        try await waitFor("pg_up 1", from: outrigger)
        try await waitFor("redis_up 1", from: outrigger)
        await postgres.stop()
        await redis.stop()
        try await waitFor("pg_up 0", from: outrigger)
        try await waitFor("redis_up 0", from: outrigger)
        let (postgresAgain, redisAgain) = (try await postgres.restarted(), try await redis.restarted())
        try await waitFor("pg_up 1", from: outrigger)
        try await waitFor("redis_up 1", from: outrigger)
        await outrigger.stop()
        await postgresAgain.stop()
        await redisAgain.stop()
    }

    @Test func serversThatAreStoppedCostOnlyTheirOwnMetrics() async throws {
        let postgres = try await LocalPostgres.start()
        let redis = try await LocalRedis.start()
        let outrigger = try await RunningOutrigger.start(
            ["--collect.min-age=0"], environment: ["DATABASE_URL": postgres.url(), "REDIS_URL": redis.url])
        try await waitFor("pg_up 1", from: outrigger)
        let backends = try postgres.processIDs()
        for pid in backends { kill(pid, SIGSTOP) }
        redis.server.process.signal(SIGSTOP)
        for _ in 0..<3 {
            let page = try await scrape(outrigger)
            #expect(page.contains("pg_up 0\n"))
            #expect(page.contains("redis_up 0\n"))
            #expect(page.contains("process_resident_memory_bytes "))
        }
        for pid in backends { kill(pid, SIGCONT) }
        redis.server.process.signal(SIGCONT)
        try await waitFor("pg_up 1", from: outrigger)
        try await waitFor("redis_up 1", from: outrigger)
        await outrigger.stop()
        await postgres.stop()
        await redis.stop()
    }

    @Test func refusedLoginsAndFullServersAreDown() async throws {
        let postgres = try await LocalPostgres.start(settings: [
            "max_connections = 10", "superuser_reserved_connections = 1",
        ])
        try await postgres.sql("CREATE ROLE watcher LOGIN; GRANT pg_monitor TO watcher; CREATE ROLE hog LOGIN")
        let redis = try await LocalRedis.start(["--requirepass", "s3cret-of-redis"])
        let outrigger = try await RunningOutrigger.start(
            ["--collect.min-age=0"],
            environment: [
                "DATABASE_URL": "postgresql://watcher:s3cret-of-postgres@127.0.0.1:\(postgres.port)/nowhere",
                "REDIS_URL": "redis://:wr0ng-password@127.0.0.1:\(redis.port)",
            ])
        let page = try await scrape(outrigger)
        #expect(page.contains("pg_up 0\n"))
        #expect(page.contains("redis_up 0\n"))
        #expect(!(page + outrigger.log).contains("s3cret"))
        #expect(!(page + outrigger.log).contains("wr0ng"))
        await outrigger.stop()

        // One after the other: the connection that counts takes a place, too, so one may find none and has to come again.
        var sleepers: [ChildProcess] = []
        let patience = Deadline.after(.seconds(120))
        var connected = ""
        while connected != "9\n" {
            try #require(!patience.hasPassed, "the server never fills up: \(connected)")
            if connected == "\(sleepers.count)\n" || sleepers.isEmpty || sleepers.last?.exitCode != nil {
                if sleepers.last?.exitCode != nil { sleepers.removeLast() }
                sleepers.append(
                    try ChildProcess(
                        postgres.programs + "/psql", ["-X", "-c", "SELECT pg_sleep(600)", postgres.url(user: "hog")]))
            }
            connected = try await postgres.sql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'hog'")
        }
        let full = try await RunningOutrigger.start(
            ["--collect.min-age=0"], environment: ["DATABASE_URL": postgres.url(user: "watcher")])
        try await waitFor("pg_up 0", from: full)
        for sleeper in sleepers { await sleeper.stop() }
        // A backend that sleeps does not see that its client has gone.
        try await postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'hog'")
        try await waitFor("pg_up 1", from: full)
        await full.stop()
        await postgres.stop()
        await redis.stop()
    }

    @Test func aLockedTableDelaysNothing() async throws {
        let postgres = try await LocalPostgres.start()
        try await postgres.sql("CREATE TABLE orders (id int); CREATE TABLE free (id int)")
        let outrigger = try await RunningOutrigger.start(
            ["--collect.min-age=0"], environment: ["DATABASE_URL": postgres.url()])
        let holder = try ChildProcess(
            postgres.programs + "/psql",
            ["-X", "-c", "BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(600)", postgres.url()])
        try await waitFor(#"pg_locks_count{datname="postgres",mode="accessexclusivelock"} 1"#, from: outrigger)
        let page = try await scrape(outrigger)
        #expect(page.contains("pg_up 1\n"))
        #expect(page.contains(#"relname="free""#))
        #expect(page.contains(#"pg_scrape_collector_success{collector="stat_user_tables"} 1"#))
        await holder.stop()
        await outrigger.stop()
        await postgres.stop()
    }

    @Test func awkwardNamesAreServedAsLabels() async throws {
        let postgres = try await LocalPostgres.start()
        try await postgres.sql(#"CREATE DATABASE "we\ird ""quoted"" name""#)
        try await postgres.sql("CREATE DATABASE \"two\nlines\"")
        // A name may hold bytes that are no UTF-8: SQL_ASCII databases do not look.
        try await postgres.sql(
            #"CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"#)
        let redis = try await LocalRedis.start()
        try await LocalServer.run(
            "sh", ["-c", #"printf 'SET "bad\\xff\\"name\\n" v\r\n' | redis-cli -p \#(redis.port)"#],
            folder: redis.server.folder)
        let outrigger = try await RunningOutrigger.start(
            ["--redis.check-keys=bad*"], environment: ["DATABASE_URL": postgres.url(), "REDIS_URL": redis.url])
        let page = try await scrape(outrigger)
        #expect(page.contains(#"datname="we\\ird \"quoted\" name""#))
        #expect(page.contains(#"datname="two\nlines""#))
        #expect(page.contains("key=\"bad\u{FFFD}\\\"name\\n\""))
        try await expectPrometheusReads(page)
        await outrigger.stop()
        await postgres.stop()
        await redis.stop()
    }

    /// The text must hold for Debian's own parser; lint about borrowed names is not its business here.
    private func expectPrometheusReads(_ page: String) async throws {
        let folder = try TemporaryFolder("outrigger-test")
        try Files.write(page, to: folder.path + "/page")
        let process = try ChildProcess(
            "sh", ["-c", "promtool check metrics < '\(folder.path)/page'"], output: folder.path + "/out")
        let status = try await process.exited(within: .seconds(120))
        let text = try Files.readText(folder.path + "/out")
        #expect(status != 1, "promtool: \(text)")
    }

    @Test func twoHundredScrapesAtOnceAndAVerySlowReader() async throws {
        let postgres = try await LocalPostgres.start()
        let redis = try await LocalRedis.start()
        let outrigger = try await RunningOutrigger.start(environment: [
            "DATABASE_URL": postgres.url(), "REDIS_URL": redis.url,
        ])
        try await waitFor("pg_up 1", from: outrigger)
        let slow = try SlowReader(port: outrigger.port)
        try await floodOnce(outrigger)
        let before = usage(of: outrigger)
        for _ in 0..<3 { try await floodOnce(outrigger) }
        let after = usage(of: outrigger)
        #expect(after.files <= before.files + 2, "\(before) then \(after)")
        #expect(after.threads <= before.threads, "\(before) then \(after)")
        #expect(after.residentBytes < before.residentBytes + 8 << 20, "\(before) then \(after)")
        let connections = try await postgres.sql(
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")
        // Ours, and the one that asks.
        #expect(connections == "2\n")
        #expect(slow.readOneByte())
        await outrigger.stop()
        await postgres.stop()
        await redis.stop()
    }

    private func floodOnce(_ outrigger: RunningOutrigger) async throws {
        let folder = try TemporaryFolder("outrigger-test")
        let urls = (0..<200).map { _ in "url = \"\(outrigger.url)/metrics\"\noutput = \"/dev/null\"\n" }.joined()
        try Files.write(urls, to: folder.path + "/urls")
        let codes = try await LocalServer.run(
            "curl",
            [
                "-sS", "--parallel", "--parallel-immediate", "--parallel-max", "200", "--max-time", "120", "-w",
                "%{http_code}\n",
                "-K", folder.path + "/urls",
            ],
            folder: folder)
        #expect(codes.split(separator: "\n").filter { $0 == "200" }.count == 200)
    }

    private struct Usage {
        let files: Int
        let threads: Int
        let residentBytes: Int
    }

    private func usage(of outrigger: RunningOutrigger) -> Usage {
        let pid = outrigger.process.pid
        let status = (try? Files.readText("/proc/\(pid)/status")) ?? ""
        let resident = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }?.split(separator: " ").dropFirst()
            .first
        return Usage(
            files: (try? Files.list("/proc/\(pid)/fd"))?.count ?? 0,
            threads: (try? Files.list("/proc/\(pid)/task"))?.count ?? 0,
            residentBytes: (resident.flatMap { Int($0) } ?? 0) * 1024)
    }

    @Test func manyTablesAndDatabasesAreServed() async throws {
        let postgres = try await LocalPostgres.start(settings: [
            "max_connections = 200", "max_locks_per_transaction = 4096",
        ])
        try await postgres.sql(
            "DO $$ BEGIN FOR i IN 1..2000 LOOP EXECUTE format('CREATE TABLE t%s (id int)', i); END LOOP; END $$")
        for index in 0..<100 { try await postgres.sql("CREATE DATABASE d\(index) STRATEGY file_copy") }
        let outrigger = try await RunningOutrigger.start(
            ["--collect.min-age=0", "--postgres.auto-discover-databases"], environment: ["DATABASE_URL": postgres.url()]
        )
        _ = try await scrape(outrigger, timeoutSeconds: 50)
        let page = try await scrape(outrigger, timeoutSeconds: 50)
        let lines = page.split(separator: "\n")
        #expect(lines.filter { $0.hasPrefix("pg_stat_user_tables_seq_scan{") }.count == 2000)
        #expect(lines.filter { $0.hasPrefix("pg_database_size_bytes{") }.count == 103)
        #expect(page.contains("pg_up 1\n"))
        await outrigger.stop()
        await postgres.stop()
    }
}

/// A client that asks for the metrics and takes what its tiny buffer holds, then one byte when told to.
private final class SlowReader {
    private let connection: Int32

    init(port: UInt16) throws {
        connection = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var tiny: Int32 = 1024
        setsockopt(connection, SOL_SOCKET, SO_RCVBUF, &tiny, socklen_t(MemoryLayout<Int32>.size))
        let connected = LoopbackAddress.with(port: port) { connect(connection, $0, $1) }
        try #require(connected == 0)
        let request = Array("GET /metrics HTTP/1.1\r\nHost: slow\r\n\r\n".utf8)
        try #require(send(connection, request, request.count, 0) == request.count)
    }

    deinit { close(connection) }

    func readOneByte() -> Bool {
        var byte: UInt8 = 0
        return recv(connection, &byte, 1, 0) == 1
    }
}

extension LocalPostgres {
    /// The postmaster and everything it has started.
    func processIDs() throws -> [pid_t] {
        let parent = server.process.pid
        let children = try Files.readText("/proc/\(parent)/task/\(parent)/children").split(separator: " ").compactMap {
            pid_t($0)
        }
        return [parent] + children
    }
}
