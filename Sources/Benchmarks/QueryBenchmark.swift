import Glibc
import LocalServers
import Metrics
import PromQL
import Runtime

/// The shipped rules' expressions as instant queries, asked of Outrigger and of a Prometheus that scrapes it, in turns.
enum QueryBenchmark {
    private static let rounds = 15

    @Sendable static func run() async throws {
        let postgres = try await LocalPostgres.start(settings: ["shared_preload_libraries = 'pg_stat_statements'"])
        let redis = try await LocalRedis.start()
        let folder = try TemporaryFolder("outrigger-bench")
        let port = FreePort.next()
        let outrigger = try await LocalServer.start(
            Benchmarks.outrigger,
            ["serve", "--web.listen-address=127.0.0.1:\(port)", "--history.interval=1", "--collect.min-age=0"],
            folder: folder,
            port: port, environment: ["DATABASE_URL": postgres.url(), "REDIS_URL": redis.url]
        ) { FreePort.isOpen(port) }
        let prometheus = try await LocalPrometheus.start(scraping: port)
        // A minute of samples on both sides.
        try await Task.sleep(for: .seconds(60))

        let (ours, theirs) = (Scraper(port: port), Scraper(port: prometheus.port))
        var ratios: [Double] = []
        var (ourTimes, theirTimes): ([Double], [Double]) = ([], [])
        for expression in try shippedExpressions() {
            let path = "/api/v1/query?query=" + percentEncoded(expression)
            var (mine, other): ([Double], [Double]) = ([], [])
            for _ in 0..<rounds {
                mine.append(try ours.scrape(path).took.seconds * 1e6)
                other.append(try theirs.scrape(path).took.seconds * 1e6)
            }
            ourTimes.append(mine.quantile(0.5))
            theirTimes.append(other.quantile(0.5))
            ratios.append(mine.quantile(0.5) / other.quantile(0.5))
        }
        Comparison.printTable(
            "\(ratios.count) expressions of alerts/",
            [
                Comparison(
                    name: "instant query over HTTP, median of the medians", ours: ourTimes.quantile(0.5),
                    theirs: theirTimes.quantile(0.5), unit: "µs", target: 1),
                Comparison(
                    name: "the slowest of ours", ours: ourTimes.max() ?? 0, theirs: theirTimes.max() ?? 0, unit: "µs",
                    target: 1),
            ])
        print(
            "ratio by expression: best \(ratios.min() ?? 0), median \(ratios.quantile(0.5)), worst \(ratios.max() ?? 0)\n"
        )
        await prometheus.stop()
        await outrigger.process.stop()
        await postgres.stop()
        await redis.stop()
    }

    private static func shippedExpressions() throws -> [String] {
        var expressions: [String] = []
        for name in try Files.list("alerts") where name.hasSuffix(".yml") {
            let groups = try YAML.parse(try Files.read("alerts/" + name))?["groups"]?.items ?? []
            expressions += groups.flatMap { $0["rules"]?.items ?? [] }.compactMap { $0["expr"]?.text }
        }
        return expressions
    }

    private static func percentEncoded(_ text: String) -> String {
        text.utf8.map { byte in
            let character = Character(UnicodeScalar(byte))
            if character.isASCII, character.isLetter || character.isNumber { return String(character) }
            let digits = String(byte, radix: 16, uppercase: true)
            return "%" + (digits.count == 1 ? "0" : "") + digits
        }.joined()
    }
}
