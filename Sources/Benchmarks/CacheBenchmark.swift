import CLinux
import Cache
import Glibc
import Runtime

/// The local cache: hit ratios of every policy on recorded loads beside the reference table, time per operation with
/// one and two threads, and what an entry costs beside its key and value.
enum CacheBenchmark {
    @Sendable static func hits() async throws { try await HitRatios.run() }
    @Sendable static func time() async throws { await Timing.run() }
    @Sendable static func memory() async throws { Overhead.run() }
}

extension LocalCache {
    /// A cache of one class.
    fileprivate convenience init(_ eviction: Eviction, bytes: Int, entries: Int = .max, estimates: Bool = false) {
        let limits = Limits(
            bytes: bytes, entries: entries, compressFromBytes: nil, jitter: 0, estimatesHitRatios: estimates)
        let only = CacheClass(name: "only", ttl: .seconds(1_728_000), maxAge: .seconds(1_728_000), eviction: eviction)
        self.init(classes: [only], limits: limits, seed: 42, nowMs: 0)
    }

    fileprivate var only: CacheClass.ID { cacheClass(for: Span()) }
}

/// A key that is a number, written into the same bytes again and again.
private struct NumberKey {
    var bytes: [UInt8]

    init(length: Int) { bytes = Array(repeating: UInt8(ascii: "k"), count: length) }

    mutating func set(_ number: Int) {
        for index in 0..<8 { bytes[index] = UInt8(truncatingIfNeeded: number >> (8 * index)) }
    }
}

// MARK: Hit ratios

private enum HitRatios {
    private struct Load {
        let file: String
        let row: String
        let requests: Int
        let capacities: [Int]
    }

    private static let loads = [
        Load(file: "web07", row: "web07", requests: .max, capacities: [204, 1024, 2048]),
        Load(file: "web12", row: "web12", requests: .max, capacities: [137, 687, 1375]),
        Load(file: "orm-busy", row: "orm-busy-1M", requests: 1_000_000, capacities: [441, 2208, 4417]),
    ]
    private static let folder = "../shared/data/traces"
    private static let columns: [(eviction: Eviction, reference: String?)] = [
        (.fifo, "FIFO"), (.lru, "LRU"), (.lfu, "LFU"), (.ttl, nil), (.s3fifo, "S3FIFO"), (.wtinylfu, "WTLFU"),
    ]

    static func run() async throws {
        guard Files.exists(folder + "/hit_ratios.md") else {
            print("hit ratios: skipped, \(folder) is not here\n")
            return
        }
        let names = columns.map { $0.eviction.rawValue + ($0.reference == nil ? "" : " (reference)") }
        print("Hit ratio in %, unit-sized entries; in brackets the reference table's row.\n")
        print("| trace | entries | " + names.joined(separator: " | ") + " |")
        print("|---|---|" + String(repeating: "---|", count: columns.count))
        var traces: [(Load, [Int])] = []
        for load in loads { traces.append((load, try await read(load))) }
        for (load, keys) in traces {
            for capacity in load.capacities { printRow(load, keys, capacity) }
        }
        print("\nThe same with sizes of 40 to 4039 bytes, and with a lifetime of 10,000 requests.\n")
        print("| trace | bound | lifetime | " + columns.map(\.eviction.rawValue).joined(separator: " | ") + " |")
        print("|---|---|---|" + String(repeating: "---|", count: columns.count))
        for (load, keys) in traces {
            for capacity in load.capacities {
                for (isSized, ttl) in [(true, Int?.none), (false, 10_000), (true, 10_000)] {
                    let cells = columns.map { percent(hits($0.eviction, keys, capacity, isSized, ttl), keys.count) }
                    let bound = isSized ? "\(capacity * 2) kB" : "\(capacity) entries"
                    print(
                        "| \(load.row) | \(bound) | \(ttl.map(String.init) ?? "-") | "
                            + cells.map { text($0) }.joined(separator: " | ") + " |")
                }
            }
        }
        print("")
    }

    private static func printRow(_ load: Load, _ keys: [Int], _ capacity: Int) {
        let reference = referenceRow(load.row, capacity)
        let cells = columns.map { column in
            let ours = percent(hits(column.eviction, keys, capacity, false, nil), keys.count)
            guard let name = column.reference, let theirs = reference[name] else { return text(ours) }
            let isExact = column.eviction == .fifo || column.eviction == .lru
            let isMet = isExact ? ours == theirs : ours >= theirs
            return "\(text(ours)) (\(text(theirs)))" + (isMet ? "" : " missed")
        }
        print("| \(load.row) | \(capacity) | " + cells.joined(separator: " | ") + " |")
    }

    private static func hits(_ eviction: Eviction, _ keys: [Int], _ capacity: Int, _ isSized: Bool, _ ttl: Int?) -> Int
    {
        // What the cache keeps back of its bound, and what it charges for an entry, are not part of this question.
        let mean = 2040 + LocalCache.Limits.overheadBytes
        let cache =
            isSized
            ? LocalCache(eviction, bytes: capacity * mean * 6 / 5)
            : LocalCache(eviction, bytes: .max, entries: capacity)
        let filler = [UInt8](repeating: 7, count: 4096)
        let only = cache.only
        var output: [UInt8] = []
        var key = NumberKey(length: 8)
        var hits = 0
        for (index, number) in keys.enumerated() {
            key.set(number)
            output.removeAll(keepingCapacity: true)
            let nowMs = 16 * (index + 1)
            if case .hit = cache.lookup(key.bytes.span, in: only, nowMs: nowMs, into: &output) {
                hits += 1
                continue
            }
            let size = isSized ? 40 + (number &* 2_654_435_761 >> 7) % 4000 : 0
            _ = cache.put(
                key.bytes.span, filler.span.extracting(0..<size), in: only,
                ttl: ttl.map { .milliseconds(16 * $0) }, nowMs: ttl == nil ? 0 : nowMs)
        }
        return hits
    }

    /// The numbers of a trace: 32 bits each, the highest byte first.
    private static func read(_ load: Load) async throws -> [Int] {
        let scratch = try TemporaryFolder("trace")
        let plain = scratch.path + "/trace"
        let xz = try ChildProcess("xz", ["-dc", "\(folder)/caffeine_\(load.file).trace.xz"], output: plain)
        _ = try await xz.exited(within: .seconds(60))
        let bytes = try Files.read(plain)
        return (0..<min(load.requests, bytes.count / 4)).map { index in
            bytes[4 * index..<4 * index + 4].reduce(0) { $0 << 8 | Int($1) }
        }
    }

    private static func referenceRow(_ trace: String, _ capacity: Int) -> [String: Double] {
        guard let file = try? Files.readText(folder + "/hit_ratios.md") else { return [:] }
        let lines = file.split(separator: "\n").map { line in
            line.split(separator: "|").map { cell in String(cell.filter { $0 != "*" && $0 != " " }) }
        }
        var current = ""
        for cells in lines.dropFirst(2) where cells.count == lines[0].count {
            if !cells[0].isEmpty { current = cells[0] }
            guard current.hasPrefix(trace + "("), cells[1] == "\(capacity)" else { continue }
            return Dictionary(zip(lines[0], cells).compactMap { name, cell in Double(cell).map { (name, $0) } }) { $1 }
        }
        return [:]
    }

    private static func percent(_ part: Int, _ whole: Int) -> Double {
        (10_000 * Double(part) / Double(whole)).rounded() / 100
    }

    private static func text(_ percent: Double) -> String { String(percent) }
}

// MARK: Time

private enum Timing {
    private static let entries = 100_000
    private static let operations = 2_000_000

    static func run() async {
        print("Nanoseconds of CPU an operation; keys of 32 bytes, values of 100, \(entries) entries, full.\n")
        print(
            "| policy | hit | miss | insert and evict | hit, 2 threads | wall, 2 threads |\n|---|---|---|---|---|---|")
        for eviction in Eviction.allCases { await measure(eviction) }
        print("")
    }

    private static func measure(_ eviction: Eviction) async {
        let cache = LocalCache(eviction, bytes: 1 << 30, entries: entries, estimates: true)
        let insert = best { put(cache, from: $0 * operations, count: operations) }
        put(cache, from: 0, count: entries)
        let hit = best { _ in hits(cache, seed: 1) }
        let miss = best { _ in misses(cache) }
        let start = ContinuousClock.now
        let each = await withTaskGroup(of: Double.self) { group in
            for seed in 1...2 { group.addTask { nanoseconds { hits(cache, seed: seed) } } }
            return await group.reduce(0, +) / 2
        }
        let wall = Double((ContinuousClock.now - start).nanoseconds) / Double(2 * operations)
        print(
            "| \(eviction.rawValue) | \(rounded(hit)) | \(rounded(miss)) | \(rounded(insert)) | \(rounded(each)) | \(rounded(wall)) |"
        )
    }

    /// CPU time an operation, the best of three rounds.
    private static func best(_ body: (_ round: Int) -> Void) -> Double {
        (1...3).map { round in nanoseconds { body(round) } }.min() ?? 0
    }

    private static func nanoseconds(_ body: () -> Void) -> Double {
        var (start, end) = (timespec(), timespec())
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start)
        body()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end)
        return Double((end.tv_sec - start.tv_sec) * 1_000_000_000 + end.tv_nsec - start.tv_nsec) / Double(operations)
    }

    private static func put(_ cache: LocalCache, from first: Int, count: Int) {
        var key = NumberKey(length: 32)
        let value = [UInt8](repeating: 1, count: 100)
        let only = cache.only
        for number in first..<first + count {
            key.set(number)
            _ = cache.put(key.bytes.span, value.span, in: only, nowMs: number >> 10)
        }
    }

    private static func hits(_ cache: LocalCache, seed: Int) {
        var key = NumberKey(length: 32)
        var output: [UInt8] = []
        output.reserveCapacity(256)
        let only = cache.only
        var state = UInt64(seed)
        for _ in 0..<operations {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            key.set(Int(state >> 33) % entries)
            output.removeAll(keepingCapacity: true)
            _ = cache.lookup(key.bytes.span, in: only, nowMs: 1, into: &output)
        }
    }

    private static func misses(_ cache: LocalCache) {
        var key = NumberKey(length: 32)
        var output: [UInt8] = []
        let only = cache.only
        for number in 0..<operations {
            key.set(1 << 40 + number)
            _ = cache.lookup(key.bytes.span, in: only, nowMs: 1, into: &output)
        }
    }

    private static func rounded(_ nanoseconds: Double) -> Int { Int(nanoseconds.rounded()) }
}

// MARK: Memory

private enum Overhead {
    private static let entries = 1_000_000

    static func run() {
        print("Bytes of resident memory an entry beside its key (16) and value (100), \(entries) entries.\n")
        print("| policy | just filled | after as many again were evicted | by its own account |\n|---|---|---|---|")
        for eviction in Eviction.allCases { measure(eviction) }
        print("")
    }

    private static func measure(_ eviction: Eviction) {
        malloc_trim(0)
        let before = ProcessUsage.residentBytes(getpid())
        let cache = LocalCache(eviction, bytes: 1 << 40, entries: entries, estimates: true)
        fill(cache, from: 0)
        let filled = ProcessUsage.residentBytes(getpid())
        fill(cache, from: entries)
        let churned = ProcessUsage.residentBytes(getpid())
        let usage = cache.usage(of: cache.only)
        precondition(usage.entries == entries)
        print(
            "| \(eviction.rawValue) | \(each(filled - before)) | \(each(churned - before)) | \(each(usage.residentBytes)) |"
        )
    }

    private static func each(_ bytes: Int) -> Double {
        (10 * (Double(bytes) / Double(entries) - 116)).rounded() / 10
    }

    private static func fill(_ cache: LocalCache, from first: Int) {
        var key = NumberKey(length: 16)
        let value = [UInt8](repeating: 1, count: 100)
        let only = cache.only
        var output: [UInt8] = []
        for number in first..<first + entries {
            key.set(number)
            _ = cache.lookup(key.bytes.span, in: only, nowMs: number >> 10, into: &output)
            _ = cache.put(key.bytes.span, value.span, in: only, nowMs: number >> 10)
        }
    }
}
