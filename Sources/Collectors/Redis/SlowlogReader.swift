import Databases
import Metrics

/// SLOWLOG and, on Valkey, COMMANDLOG.
struct SlowlogReader {
    let base: Labels

    static let length = RedisCommand("SLOWLOG", "LEN", name: "SLOWLOG LEN")
    static let newest = RedisCommand("SLOWLOG", "GET", "1", name: "SLOWLOG GET")

    static let commandLogLengths = RedisMetrics.commandLogLengths.map {
        RedisCommand("COMMANDLOG", "LEN", $0.log, name: "COMMANDLOG LEN")
    }

    func length(_ reply: RedisReply) -> [Family] {
        reply.integer.map { [Family(RedisMetrics.slowlogLength, Double($0), base)] } ?? []
    }

    /// An entry is `[id, when, microseconds, [words of the command], …]`. An empty log is told as zeros.
    func newest(_ reply: RedisReply) -> [Family] {
        guard let entries = reply.elements else { return [] }
        let entry = entries.first?.elements ?? []
        let id = entry.first?.integer ?? 0
        let microseconds = entry.count > 2 ? entry[2].integer ?? 0 : 0
        return [
            Family(RedisMetrics.slowlogLastID, Double(id), base),
            Family(RedisMetrics.lastSlowExecutionDurationSeconds, Double(microseconds) / 1e6, base),
        ]
    }

    func commandLogLength(_ reply: RedisReply, of index: Int) -> [Family] {
        reply.integer.map { [Family(RedisMetrics.commandLogLengths[index].metric, Double($0), base)] } ?? []
    }
}
