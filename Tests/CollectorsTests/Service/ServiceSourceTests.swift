import Foundation
import LocalServers
import Metrics
import Runtime
import Testing

@testable import Collectors

@Suite struct ServiceSourceTests {
    /// The files of one process; ticks are hundredths of a second.
    private func process(
        _ pid: Int, name: String = "shop", user: Int = 100, children: String = "", start: Int = 500
    ) -> [String: String] {
        [
            "\(pid)/stat":
                "\(pid) (\(name)) S 1 1 1 0 -1 4194560 30 0 4 0 \(user) 50 0 0 20 0 3 0 \(start) 1000000 10 18446744073709551615 0",
            "\(pid)/status":
                "Name:\t\(name)\nVmSwap:\t  8 kB\nvoluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t2\n",
            "\(pid)/io": "rchar: 1\nread_bytes: 4096\nwrite_bytes: 8192\n",
            "\(pid)/limits":
                "Limit                     Soft Limit           Hard Limit           Units\nMax open files            10                   20                   files\n",
            "\(pid)/task/\(pid)/children": children,
            "\(pid)/cgroup": "0::/system.slice/shop.service\n",
            "\(pid)/net/dev": "  eth0: 1000 10 0 0 0 0 0 0 2000 20 0 0 0 0 0 0\n",
        ]
    }

    private func collect(_ source: ServiceSource) async -> [String] {
        lines(await source.collect(CollectionRound(deadline: .after(.seconds(5)))))
    }

    private func source(
        _ settings: ServiceSettings, _ tree: FakeTree, cgroups: String = "/nowhere"
    ) -> ServiceSource {
        ServiceSource(settings, tree: ProcessTree(root: tree.path), cgroups: CgroupTree(root: cgroups))
    }

    @Test func aProcessAndWhatItStartedAreOneGroup() async throws {
        let files = process(40, children: "41 ").merging(process(41, name: "worker (1)", start: 900)) { $1 }
        let tree = try FakeTree(
            files.merging(["run.pid": "40\n", "stat": "btime 1000\n"]) { $1 },
            links: ["40/fd/0": "/dev/null", "40/fd/1": "socket:[9]", "41/fd/0": "/dev/null"])
        let result = await collect(source(ServiceSettings(pidFile: tree.path + "/run.pid"), tree))
        let page = Kernel.pageBytes
        for line in [
            "outrigger_service_up 1", #"namedprocess_namegroup_num_procs{groupname="shop"} 2"#,
            #"namedprocess_namegroup_cpu_seconds_total{groupname="shop",mode="user"} 2"#,
            #"namedprocess_namegroup_cpu_seconds_total{groupname="shop",mode="system"} 1"#,
            #"namedprocess_namegroup_memory_bytes{groupname="shop",memtype="resident"} \#(20 * page)"#,
            #"namedprocess_namegroup_memory_bytes{groupname="shop",memtype="swapped"} 16384"#,
            #"namedprocess_namegroup_num_threads{groupname="shop"} 6"#,
            #"namedprocess_namegroup_open_filedesc{groupname="shop"} 3"#,
            #"namedprocess_namegroup_worst_fd_ratio{groupname="shop"} 0.2"#,
            #"namedprocess_namegroup_read_bytes_total{groupname="shop"} 8192"#,
            #"namedprocess_namegroup_write_bytes_total{groupname="shop"} 16384"#,
            #"namedprocess_namegroup_context_switches_total{ctxswitchtype="voluntary",groupname="shop"} 14"#,
            #"namedprocess_namegroup_major_page_faults_total{groupname="shop"} 8"#,
            #"namedprocess_namegroup_states{groupname="shop",state="Sleeping"} 2"#,
            #"namedprocess_namegroup_oldest_start_time_seconds{groupname="shop"} 1005"#,
            #"container_network_transmit_bytes_total{interface="eth0"} 2000"#,
            "namedprocess_scrape_partial_errors 0",
        ] { #expect(result.contains(line), "\(line)") }
    }

    @Test func theProcessThatListensOnThePortIsFound() async throws {
        let header =
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
        let listening =
            "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 777 1\n"
        let connected =
            "   1: 0100007F:1F90 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 778 1\n"
        let files = process(7, name: "web").merging(process(8, name: "client")) { $1 }
        let tree = try FakeTree(
            files.merging(["net/tcp": header + listening + connected]) { $1 },
            links: ["7/fd/3": "socket:[777]", "8/fd/3": "socket:[778]"])
        let result = await collect(source(ServiceSettings(port: 8080), tree))
        #expect(result.contains(#"namedprocess_namegroup_num_procs{groupname="web"} 1"#))
        let nobody = await collect(source(ServiceSettings(port: 8081), tree))
        #expect(nobody.contains("outrigger_service_up 0"))
        #expect(nobody.contains("namedprocess_scrape_errors 1"))
    }

    @Test func aGroupsCountersDoNotFallWhenAProcessEnds() {
        var totals = CounterTotals()
        let (first, second) = (ProcessTree.Identity(pid: 1, startTicks: 1), ProcessTree.Identity(pid: 2, startTicks: 5))
        #expect(totals.update([first: [10], second: [4]]) == [14])
        #expect(totals.update([first: [11]]) == [15])
        // The number was given to another process.
        #expect(totals.update([first: [11], ProcessTree.Identity(pid: 2, startTicks: 9): [3]]) == [18])
        #expect(totals.update([first: [0]]) == [18])
        #expect(totals.update([first: [12]]) == [19])
    }

    @Test func aControlGroupOfVersion2IsRead() async throws {
        let group = "system.slice/shop.service"
        let cgroups = try FakeTree([
            "\(group)/cgroup.procs": "40\n", "\(group)/worker/cgroup.procs": "41\n",
            "\(group)/cpu.stat":
                "usage_usec 3000000\nuser_usec 2000000\nsystem_usec 1000000\nnr_periods 9\nnr_throttled 4\nthrottled_usec 500000\n",
            "\(group)/cpu.max": "50000 100000\n", "\(group)/memory.current": "9000\n", "\(group)/memory.max": "max\n",
            "\(group)/memory.stat": "anon 5000\nfile 3000\ninactive_file 1000\n",
            "\(group)/memory.events": "low 0\noom 1\noom_kill 1\n", "\(group)/pids.current": "5\n",
            "\(group)/pids.max": "100\n", "\(group)/io.stat": "8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n",
            "\(group)/memory.pressure": "some avg10=0.00 total=4000000\nfull avg10=0.00 total=3000000\n",
        ])
        let tree = try FakeTree(process(40).merging(process(41)) { $1 })
        let result = await collect(source(ServiceSettings(cgroup: "/" + group), tree, cgroups: cgroups.path))
        for line in [
            #"namedprocess_namegroup_num_procs{groupname="shop"} 2"#,
            #"container_cpu_usage_seconds_total{id="/\#(group)"} 3"#,
            #"container_cpu_cfs_throttled_periods_total{id="/\#(group)"} 4"#,
            #"container_cpu_cfs_throttled_seconds_total{id="/\#(group)"} 0.5"#,
            #"container_spec_cpu_quota{id="/\#(group)"} 50000"#, #"container_spec_cpu_period{id="/\#(group)"} 100000"#,
            #"container_memory_working_set_bytes{id="/\#(group)"} 8000"#,
            #"container_spec_memory_limit_bytes{id="/\#(group)"} 0"#, #"container_oom_events_total{id="/\#(group)"} 1"#,
            #"container_threads_max{id="/\#(group)"} 100"#,
            #"container_fs_writes_bytes_total{device="8:0",id="/\#(group)"} 20"#,
            #"container_pressure_memory_stalled_seconds_total{id="/\#(group)"} 3"#,
        ] { #expect(result.contains(line), "\(line)") }
    }

    @Test func aControlGroupOfVersion1IsFoundByItsProcess() async throws {
        var files = process(40)
        files["40/cgroup"] = "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/\n"
        files["run.pid"] = "40"
        let tree = try FakeTree(files)
        let cgroups = try FakeTree([
            "cpu,cpuacct/docker/abc/cpuacct.usage": "1500000000\n",
            "cpu,cpuacct/docker/abc/cpuacct.stat": "user 100\nsystem 50\n",
            "cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "-1\n",
            "memory/docker/abc/memory.usage_in_bytes": "7000\n",
            "memory/docker/abc/memory.limit_in_bytes": "9223372036854771712\n",
            "memory/docker/abc/memory.stat": "total_rss 4000\ntotal_cache 2000\ntotal_inactive_file 500\n",
            "blkio/docker/abc/blkio.throttle.io_service_bytes": "8:0 Read 11\n8:0 Write 12\n8:0 Total 23\nTotal 23\n",
        ])
        let result = await collect(
            source(ServiceSettings(name: "pay", pidFile: tree.path + "/run.pid"), tree, cgroups: cgroups.path))
        for line in [
            #"namedprocess_namegroup_num_procs{groupname="pay"} 1"#,
            #"container_cpu_usage_seconds_total{id="/docker/abc"} 1.5"#,
            #"container_cpu_user_seconds_total{id="/docker/abc"} 1"#,
            #"container_memory_working_set_bytes{id="/docker/abc"} 6500"#,
            #"container_spec_memory_limit_bytes{id="/docker/abc"} 0"#,
            #"container_fs_reads_bytes_total{device="8:0",id="/docker/abc"} 11"#,
        ] { #expect(result.contains(line), "\(line)") }
        #expect(!result.contains { $0.hasPrefix("container_spec_cpu_quota") })
    }

    @Test func aRealRedisIsFoundByItsPort() async throws {
        let redis = try await LocalRedis.start()
        let source = ServiceSource(ServiceSettings(port: redis.port))
        let result = await collect(source)
        #expect(result.contains(#"namedprocess_namegroup_num_procs{groupname="redis-server"} 1"#))
        let memory = result.first {
            $0.hasPrefix(#"namedprocess_namegroup_memory_bytes{groupname="redis-server",memtype="resident"} "#)
        }
        #expect(memory.flatMap { Double($0.split(separator: " ")[1]) } ?? 0 > 1e6)
        await redis.stop()
        #expect(await collect(source).contains("outrigger_service_up 0"))
    }

    @Test func aStatLineCutAnywhereIsRefusedOrRead() {
        let whole = "7 (a) b) R 1 1 1 0 -1 4194560 30 0 4 0 100 50 0 0 20 0 3 0 500 1000000 10 18446744073709551615"
        #expect(ProcessStat(whole)?.name == "a) b")
        #expect(ProcessStat(whole)?.state == "R")
        #expect(ProcessStat(whole)?.startTicks == 500)
        for cut in 0..<whole.count - 24 { #expect(ProcessStat(String(whole.prefix(cut))) == nil, "cut at \(cut)") }
    }
}
