import Glibc
import LocalServers
import Metrics
import PromQL
import Runtime

/// What one evaluation of 200 rules over 5,000 series costs: CPU, and bytes taken from the heap.
enum RulesBenchmark {
    /// The word on the command line that evaluates and prints nothing; valgrind counts the heap's use of such a process.
    static let evaluationsOnly = "rules-evaluations="

    private static let (start, step, samples) = (Int64(1_700_000_000_000), Int64(15_000), 241)

    @Sendable static func run() async throws {
        let load = try Load()
        let milliseconds = try (0..<20).map { round in
            let before = processCPUTime()
            try load.evaluate(round)
            return (processCPUTime() - before).seconds * 1000
        }
        let (few, many) = (try await heapUse(evaluations: 2), try await heapUse(evaluations: 6))
        let bytes = (many.bytes - few.bytes) / 4
        let blocks = (many.blocks - few.blocks) / 4
        print(
            """
            | 200 rules over 5,000 series, each evaluation | |
            |---|---|
            | CPU (promised: below 50 ms) | \((milliseconds.quantile(0.5) * 100).rounded() / 100) ms |
            | allocated, by valgrind | \(bytes / 1024) KiB in \(blocks) blocks |

            """)
    }

    /// Evaluates `count` times, for a process that valgrind watches.
    static func evaluate(_ count: Int) throws {
        let load = try Load()
        for round in 0..<count { try load.evaluate(round) }
    }

    /// Everything a process that evaluates so often takes from the heap, its setting up included.
    private static func heapUse(evaluations: Int) async throws -> (blocks: Int, bytes: Int) {
        let folder = try TemporaryFolder("outrigger-bench")
        let text = try await LocalServer.run(
            "sh", ["-c", "exec valgrind --leak-check=no \(Benchmarks.own) \(evaluationsOnly)\(evaluations) 2>&1"],
            folder: folder, patience: .seconds(600))
        // ==1== total heap usage: 1,234 allocs, 1,200 frees, 56,789 bytes allocated
        let words = text.split(separator: "\n").last { $0.contains("total heap usage") }?.split(separator: " ") ?? []
        let numbers = words.compactMap { Int($0.filter { $0 != "," }) }
        guard numbers.count == 3 else { throw Unreadable(description: text) }
        return (numbers[0], numbers[2])
    }

    struct Unreadable: Error, CustomStringConvertible { let description: String }

    /// 100 metrics of 50 series each with an hour of samples, and two rules a metric.
    private struct Load {
        let source: MemorySource
        let queries: [PreparedQuery]

        init() throws {
            var series: [MemorySource.MemorySeries] = []
            for metric in 0..<100 {
                for instance in 0..<50 {
                    let labels = Labels([
                        "__name__": "bench_\(metric)_total", "instance": "host-\(instance)",
                        "job": "job-\(instance % 5)",
                    ])
                    let points = (0..<samples).map {
                        Point(time: start + Int64($0) * step, value: Double($0 * (instance + 1)))
                    }
                    series.append(.init(labels: labels, points: ContiguousArray(points)))
                }
            }
            source = MemorySource(series)
            queries = try (0..<100).flatMap { metric in
                [
                    try PreparedQuery(try Query("rate(bench_\(metric)_total[5m]) > 3")),
                    try PreparedQuery(try Query("sum by (job) (rate(bench_\(metric)_total[5m])) > 10")),
                ]
            }
        }

        func evaluate(_ round: Int) throws {
            let time = start + Int64(samples - 21 + round) * step
            for query in queries { _ = try query.instant(at: time, source: source) }
        }
    }
}
