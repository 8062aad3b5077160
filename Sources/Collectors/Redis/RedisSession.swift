import Databases
import Runtime

/// A connection, what is known of the server behind it, and what that server refuses.
///
/// A command that was refused for good, because it is unknown or not allowed, is never sent again on this connection: the
/// refusal is remembered and given as the reply.
final class RedisSession {
    let server: RedisServer
    let openedAt = ContinuousClock.now
    private let connection: RedisConnection
    private var refusals: [String: String] = [:]
    private var database: Int

    var connectTime: Duration { connection.connectTime }
    var isOpen: Bool { connection.isOpen }

    init(to address: RedisAddress, clientName: String?, by deadline: Deadline) throws(RedisError) {
        connection = try RedisConnection(to: address, clientName: clientName, by: deadline)
        database = address.database
        let reply = try connection.pipeline([RedisCommand("INFO", "SERVER")], by: deadline)[0]
        if let reason = reply.errorText, reason.hasPrefix("NOAUTH") { throw .loginRefused(reason) }
        server = RedisServer(info: reply.text ?? "")
    }

    /// Sends what the server did not refuse yet, in one round trip. There is a reply for every command.
    func ask(_ commands: [RedisCommand], by deadline: Deadline) throws(RedisError) -> [RedisReply] {
        let wanted = refusals.isEmpty ? commands : commands.filter { refusals[$0.name] == nil }
        let answers = try connection.pipeline(wanted, by: deadline)
        for (command, answer) in zip(wanted, answers) {
            if let reason = answer.errorText, CollectorErrorClass(refusal: reason).isFinal {
                refusals[command.name] = reason
            }
        }
        guard wanted.count < commands.count else { return answers }
        var rest = answers[...]
        return commands.map { command in
            if wanted.contains(command) { return rest.popFirst() ?? .null }
            return .error(refusals[command.name] ?? "")
        }
    }

    /// The same in a numbered database, which stays chosen. Nil when there is no such database.
    func ask(
        _ commands: [RedisCommand], in database: Int, by deadline: Deadline
    ) throws(RedisError) -> [RedisReply]? {
        guard database != self.database else { return try ask(commands, by: deadline) }
        let replies = try ask(
            [RedisCommand("SELECT", "\(database)", name: "SELECT \(database)")] + commands, by: deadline)
        guard replies[0].errorText == nil else { return nil }
        self.database = database
        return Array(replies.dropFirst())
    }
}

extension CollectorErrorClass {
    /// The class of an error reply, by the word it begins with.
    init(refusal reason: String) {
        let lowered = reason.lowercased()
        if ["NOPERM", "NOAUTH", "WRONGPASS", "ERR invalid password"].contains(where: { reason.hasPrefix($0) }) {
            self = .permission
        } else if lowered.hasPrefix("err unknown") || lowered.contains("unknown command")
            || lowered.contains("wrong number of arguments") || lowered.contains("not supported")
            || lowered.contains("command is not available") || lowered.contains("disabled")
        {
            self = .missing
        } else {
            self = .other
        }
    }

    /// Whether asking again is pointless: the server will not learn the command, nor change its mind, while we are
    /// connected.
    fileprivate var isFinal: Bool { self == .permission || self == .missing }

    init(_ error: RedisError) {
        switch error {
        case .timedOut: self = .timeout
        case .loginRefused: self = .permission
        case .cannotResolve, .cannotConnect: self = .missing
        case .closed, .protocolBroken, .replyTooLong: self = .protocol
        case .refused(_, let reason): self = CollectorErrorClass(refusal: reason)
        case .tlsUnsupported: self = .other
        }
    }
}
