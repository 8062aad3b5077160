import Metrics
import Runtime
import Testing

@testable import Collectors

@Suite struct HostSourceTests {
    /// Samples of a machine whose `/proc` holds these files, as `name{labels} value`.
    private func samples(_ files: [String: String], _ settings: HostSettings = .init(pressure: true, resources: true))
        async throws -> [String]
    {
        let folder = try FakeTree(files)
        let source = HostSource(settings, root: folder.path)
        let collected = await source.collect(CollectionRound(deadline: .after(.seconds(5))))
        return lines(collected)
    }

    @Test func loadAndPressureAreRead() async throws {
        let result = try await samples([
            "loadavg": "0.52 1.58 2.59 1/467 12345\n",
            "pressure/cpu":
                "some avg10=1.00 avg60=0.00 avg300=0.00 total=2500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n",
            "pressure/memory":
                "some avg10=0.00 avg60=0.00 avg300=0.00 total=1000000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=500000\n",
        ])
        #expect(
            result == [
                "node_load1 0.52", "node_load5 1.58", "node_load15 2.59", "node_pressure_cpu_waiting_seconds_total 2.5",
                "node_pressure_memory_waiting_seconds_total 1", "node_pressure_memory_stalled_seconds_total 0.5",
            ])
    }

    @Test func cpuAndMemoryAreInBaseUnits() async throws {
        let result = try await samples([
            "stat": "cpu  100 0 50 1000 0 0 0 0 0 0\ncpu0 100 0 50 1000 0 0 0 0 0 0\nintr 5\nbtime 17\n",
            "meminfo": "MemTotal:       2048 kB\nMemAvailable:    1024 kB\nHugePages_Total:   3\n",
        ])
        #expect(result.contains(#"node_cpu_seconds_total{cpu="0",mode="user"} 1"#))
        #expect(result.contains(#"node_cpu_seconds_total{cpu="0",mode="idle"} 10"#))
        #expect(result.contains("node_memory_MemTotal_bytes 2.097152e+06"))
        #expect(result.contains("node_memory_MemAvailable_bytes 1.048576e+06"))
        #expect(!result.contains { $0.contains("Huge") })
    }

    @Test func wholeDisksAndInterfacesAreRead() async throws {
        let disk = "10 0 20 3000 40 0 50 6000 7 8000 9000 0 0 0 0 0 0"
        let devices = ["sda", "sda1", "nvme0n1", "nvme0n1p2", "vdb", "vdb3", "loop0", "ram1", "dm-0"]
        let result = try await samples([
            "diskstats": devices.map { "   8  0 \($0) \(disk)\n" }.joined(),
            "net/dev": """
            Inter-|   Receive                                                |  Transmit
             face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
              eth0: 1000 10 1 2 0 0 0 0 2000 20 3 4 0 0 0 0

            """,
        ])
        let disks = result.filter { $0.hasPrefix("node_disk_read_bytes_total") }
        #expect(
            disks == ["sda", "nvme0n1", "vdb", "dm-0"].map { #"node_disk_read_bytes_total{device="\#($0)"} 10240"# })
        #expect(result.contains(#"node_disk_write_time_seconds_total{device="sda"} 6"#))
        #expect(result.contains(#"node_disk_io_time_seconds_total{device="sda"} 8"#))
        #expect(result.contains(#"node_network_receive_bytes_total{device="eth0"} 1000"#))
        #expect(result.contains(#"node_network_transmit_drop_total{device="eth0"} 4"#))
    }

    @Test func thisMachineTellsItsLoad() async throws {
        let source = HostSource(HostSettings(pressure: true, resources: true))
        let result = lines(await source.collect(CollectionRound(deadline: .after(.seconds(5)))))
        #expect(result.contains { $0.hasPrefix("node_load1 ") })
        #expect(result.contains { $0.hasPrefix(#"node_cpu_seconds_total{cpu="0",mode="idle"} "#) })
    }

    @Test func filesThatAreCutAreNoTrap() async throws {
        let files = [
            "loadavg": "0.52 1.58 2.59 1/467", "pressure/io": "some avg10=0.00 total=1\nfull total=2",
            "stat": "cpu0 1 2 3 4 5", "diskstats": " 8 0 sda 1 2 3 4 5 6 7 8 9 10 11",
            "net/dev": "eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16", "meminfo": "MemTotal: 5 kB",
        ]
        for (name, text) in files {
            for cut in 0...text.count { _ = try await samples([name: String(text.prefix(cut))]) }
        }
    }
}
