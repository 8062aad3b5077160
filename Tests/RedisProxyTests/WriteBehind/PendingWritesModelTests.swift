import RedisTesting
import Runtime
import TestTools
import Testing

@testable import RedisProxy

/// Random clients, disk failures, lost connections, a full Redis and crashes, with a real log in a temporary folder.
///
/// Every write has a number that grows. What must hold: a key at Redis never goes back to a smaller number; what is read
/// through the proxy is always the last acknowledged number; and when all has been sent, Redis has that.
private struct World: ~Copyable {
    private let folder: TemporaryFolder
    private let rules: PendingWrites.Rules
    private var log: WriteLog
    private var pending: PendingWrites
    private var random: Seeded
    private var nowMs = 0

    private var number = 0
    /// Numbers by sequence of what was accepted and is not decided.
    private var undecided: [(sequence: UInt64, key: PendingKey, number: Int)] = []
    /// The last acknowledged number of each key.
    private var acknowledged: [PendingKey: Int] = [:]
    private var redis: [PendingKey: Int] = [:]
    private var underWay: [FlushCommand]?
    /// What those who wait want to find at Redis.
    private var waits: [FlushBarriers.ID: [PendingKey: Int]] = [:]
    /// The log does not say yet that writes in it were refused: the one moment in which a crash may bring them back.
    private var holdsRefused = false
    private let keys = (0..<12).map { PendingKey("k\($0)", in: $0 % 2) }

    private(set) var crashes = 0
    private(set) var foreign = 0
    private(set) var released = 0
    private(set) var problems: [String] = []
    private(set) var mostLogBytes = 0

    private static let segmentBytes = 2000

    init(seed: UInt64) throws {
        let folder = try TemporaryFolder()
        var replay = WriteLog.Replay()
        let log = try WriteLog(folder.path + "/log", segmentBytes: Self.segmentBytes, replay: &replay)
        var rules = PendingWrites.Rules()
        rules.batch = 5
        rules.flightWrites = 4
        rules.mostWrites = 30
        rules.milestones = ["k3"]
        random = Seeded(seed)
        self.folder = folder
        self.rules = rules
        self.log = log
        pending = PendingWrites(rules)
    }

    mutating func step() throws {
        nowMs += Int.random(in: 0...200, using: &random)
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<35: accept()
        case 35..<52: try writeLog()
        case 52..<80: fly()
        case 80..<88: wait()
        case 88..<98: changeFromElsewhere()
        default: try crash()
        }
        check()
    }

    /// Sends everything, with nothing going wrong.
    mutating func drain() throws {
        for _ in 0..<200 where !pending.isEmpty {
            nowMs += 2000
            try writeLog(mayFail: false)
            if let commands = underWay ?? pending.nextFlight(nowMs: nowMs, wallMs: nowMs) {
                underWay = nil
                for command in commands { apply(command) }
                end(pending.answered(commands.map { _ in .done }, nowMs: nowMs))
            }
        }
        check()
        if !pending.isEmpty { problems.append("not drained") }
        if !waits.isEmpty { problems.append("\(waits.count) still wait") }
        for (key, number) in acknowledged where redis[key] != number {
            problems.append("\(key) has \(redis[key] ?? 0) at Redis, not \(number)")
        }
    }

    private mutating func accept() {
        let chosen = (0..<random.pick([1, 1, 1, 3])).map { _ in random.pick(keys) }
        let first = number
        let plans = chosen.enumerated().map { PlannedWrite($1, Array("\(first + $0 + 1)".utf8)) }
        guard let last = try? pending.accept(plans, wallMs: nowMs) else { return }
        number += chosen.count
        for (index, key) in chosen.enumerated() {
            undecided.append((last + 1 - UInt64(chosen.count - index), key, first + index + 1))
        }
    }

    private mutating func writeLog(mayFail: Bool = true) throws {
        guard pending.hasLogWork else { return }
        let isOvergrown = log.sizeBytes > 2 * pending.sizeBytes + 4 * Self.segmentBytes
        let batch = pending.nextBatch(carriesAll: isOvergrown || random.chance(0.1))
        if mayFail, random.chance(0.1) {
            // What was refused may stand on the disk all the same.
            if random.chance(0.5) {
                try log.append(batch)
                holdsRefused = true
            }
            end(pending.logFailed())
            guard pending.canEmptyLog else { return }
            try log.empty()
            holdsRefused = false
            return end(pending.logEmptied())
        }
        try log.append(batch)
        holdsRefused = false
        end(pending.logged(nowMs: nowMs))
        try log.trim(below: pending.floor)
        mostLogBytes = max(mostLogBytes, log.sizeBytes)
    }

    /// Commands leave, or those that left are answered.
    private mutating func fly() {
        guard let commands = underWay else {
            underWay = pending.nextFlight(nowMs: nowMs, wallMs: nowMs)
            return
        }
        underWay = nil
        if random.chance(0.3) {
            // Redis has carried out more than it could tell.
            let told = Int.random(in: 0..<commands.count, using: &random)
            let done = Int.random(in: told...commands.count, using: &random)
            for command in commands[..<done] { apply(command) }
            return end(pending.answered(Array(repeating: .done, count: told), nowMs: nowMs))
        }
        var replies: [FlushReply] = []
        for command in commands {
            let isFull = random.chance(0.1)
            if !isFull { apply(command) }
            replies.append(isFull ? .error("OOM command not allowed") : .done)
        }
        end(pending.answered(replies, nowMs: nowMs))
    }

    private mutating func wait() {
        let chosen = [random.pick(keys), random.pick(keys)]
        let everything = random.chance(0.2)
        let answer = everything ? pending.waitForAll(nowMs: nowMs) : pending.wait(for: chosen, nowMs: nowMs)
        guard case .until(let id) = answer else { return }
        waits[id] = acknowledged.filter { everything || chosen.contains($0.key) }
    }

    /// Somebody forwards a change of a key of which nothing is pending, which makes its number larger.
    private mutating func changeFromElsewhere() {
        let key = random.pick(keys)
        guard case .nothing = pending.wait(for: [key], nowMs: nowMs) else {
            // The wait is not part of what is checked.
            return
        }
        number += 1
        foreign += 1
        redis[key] = number
        acknowledged[key] = number
    }

    /// The process ends, perhaps while it writes the log or while Redis carries out commands; and is started again.
    private mutating func crash() throws {
        guard !holdsRefused else { return }
        crashes += 1
        if let commands = underWay {
            for command in commands.prefix(Int.random(in: 0...commands.count, using: &random)) { apply(command) }
        }
        if pending.hasLogWork, random.chance(0.5) {
            let batch = pending.nextBatch()
            if random.chance(0.5) {
                // On disk, but nobody was told: as good as acknowledged.
                try log.append(batch)
                for write in batch.writes.joined() { decide(through: write.sequence, isLogged: true) }
            } else if let name = try Files.list(folder.path + "/log").last {
                let file = try AppendFile(folder.path + "/log/" + name)
                try file.append(random.bytes(upTo: 60))
            }
        }
        (underWay, undecided, waits) = (nil, [], [:])
        var replay = WriteLog.Replay()
        log = try WriteLog(folder.path + "/log", segmentBytes: Self.segmentBytes, replay: &replay)
        pending = PendingWrites(rules, replay: replay, nowMs: nowMs, wallMs: nowMs)
        if replay.damages > 0 { problems.append("damages") }
    }

    private mutating func apply(_ command: FlushCommand) {
        let words = Reply(command.bytes).elements.map(\.text)
        let key = PendingKey(words[1], in: command.database)
        let number = Int(words[2]) ?? 0
        if number < redis[key, default: 0] { problems.append("\(words[1]) goes from \(redis[key] ?? 0) to \(number)") }
        redis[key] = number
    }

    private mutating func end(_ steps: [PendingWrites.Step]) {
        for step in steps {
            switch step {
            case .acknowledge(let through): decide(through: through, isLogged: true)
            case .refuse(let through): decide(through: through, isLogged: false)
            case .release(let ids):
                for id in ids {
                    guard let wanted = waits.removeValue(forKey: id) else { continue }
                    released += 1
                    for (key, number) in wanted where redis[key, default: 0] < number {
                        problems.append("released too early")
                    }
                }
            case .fail(let ids, _): for id in ids { waits[id] = nil }
            }
        }
    }

    private mutating func decide(through: UInt64, isLogged: Bool) {
        while let next = undecided.first, next.sequence <= through {
            undecided.removeFirst()
            if isLogged { acknowledged[next.key] = next.number }
        }
    }

    private mutating func check() {
        for key in keys {
            let pendingNumber = pending.newest(key).flatMap { Int(String(decoding: $0.value, as: UTF8.self)) }
            let seen = pendingNumber ?? redis[key]
            if seen != acknowledged[key] { problems.append("\(key) reads \(seen ?? 0), not \(acknowledged[key] ?? 0)") }
        }
        if pending.count > 30 { problems.append("\(pending.count) writes are pending") }
    }
}

@Suite struct PendingWritesModelTests {
    @Test(arguments: 1...6 as ClosedRange<UInt64>) func nothingAcknowledgedIsLostOrOvertaken(_ seed: UInt64) throws {
        var world = try World(seed: seed)
        for _ in 0..<2000 {
            try world.step()
            if !world.problems.isEmpty { break }
        }
        try world.drain()
        #expect(world.problems.prefix(3) == [], "seed \(seed)")
        #expect(world.crashes > 5 && world.foreign > 20 && world.released > 10)
        #expect(world.mostLogBytes < 40_000)
    }
}
