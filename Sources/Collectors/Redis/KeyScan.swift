import Databases
import Runtime

/// One walk with SCAN through the keys of a database that match a pattern; it may take several scrapes.
///
/// SCAN tells every key that is there from the beginning to the end of a walk at least once, and holds no state in the
/// server: the cursor is all there is to keep. <https://redis.io/docs/latest/commands/scan/>
struct KeyScan {
    enum Step: Equatable {
        case more, finished
        case failed(String)
    }

    let target: DatabaseKey
    private let keeps: Bool
    private let type: String?
    private var cursor: [UInt8] = [UInt8(ascii: "0")]
    private var found: [[UInt8]] = []
    private var foundCount = 0

    /// Keys of the latest walk that came to its end, or of the first one so far; empty when they are only counted.
    private(set) var keys: [[UInt8]] = []
    /// Matching keys of the latest walk that came to its end.
    private(set) var count: Int?

    /// - Parameters:
    ///   - keeps: whether the keys are wanted, not only their number.
    ///   - type: only keys of this type, which needs Redis 6.
    init(_ target: DatabaseKey, keeps: Bool, type: String? = nil) {
        self.target = target
        self.keeps = keeps
        self.type = type
    }

    /// Whether a walk is under way that an earlier scrape began.
    var isUnfinished: Bool { cursor != [UInt8(ascii: "0")] }

    func command(batchSize: Int, server: RedisServer) -> RedisCommand {
        var words = [Array("SCAN".utf8), cursor, Array("MATCH".utf8), target.key]
        words += ["COUNT", "\(batchSize)"].map { Array($0.utf8) }
        if let type, server.isAtLeast(6) { words += ["TYPE", type].map { Array($0.utf8) } }
        return RedisCommand(words, name: "SCAN")
    }

    /// - Parameter limit: keys that are kept at most.
    mutating func take(_ reply: RedisReply, limit: Int) -> Step {
        if let reason = reply.errorText {
            restart()
            return .failed(reason)
        }
        guard let parts = reply.elements, parts.count == 2, let next = parts[0].bytes, let batch = parts[1].elements
        else {
            restart()
            return .failed("SCAN answered something else")
        }
        foundCount += batch.count
        if keeps {
            for key in batch where found.count < limit {
                if let key = key.bytes { found.append(Array(key)) }
            }
        }
        cursor = Array(next)
        if count == nil { keys = found }
        guard !isUnfinished else { return .more }
        keys = found
        count = foundCount
        restart()
        return .finished
    }

    private mutating func restart() {
        cursor = [UInt8(ascii: "0")]
        found = []
        foundCount = 0
    }
}

/// Several walks that share the time and the keys that one scrape may spend.
struct KeyScans {
    private(set) var scans: [KeyScan]
    private let options: RedisOptions
    private var next = 0

    init(_ targets: [DatabaseKey], keeps: Bool, type: String? = nil, options: RedisOptions) {
        scans = targets.map { KeyScan($0, keeps: keeps, type: type) }
        self.options = options
    }

    /// How many walks the next scrape goes on with.
    var unfinished: Int { scans.count { $0.isUnfinished } }

    /// Takes every walk to its end, or until this scrape's share is used up; the next scrape begins with the walk that was
    /// cut off. Refusals are noted in `result`.
    mutating func advance(_ context: CheckContext, _ result: inout CheckResult) throws(RedisError) {
        var keysLeft = options.scanKeysLimit
        for offset in 0..<scans.count {
            let index = (next + offset) % scans.count
            walk: while true {
                guard keysLeft > 0, !context.scanDeadline.hasPassed else {
                    next = index
                    return
                }
                keysLeft -= options.checkKeysBatchSize
                let command = scans[index].command(
                    batchSize: options.checkKeysBatchSize, server: context.session.server)
                let replies = try context.session.ask([command], in: scans[index].target.database, by: context.deadline)
                switch scans[index].take(replies?.first ?? .error("no such database"), limit: options.matchingKeysLimit)
                {
                case .more: continue
                case .finished: break walk
                case .failed(let reason):
                    result.note(.error(reason))
                    break walk
                }
            }
        }
        next = 0
    }
}
