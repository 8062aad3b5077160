import Glibc
import LocalServers
import Runtime

/// How many StatsD packets a second arrive without loss from one sender on loopback, and what they cost, for Outrigger
/// and for netdata's StatsD server, which take turns.
enum StatsDBenchmark {
    private static let rounds = 3
    private static let probe: Duration = .milliseconds(1500)

    @Sendable static func run() async throws {
        let folder = try TemporaryFolder("outrigger-bench")
        let ours = try await StatsDServer.outrigger(folder)
        let theirs = try await StatsDServer.netdata(folder)
        var rows: [Comparison] = []
        for scenario in [Scenario.single, .packed] {
            rows += try await compare(scenario, ours, theirs)
        }
        rows.append(
            Comparison(
                name: "resident memory", ours: Double(ProcessUsage.residentBytes(ours.process.pid)) / 1e6,
                theirs: Double(ProcessUsage.residentBytes(theirs.process.pid)) / 1e6, unit: "MB", target: 1))
        Comparison.printTable("StatsD", rows)
        for server in [ours, theirs] {
            try await server.settle()
            print(
                "\(server.name): \(server.sent) samples sent, \(try await server.used()) used, \(try server.drops()) packets dropped by the kernel"
            )
        }
        print("outrigger's own count of dropped packets: \(try await ours.ownDrops())\n")
        for server in [ours, theirs] { await server.process.stop() }
    }

    /// What is sent, and at which steady pace its cost is measured.
    private struct Scenario {
        let name: String
        let samplesPerPacket: Int
        let steadyRates: [Double]

        static let single = Scenario(name: "1 sample a packet", samplesPerPacket: 1, steadyRates: [10_000, 100_000])
        static let packed = Scenario(name: "20 samples a packet", samplesPerPacket: 20, steadyRates: [20_000])

        /// Counters, gauges and timers of 200 names, half of them with tags.
        var packets: [[UInt8]] {
            let lines = (0..<200).map { index in
                let type = ["1|c", "\(index * 3)|g", "\(Double(index) / 4)|ms"][index % 3]
                let kind = ["orders", "queue", "answer"][index % 3]
                return "shop.\(kind).part\(index):\(type)"
                    + (index % 2 == 0 ? "|#region:eu-west,kind:\(index % 7)" : "")
            }
            return stride(from: 0, to: lines.count, by: samplesPerPacket).map { start in
                Array(lines[start..<start + samplesPerPacket].joined(separator: "\n").utf8)
            }
        }
    }

    private static func compare(_ scenario: Scenario, _ ours: StatsDServer, _ theirs: StatsDServer) async throws
        -> [Comparison]
    {
        var rates: [String: [Double]] = [:]
        var costs: [String: [Double: [Double]]] = [:]
        for _ in 0..<rounds {
            for server in [ours, theirs] {
                let sender = try StatsDSender(port: server.port, packets: scenario.packets)
                rates[server.name, default: []].append(try await lossless(server, sender, scenario))
                for rate in scenario.steadyRates {
                    costs[server.name, default: [:]][rate, default: []].append(
                        try await cost(server, sender, scenario, rate: rate))
                }
            }
        }
        func median(_ server: StatsDServer) -> Double { (rates[server.name] ?? []).quantile(0.5) }
        var rows = [
            Comparison(
                name: "\(scenario.name), packets a second without loss", ours: median(ours), theirs: median(theirs),
                unit: "/s", target: 1, isMoreBetter: true)
        ]
        for rate in scenario.steadyRates {
            func median(_ server: StatsDServer) -> Double { (costs[server.name]?[rate] ?? []).quantile(0.5) }
            rows.append(
                Comparison(
                    name: "\(scenario.name), CPU per million samples at \(Int(rate)) packets/s", ours: median(ours),
                    theirs: median(theirs), unit: "ms", target: 1))
        }
        return rows
    }

    /// The highest pace without a lost packet: all the sender can do, or what halving the interval seven times finds.
    private static func lossless(
        _ server: StatsDServer, _ sender: StatsDSender, _ scenario: Scenario
    ) async throws -> Double {
        var (rate, lost) = try await attempt(server, sender, scenario, rate: nil)
        if lost == 0 { return rate }
        var (best, worst) = (0.0, rate)
        for _ in 0..<7 {
            let middle = (best + worst) / 2
            (rate, lost) = try await attempt(server, sender, scenario, rate: middle)
            if lost == 0 { best = rate } else { worst = middle }
        }
        return best
    }

    private static func attempt(
        _ server: StatsDServer, _ sender: StatsDSender, _ scenario: Scenario, rate: Double?
    ) async throws -> (rate: Double, lost: Int) {
        let before = try server.drops()
        let (packets, took) = try sender.send(for: probe, rate: rate)
        server.sent += packets * scenario.samplesPerPacket
        try await server.settle()
        return (Double(packets) / took.seconds, try server.drops() - before)
    }

    /// Milliseconds of the server's CPU for a million samples that it used, at a steady pace.
    private static func cost(
        _ server: StatsDServer, _ sender: StatsDSender, _ scenario: Scenario, rate: Double
    ) async throws -> Double {
        let spentBefore = ProcessUsage.cpuNanoseconds(server.process.pid)
        let dropsBefore = try server.drops()
        let (packets, _) = try sender.send(for: .seconds(3), rate: rate)
        server.sent += packets * scenario.samplesPerPacket
        try await server.settle()
        let spent = ProcessUsage.cpuNanoseconds(server.process.pid) - spentBefore
        let arrived = packets - (try server.drops() - dropsBefore)
        return Double(spent) / Double(arrived * scenario.samplesPerPacket)
    }
}

/// A process that receives StatsD and tells how many samples it used.
private final class StatsDServer {
    let name: String
    let process: ChildProcess
    let port: UInt16
    private let web: UInt16
    private let path: String
    private let series: String
    private let folder: TemporaryFolder
    /// Samples sent to it so far.
    var sent = 0

    private init(
        name: String, process: ChildProcess, port: UInt16, web: UInt16, path: String, series: String,
        folder: TemporaryFolder
    ) {
        self.name = name
        self.process = process
        self.port = port
        self.web = web
        self.path = path
        self.series = series
        self.folder = folder
    }

    static func outrigger(_ folder: TemporaryFolder) async throws -> StatsDServer {
        let (port, web) = (FreePort.next(), FreePort.next())
        let server = try await LocalServer.start(
            Benchmarks.outrigger,
            ["serve", "--web.listen-address=127.0.0.1:\(web)", "--statsd.listen-address=127.0.0.1:\(port)"],
            folder: folder, port: web
        ) { FreePort.isOpen(web) }
        return StatsDServer(
            name: "outrigger", process: server.process, port: port, web: web, path: "/metrics",
            series: "outrigger_statsd_samples_total{", folder: folder)
    }

    /// Nothing but its StatsD server and its own statistics.
    static func netdata(_ folder: TemporaryFolder) async throws -> StatsDServer {
        let (port, web) = (FreePort.next(), FreePort.next())
        let own = folder.path + "/netdata"
        try await LocalServer.run(
            "mkdir", ["-p", own + "/cache", own + "/lib", own + "/log", own + "/run"], folder: folder)
        try Files.write("", to: own + "/.opt-out-from-anonymous-statistics")
        let others = [
            "timex", "idlejitter", "tc", "proc", "diskspace", "cgroups", "enable running new plugins", "apps",
            "charts.d", "python.d", "go.d", "ebpf", "perf", "slabinfo",
        ]
        let configuration = """
            [global]
                run as user = root
                hostname = bench
            [directories]
                config = \(own)
                cache = \(own)/cache
                lib = \(own)/lib
                log = \(own)/log
                lock = \(own)/run
                registry = \(own)/lib
            [db]
                mode = ram
                retention = 600
            [web]
                bind to = 127.0.0.1:\(web)
            [health]
                enabled = no
            [ml]
                enabled = no
            [logs]
                access = none
            [plugins]
            \(others.map { "    \($0) = no" }.joined(separator: "\n"))
            [statsd]
                enabled = yes
                bind to = udp:127.0.0.1:\(port)

            """
        try Files.write(configuration, to: own + "/netdata.conf")
        let server = try await LocalServer.start(
            "netdata", ["-D", "-c", own + "/netdata.conf"], folder: folder, port: web
        ) { FreePort.isOpen(web) }
        return StatsDServer(
            name: "netdata", process: server.process, port: port, web: web,
            path: "/api/v1/allmetrics?format=prometheus&source=raw", series: "netdata_netdata_statsd_events_total{",
            folder: folder)
    }

    /// Packets that the kernel threw away in front of this server: the last column of its socket in `/proc/net/udp`.
    func drops() throws -> Int {
        let place = ":" + String(port, radix: 16, uppercase: true) + " "
        for line in try Files.readText("/proc/net/udp").split(separator: "\n").dropFirst()
        where line.split(separator: " ")[1].hasSuffix(place.dropLast()) {
            return line.split(separator: " ").last.flatMap { Int($0) } ?? 0
        }
        throw StatsDSender.Failure(description: "\(name): no socket on port \(port)")
    }

    /// Waits until the kernel holds nothing for it any more.
    func settle() async throws {
        let place = ":" + String(port, radix: 16, uppercase: true)
        let deadline = Deadline.after(.seconds(10))
        while !deadline.hasPassed {
            let line = try Files.readText("/proc/net/udp").split(separator: "\n").first {
                $0.split(separator: " ")[1].hasSuffix(place)
            }
            if line?.split(separator: " ")[4].hasSuffix(":00000000") == true { return }
            try await Task.sleep(for: .milliseconds(5))
        }
        throw StatsDSender.Failure(description: "\(name) did not read what it was sent")
    }

    /// Samples used so far, as the server itself counts them. netdata tells once a second.
    func used() async throws -> Int {
        let deadline = Deadline.after(.seconds(10))
        var (last, now) = (-1, try await count(series))
        while last != now, !deadline.hasPassed {
            try await Task.sleep(for: .milliseconds(1200))
            (last, now) = (now, try await count(series))
        }
        return now
    }

    func ownDrops() async throws -> Int { try await count("outrigger_statsd_packets_lost_total{") }

    private func count(_ series: String) async throws -> Int {
        let page = try await LocalServer.run("curl", ["-sS", "-g", "http://127.0.0.1:\(web)\(path)"], folder: folder)
        return page.split(separator: "\n").reduce(0) { sum, line in
            guard line.hasPrefix(series) else { return sum }
            let rest = line[(line.lastIndex(of: "}") ?? line.startIndex)...].split(separator: " ")
            return sum + (rest.count > 1 ? Int(Double(rest[1]) ?? 0) : 0)
        }
    }
}
