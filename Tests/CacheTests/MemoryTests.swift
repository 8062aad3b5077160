import Foundation
import Runtime
import Testing

@testable import Cache

@Suite struct MemoryTests {
    private let own = MemoryGovernor.Own(residentBytes: 1000, boundBytes: 2000)

    private func reading(cgroup: Double = 0, host: Double = 0, stalled: Double? = nil) -> MemoryReading {
        MemoryReading(
            cgroup: .init(usedBytes: Int(cgroup * 1000), limitBytes: 1000),
            host: .init(usedBytes: Int(host * 1000), limitBytes: 1000), stalledShare: stalled)
    }

    private func decide(_ policy: MemoryPolicy, _ reading: MemoryReading) -> MemoryGovernor.Decision? {
        var governor = MemoryGovernor(.init(policy: policy, threshold: 0.8))
        return governor.check(reading, own: own, nowMs: 0)
    }

    @Test func nothingGoesBelowTheThreshold() {
        for policy in MemoryPolicy.allCases { #expect(decide(policy, reading(cgroup: 0.79, host: 0.5)) == nil) }
    }

    @Test func aggressiveFreesHalfAndConservativeAQuarter() {
        #expect(decide(.aggressive, reading(cgroup: 0.8)) == .init(trigger: .cgroup, share: 0.5))
        #expect(decide(.conservative, reading(host: 0.85)) == .init(trigger: .host, share: 0.25))
    }

    @Test func adaptiveFreesMoreTheLessIsLeft() throws {
        let shares = try [0.8, 0.85, 0.9].map { try #require(decide(.adaptive, reading(host: $0))).share }
        #expect(abs(shares[0] - 0.1) < 0.001 && abs(shares[1] - 0.2) < 0.001 && abs(shares[2] - 0.3) < 0.001)
    }

    @Test func anEmergencyFreesHalfWhateverThePolicyAndIsLookedAtTenTimesAsOften() {
        var governor = MemoryGovernor(.init(policy: .conservative, threshold: 0.8, interval: .seconds(60)))
        let first = governor.check(reading(cgroup: 0.96), own: own, nowMs: 0)
        #expect(first == .init(trigger: .cgroup, share: 0.5))
        #expect(!governor.isDue(nowMs: 5_999))
        let second = governor.check(reading(cgroup: 0.9), own: own, nowMs: 6_000)
        #expect(second?.share == 0.25)
        let tooEarly = governor.check(reading(cgroup: 0.9), own: own, nowMs: 65_000)
        #expect(tooEarly == nil)
        #expect(governor.isDue(nowMs: 66_000))
    }

    @Test func tasksThatWaitForMemoryAreATriggerToo() {
        #expect(decide(.conservative, reading(host: 0.5, stalled: 0.2)) == .init(trigger: .pressure, share: 0.25))
        #expect(decide(.conservative, reading(host: 0.5, stalled: 0.02)) == nil)
    }

    @Test func theCachesOwnBoundIsATrigger() {
        var governor = MemoryGovernor(.init(policy: .conservative))
        let over = MemoryGovernor.Own(residentBytes: 4000, boundBytes: 2000)
        let decision = governor.check(MemoryReading(), own: over, nowMs: 0)
        #expect(decision == .init(trigger: .bound, share: 0.5))
        var other = MemoryGovernor(.init(policy: .aggressive))
        let justOver = MemoryGovernor.Own(residentBytes: 2001, boundBytes: 2000)
        let half = other.check(MemoryReading(), own: justOver, nowMs: 0)
        #expect(half == .init(trigger: .bound, share: 0.5))
    }

    @Test func anEmptyCacheHasNothingToGive() {
        var governor = MemoryGovernor(.init())
        let decision = governor.check(reading(cgroup: 1), own: .init(residentBytes: 0, boundBytes: 10), nowMs: 0)
        #expect(decision == nil)
    }

    @Test func theKeeperFreesAndCounts() {
        let cache = LocalCache(.lru, bytes: 1 << 20, entries: .max)
        for number in 0..<100 { cache.set("key\(number)", "value", at: 0) }
        let keeper = CacheKeeper(cache, .init(policy: .aggressive)) {
            MemoryReading(cgroup: .init(usedBytes: 90, limitBytes: 100))
        }
        keeper.step(nowMs: 1)
        let left = cache.usage.entries
        #expect((49...50).contains(left))
        keeper.step(nowMs: 2)
        #expect(cache.usage.entries == left)
        #expect(keeper.frees == [.cgroup: 1])
    }

    @Test func limitsOfNestedGroupsAndPressureAreRead() throws {
        let root = try Root([
            "proc/self/cgroup": "0::/box/app\n",
            "sys/fs/cgroup/box/memory.max": "2000\n", "sys/fs/cgroup/box/memory.current": "1900\n",
            "sys/fs/cgroup/box/memory.stat": "anon 5\ninactive_file 100\n",
            "sys/fs/cgroup/box/app/memory.max": "max\n", "sys/fs/cgroup/box/app/memory.current": "10\n",
            "proc/meminfo": "MemTotal:        4000 kB\nMemFree: 1 kB\nMemAvailable:    1000 kB\n",
            "proc/pressure/memory": "some avg10=12.50 avg60=1.00 avg300=0.00 total=5\nfull avg10=0.00\n",
        ])
        #expect(
            MemoryReading.now(root: root.path)
                == MemoryReading(
                    cgroup: .init(usedBytes: 1800, limitBytes: 2000),
                    host: .init(usedBytes: 3000 * 1024, limitBytes: 4000 * 1024), stalledShare: 0.125))
    }

    @Test func groupsOfTheFirstVersionAreReadToo() throws {
        let root = try Root([
            "proc/self/cgroup": "5:cpu,cpuacct:/x\n4:memory:/pod\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "1\n",
            "sys/fs/cgroup/memory/pod/memory.limit_in_bytes": "1000\n",
            "sys/fs/cgroup/memory/pod/memory.usage_in_bytes": "700\n",
            "sys/fs/cgroup/memory/pod/memory.stat": "total_inactive_file 200\n",
        ])
        #expect(MemoryReading.now(root: root.path).cgroup == .init(usedBytes: 500, limitBytes: 1000))
        #expect(MemoryReading.now(root: root.path).host == nil)
    }

    @Test func thisMachineTellsItsMemory() throws {
        let host = try #require(MemoryReading.now().host)
        #expect(host.limitBytes > 100 << 20 && host.usedBytes > 0 && host.usedBytes < host.limitBytes)
    }

    private struct Root {
        let folder: TemporaryFolder
        var path: String { folder.path }

        init(_ files: [String: String]) throws {
            folder = try TemporaryFolder("memory")
            for (name, text) in files {
                let parent = folder.path + "/" + name[..<name.lastIndex(of: "/")!]
                try FileManager.default.createDirectory(atPath: String(parent), withIntermediateDirectories: true)
                try Files.write(text, to: folder.path + "/" + name)
            }
        }
    }
}
