import Glibc
import LocalServers
import Metrics
import Network
import RedisTesting
import Runtime
import Synchronization
import TestTools
import Testing

@testable import RedisProxy

/// A Redis in a dictionary, which does what the test tells it to.
private final class TestSink: WriteSink {
    struct State: Sendable {
        var isReachable = true
        var refusal: String?
        var values: [String: String] = [:]
        var commands: [String] = []
    }

    let state = Mutex(State())

    func send(_ commands: [FlushCommand], then: @escaping @Sendable ([FlushReply]) -> Void) {
        let replies: [FlushReply] = state.withLock { state in
            guard state.isReachable else { return [] }
            return commands.map { command in
                let words = Reply(command.bytes).elements.map(\.text)
                if let refusal = state.refusal { return .error(refusal) }
                state.commands.append(command.text)
                state.values[words[1]] = words.count > 2 ? words[2] : nil
                return .done
            }
        }
        then(replies)
    }

    func set(_ change: (inout State) -> Void) { state.withLock { change(&$0) } }
    var values: [String: String] { state.withLock { $0.values } }
    var commands: [String] { state.withLock { $0.commands } }
}

/// The way to a real Redis, on a connection that is made anew when it was lost.
private final class RedisSink: WriteSink {
    private let port: UInt16

    init(port: UInt16) { self.port = port }

    func send(_ commands: [FlushCommand], then: @escaping @Sendable ([FlushReply]) -> Void) {
        var replies: [FlushReply] = []
        if let client = try? RawClient(port: port) {
            for command in commands {
                client.send(command.bytes)
                guard let reply = try? client.nextReply() else { break }
                if case .error(let text) = Reply(reply) { replies.append(.error(text)) } else { replies.append(.done) }
            }
        }
        then(replies)
    }
}

/// What came back, in order.
private final class Notes: Sendable {
    private let notes = Mutex<[String]>([])

    func add(_ note: String) { notes.withLock { $0.append(note) } }
    var all: [String] { notes.withLock { $0 } }
}

private var soon: WriteBehindRules {
    var rules = WriteBehindRules()
    rules.flushInterval = .milliseconds(1)
    return rules
}

private var late: WriteBehindRules {
    var rules = WriteBehindRules()
    rules.flushInterval = .seconds(3600)
    rules.batch = 1_000_000
    return rules
}

/// `MNT_DETACH`.
private let detaches: Int32 = 2

private let wall = Int(WallClock.nowMilliseconds)

@Suite struct WriteBehindTests {
    private let folder: TemporaryFolder
    private let loop = EventLoop("test-loop")
    private let sink = TestSink()

    init() throws { folder = try TemporaryFolder() }

    private var path: String { folder.path + "/log" }

    private func accept(_ engine: WriteBehind, _ key: String, _ value: String, _ notes: Notes) -> WriteBehind.Refusal? {
        engine.accept([PlannedWrite(key, value)], on: loop) { end in
            switch end {
            case .logged: notes.add("\(key)=\(value)")
            case .failed(let reply): notes.add(reply)
            }
        }
    }

    @Test func aWriteIsAcknowledgedFromDiskAndReadUntilItIsAtRedis() async throws {
        let engine = try WriteBehind(path, late, sink: sink)
        let notes = Notes()
        #expect(engine.overlay(PendingKey("a"), wallMs: wall) == .none)
        #expect(!engine.whenFlushed([PendingKey("a")], on: loop) { _ in notes.add("never") })
        #expect(accept(engine, "a", "1", notes) == nil)
        #expect(accept(engine, "a", "2", notes) == nil)
        try await eventually("acknowledged") { notes.all.count == 2 }
        #expect(engine.overlay(PendingKey("a"), wallMs: wall) == .value(Array("2".utf8)))
        #expect(engine.overlays([PendingKey("b"), PendingKey("a")], wallMs: wall) == [.none, .value(Array("2".utf8))])
        let names = try Files.list(path)
        #expect(names.count == 1)
        #expect(try Files.read(path + "/" + names[0]).count > 60)
        #expect(sink.commands.isEmpty)
        #expect(engine.whenFlushed([PendingKey("a")], on: loop) { notes.add("\($0)") })
        try await eventually("flushed") { notes.all.count == 3 }
        #expect(notes.all == ["a=1", "a=2", "flushed"])
        #expect(sink.commands == ["SET a 2"])
        #expect(engine.overlay(PendingKey("a"), wallMs: wall) == .none)
        let left = await engine.stop(by: .after(.seconds(20)))
        #expect(left == 0)
    }

    @Test func whatWasAcknowledgedIsSentByTheNextLife() async throws {
        sink.set { $0.isReachable = false }
        let notes = Notes()
        do {
            let engine = try WriteBehind(path, soon, sink: sink)
            for number in 0..<200 { #expect(accept(engine, "k\(number % 50)", "\(number)", notes) == nil) }
            try await eventually("acknowledged") { notes.all.count == 200 }
            let left = await engine.stop(by: .after(.milliseconds(50)))
            #expect(left == 50)
            #expect(accept(engine, "k", "late", notes) == .stopping)
            #expect(engine.whenAllFlushed(on: loop) { notes.add("\($0)") })
            try await eventually("told") { notes.all.last == "failed(reply: \"ERR Outrigger is stopping\")" }
        }
        sink.set { $0.isReachable = true }
        let engine = try WriteBehind(path, soon, sink: sink)
        try await eventually("sent") { sink.values.count == 50 }
        #expect(sink.values == Dictionary(uniqueKeysWithValues: (150..<200).map { ("k\($0 - 150)", "\($0)") }))
        let left = await engine.stop(by: .after(.seconds(20)))
        #expect(left == 0)
        #expect(try Files.list(path) == [], "nothing is left to be replayed")
    }

    @Test func whoWaitsWhileRedisIsGoneIsTold() async throws {
        sink.set { $0.isReachable = false }
        let engine = try WriteBehind(path, late, sink: sink)
        let notes = Notes()
        #expect(accept(engine, "a", "1", notes) == nil)
        #expect(engine.whenAllFlushed(on: loop) { notes.add("\($0)") })
        try await eventually("told") { notes.all.count == 2 }
        #expect(notes.all[1] == "failed(reply: \"ERR Redis cannot be reached\")")
        sink.set { $0.isReachable = true }
        engine.redisIsBack()
        #expect(engine.whenAllFlushed(on: loop) { notes.add("\($0)") })
        try await eventually("flushed") { notes.all.count == 3 }
        let isFlushed = notes.all[2] == "flushed" && sink.values["a"] == "1"
        #expect(isFlushed)
        _ = await engine.stop(by: .after(.seconds(20)))
    }

    @Test func writesOfManyLoopsAreAcknowledgedInOrderAndNoneIsLost() async throws {
        let engine = try WriteBehind(path, soon, sink: sink)
        let loops = [loop, EventLoop("test-loop-2")]
        let acknowledged = [Notes(), Notes()]
        let waiting = Atomic<Int>(0)
        for (loop, notes) in zip(loops, acknowledged) {
            let name = loop === loops[0] ? "a" : "b"
            loop.post {
                for number in 0..<3000 {
                    let plan = PlannedWrite("\(name)\(number % 37)", "\(number)")
                    let refusal = engine.accept([plan], on: loop) { end in
                        notes.add(end == .logged ? "\(number)" : "failed")
                    }
                    if refusal != nil { notes.add("refused") }
                    // Those who wait are never forgotten, whatever happens at the same time.
                    guard number % 10 == 0 else { continue }
                    waiting.add(1, ordering: .relaxed)
                    let waits = engine.whenFlushed([plan.key], on: loop) { _ in
                        waiting.subtract(1, ordering: .relaxed)
                    }
                    if !waits { waiting.subtract(1, ordering: .relaxed) }
                }
            }
        }
        try await eventually("acknowledged") { acknowledged.allSatisfy { $0.all.count == 3000 } }
        try await eventually("flushed") { waiting.load(ordering: .relaxed) == 0 }
        for notes in acknowledged { #expect(notes.all == (0..<3000).map { "\($0)" }) }
        let left = await engine.stop(by: .after(.seconds(30)))
        #expect(left == 0)
        for name in ["a", "b"] {
            for key in 0..<37 { #expect(sink.values["\(name)\(key)"] == "\((2999 - key) / 37 * 37 + key)") }
        }
        loops[1].end()
    }

    @Test func overwritingTheSameKeysWhileRedisIsGoneDoesNotFillTheDisk() async throws {
        sink.set { $0.isReachable = false }
        var rules = soon
        rules.segmentBytes = 4096
        let engine = try WriteBehind(path, rules, sink: sink)
        let notes = Notes()
        for round in 0..<40 {
            for number in 0..<50 { #expect(accept(engine, "k\(number % 5)", "\(round)-\(number)", notes) == nil) }
            try await eventually("acknowledged") { notes.all.count == (round + 1) * 50 }
        }
        let bytes = try Files.list(path).reduce(0) { $0 + (try Files.read(path + "/" + $1).count) }
        #expect(bytes < 40_000)
        _ = await engine.stop(by: .after(.zero))
        sink.set { $0.isReachable = true }
        let next = try WriteBehind(path, soon, sink: sink)
        try await eventually("sent") { sink.values.count == 5 }
        #expect(sink.values == Dictionary(uniqueKeysWithValues: (45..<50).map { ("k\($0 - 45)", "39-\($0)") }))
        _ = await next.stop(by: .after(.seconds(20)))
    }

    @Test func aFullDiskRefusesAndNothingAcknowledgedIsLost() async throws {
        let small = folder.path + "/small"
        try Files.createFolder(small)
        guard mount("tmpfs", small, "tmpfs", 0, "size=128k") == 0 else {
            print("a full disk was not tested: no right to mount one (\(String(cString: strerror(errno))))")
            return
        }
        defer { umount2(small, detaches) }
        sink.set { $0.isReachable = false }
        let notes = Notes()
        let value = String(repeating: "x", count: 9000)
        let engine = try WriteBehind(small + "/log", soon, sink: sink)
        for number in 0..<30 {
            #expect(accept(engine, "k\(number)", "\(number)" + value, notes) == nil)
            try await eventually("decided") { notes.all.count == number + 1 }
        }
        let acknowledged = notes.all.filter { $0.hasPrefix("k") }
        let refused = notes.all.filter { !$0.hasPrefix("k") }
        // Something may just be tried again. Notes of what was refused are short, and may have found room in segments of
        // their own.
        try await eventually("failures leave nothing behind") {
            let sizes = try? Files.list(small + "/log").map { try Files.read(small + "/log/" + $0).count }
            return sizes.map { !$0.contains(0) && $0.count { $0 > value.count } == 1 } ?? false
        }
        #expect(acknowledged.count > 5 && refused.count > 5)
        #expect(refused.allSatisfy { $0.hasPrefix("MISCONF ") && $0.hasSuffix("No space left on device") })
        for number in 0..<30 {
            let isPending = engine.overlay(PendingKey("k\(number)"), wallMs: wall) != .none
            #expect(isPending == acknowledged.contains("k\(number)=\(number)" + value))
        }
        // Redis is back: everything is sent, the log goes although there is no room to say so, and writes are taken again.
        sink.set { $0.isReachable = true }
        engine.redisIsBack()
        let keys = (0..<30).map { PendingKey("k\($0)") }
        try await eventually("all sent") { engine.overlays(keys, wallMs: wall).allSatisfy { $0 == .none } }
        let sent = sink.values
        for text in acknowledged {
            let parts = text.split(separator: "=")
            #expect(sent[String(parts[0])] == String(parts[1]))
        }
        #expect(sent.count == acknowledged.count)
        let before = notes.all.count
        try await eventually("taken again") {
            if notes.all.last == "again=1" { return true }
            return accept(engine, "again", "1", notes) != nil
        }
        #expect(notes.all.count > before)
        _ = await engine.stop(by: .after(.seconds(20)))
    }

    @Test func whatRedisRefusesForGoodIsKeptInAFileThatRedisCLICanSend() async throws {
        let engine = try WriteBehind(path, soon, sink: sink)
        let notes = Notes()
        sink.set { $0.refusal = "NOPERM this user has no permissions to access one of the keys" }
        #expect(accept(engine, "a", "1", notes) == nil)
        let plan = PlannedWrite("b", "2", .lifetime(endsMs: Int(WallClock.nowMilliseconds) + 90_000), in: 1)
        #expect(engine.accept([plan], on: loop) { notes.add("\($0)") } == nil)
        try await eventually("gone") {
            notes.all.count == 2 && engine.overlays([PendingKey("a"), plan.key], wallMs: wall) == [.none, .none]
        }
        let bytes = try Files.read(path + "/rejected.resp")
        let redis = try await LocalRedis.start()
        let client = try RawClient(port: redis.port)
        client.send(bytes)
        for _ in 0..<4 { #expect(Reply(try client.nextReply()).text == "OK") }
        #expect(try await redis.command("GET", "a") == "1\n")
        #expect(try await redis.command("-n", "1", "GET", "b") == "2\n")
        await redis.stop()
        let rejected = "outrigger_redis_proxy_write_behind_rejected_total"
        #expect(engine.instruments.map { $0.read() }.first { $0.metric.name == rejected }?.samples[0].value == 2)
        _ = await engine.stop(by: .after(.seconds(20)))
    }

    @Test func aRealRedisThatIsKilledMeanwhileHasEverythingInTheEnd() async throws {
        var redis = try await LocalRedis.start(["--appendonly", "yes", "--appendfsync", "always"])
        let engine = try WriteBehind(path, soon, sink: RedisSink(port: redis.port))
        let notes = Notes()
        for round in 0..<4 {
            for number in 0..<100 { #expect(accept(engine, "k\(number)", "\(round)", notes) == nil) }
            if round % 2 == 1 {
                redis.server.process.signal(SIGKILL)
                _ = try await redis.server.process.exited(within: .seconds(120))
                redis = try await redis.restarted()
            }
            try await eventually("acknowledged") { notes.all.count == 100 * (round + 1) }
        }
        #expect(engine.accept([PlannedWrite("gone", "1", .moment(ms: 1))], on: loop) { _ in } == nil)
        let left = await engine.stop(by: .after(.seconds(30)))
        #expect(left == 0)
        let client = try RawClient(port: redis.port)
        for number in 0..<100 {
            #expect(Reply(try client.ask([Array("GET".utf8), Array("k\(number)".utf8)])).text == "3")
        }
        #expect(try await redis.command("EXISTS", "gone") == "0\n")
        await redis.stop()
    }

    @Test func settingsAreReadAndChecked() throws {
        func read(_ yaml: String) throws -> WriteBehindRules {
            let settings = Settings(file: ("o.yml", try #require(try YAML.parse(yaml))), environment: [:])
            let rules = try WriteBehindRules(settings)
            try settings.finish()
            return rules
        }
        let rules = try read(
            "redis_proxy: {write_behind: {flush_interval: 200ms, batch: 7, milestones: ['order:*'], max_pending: 9}}")
        #expect(rules.flushInterval == .milliseconds(200) && rules.batch == 7 && rules.mostWrites == 9)
        #expect(rules.milestones == ["order:*"] && rules.mostBytes == 64 << 20)
        #expect(throws: SettingsError.self) { try read("redis_proxy: {write_behind: {batch: 0}}") }
    }

    @Test func metricsTellWhatIsPending() async throws {
        sink.set { $0.isReachable = false }
        let engine = try WriteBehind(path, soon, sink: sink)
        let notes = Notes()
        #expect(accept(engine, "a", "1", notes) == nil)
        try await eventually("acknowledged") { notes.all.count == 1 }
        func value(_ name: String) -> Double? {
            engine.instruments.map { $0.read() }
                .first { $0.metric.name == "outrigger_redis_proxy_write_behind_" + name }?.samples.first?.value
        }
        #expect(value("pending") == 1 && value("accepted_total") == 1 && value("refused_total") == 0)
        #expect(try #require(value("pending_bytes")) > 200)
        #expect(try #require(value("log_bytes")) > 0)
        try await eventually("sent in vain") { value("returned_total") ?? 0 > 0 }
        try await eventually("grows old") { value("oldest_seconds") ?? 0 > 0 }
        _ = await engine.stop(by: .after(.zero))
        let names = engine.instruments.map { $0.read().metric.name }
        #expect(Set(names).count == names.count && names.count == 13)
    }
}
