import LocalServers
import Metrics
import Runtime

/// The in-memory history: bytes a sample on the demo's real series, and the time to append and to read one.
enum HistoryBenchmark {
    private static let watched = Duration.seconds(150)

    @Sendable static func run() async throws {
        print("| history | |\n|---|---|")
        measureTime()
        try await measureDemo()
        print("")
    }

    /// The demo as people start it, sampled every second.
    private static func measureDemo() async throws {
        let folder = try TemporaryFolder("outrigger-bench")
        let port = FreePort.next()
        let demo = try await LocalServer.start(
            Benchmarks.outrigger, ["demo", "--web.listen-address=127.0.0.1:\(port)", "--history.interval=1s"],
            folder: folder, port: port, patience: .seconds(60)
        ) { FreePort.isOpen(port) }
        try await Task.sleep(for: watched)
        let page = try await LocalServer.run("curl", ["-sf", "http://127.0.0.1:\(port)/metrics"], folder: folder)
        await demo.process.stop()
        func value(_ name: String) -> Double {
            let line = page.split(separator: "\n").first { $0.hasPrefix(name + " ") }
            return line?.split(separator: " ").last.flatMap { Double($0) } ?? .nan
        }
        let samples = value("outrigger_history_samples")
        row("samples of the demo, in \(Int(value("outrigger_history_series"))) series", samples, "")
        row("compressed, a sample (promised: at most 2.5)", value("outrigger_history_sample_bytes") / samples, "bytes")
        row(
            "with what the series themselves take, a sample, after \(watched.components.seconds) samples each",
            value("outrigger_history_bytes") / samples, "bytes")
    }

    /// 5,000 series, half of them counters, 240 samples each.
    private static func measureTime() {
        let (seriesCount, sampleCount) = (5000, 240)
        let history = History(targets: [.own(instance: "bench")])
        let labels = (0..<seriesCount).map { Labels(["__name__": "bench_\($0 % 100)", "number": "\($0)"]) }
        let before = processCPUTime()
        for time in 0..<sampleCount {
            let samples = labels.enumerated().map { index, labels in
                (labels: labels, value: index % 2 == 0 ? Double(time * index) : Double(index % 7))
            }
            history.append(recorded: samples, at: Int64(time) * 15_000)
        }
        let appended = processCPUTime()
        var sum = 0.0
        for series in history.series(named: nil, from: .min, through: .max) {
            series.forEach(after: .min, through: .max) { _, value in sum += value }
        }
        precondition(sum > 0)
        let read = processCPUTime()
        let total = Double(seriesCount * sampleCount)
        row("append, a sample", (appended - before).seconds * 1e9 / total, "ns of CPU")
        row("read, a sample", (read - appended).seconds * 1e9 / total, "ns of CPU")
    }

    private static func row(_ name: String, _ value: Double, _ unit: String) {
        print("| \(name) | \((value * 100).rounded() / 100) \(unit) |")
    }
}
