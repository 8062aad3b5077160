import Glibc
import Runtime

/// `make bench`: measures Outrigger beside what people use today, on the same servers in the same run.
@main
enum Benchmarks {
    /// A benchmark is a row here and a file beside this one.
    static let all: [(name: String, summary: String, run: @Sendable () async throws -> Void)] = [
        ("scrape", "Outrigger beside postgres_exporter and redis_exporter", ScrapeBenchmark.run),
        ("query", "PromQL beside a Prometheus with the same data", QueryBenchmark.run),
        ("rules", "an evaluation of many rules over many series", RulesBenchmark.run),
        ("history", "bytes and time a sample of the history", HistoryBenchmark.run),
        ("statsd", "Outrigger beside netdata's StatsD server", StatsDBenchmark.run),
        ("redis-proxy", "the Redis proxy beside Redis itself and twemproxy", RedisProxyBenchmark.run),
        ("postgres-proxy", "the Postgres proxy beside Postgres itself and PgBouncer", PostgresProxyBenchmark.run),
        ("gateway", "the gateway beside nginx and HAProxy", GatewayBenchmark.run),
        ("cache-hits", "hit ratios of the local cache's policies", CacheBenchmark.hits),
        ("cache-time", "time per operation of the local cache", CacheBenchmark.time),
        ("cache-memory", "what an entry costs beside its key and value", CacheBenchmark.memory),
    ]

    /// What a benchmark starts this program again for.
    private static let parts: [(argument: String, run: @Sendable (Substring) throws -> Void)] = [
        (RulesBenchmark.evaluationsOnly, { try RulesBenchmark.evaluate(Int($0) ?? 1) }),
        (DelayRelay.argument, DelayRelay.serve),
        (CannedServer.argument, CannedServer.serve),
    ]

    static func main() async {
        let wanted = CommandLine.arguments.dropFirst()
        if let word = wanted.first, let part = parts.first(where: { word.hasPrefix($0.argument) }) {
            do { try part.run(word.dropFirst(part.argument.count)) } catch {
                print("\(word): \(error)")
                exit(1)
            }
            return
        }
        for benchmark in all where wanted.isEmpty || wanted.contains(benchmark.name) {
            print("## \(benchmark.name): \(benchmark.summary)\n")
            do { try await benchmark.run() } catch {
                print("\(benchmark.name): \(error)")
                exit(1)
            }
        }
    }

    /// The release binary, built beside this one.
    static var outrigger: String { own[..<(own.lastIndex(of: "/") ?? own.startIndex)] + "/outrigger" }

    /// This binary.
    static var own: String {
        var path = [CChar](repeating: 0, count: 4096)
        let length = readlink("/proc/self/exe", &path, path.count - 1)
        return String(decoding: path[..<max(0, length)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
