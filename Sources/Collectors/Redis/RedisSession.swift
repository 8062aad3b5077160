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
    private let clientName: String?
    private let tls: RedisTLS
    private var database: Int
    /// Other nodes of the cluster, by `host:port`; nil when keys are not followed to them.
    private var nodes: [String: RedisConnection]?

    var connectTime: Duration { connection.connectTime }
    var isOpen: Bool { connection.isOpen }

    /// - Parameter followsKeys: asks the node of a cluster that holds a key, where this one does not.
    init(
        to address: RedisAddress, clientName: String?, tls: RedisTLS = RedisTLS(), followsKeys: Bool = false,
        by deadline: Deadline
    ) throws(RedisError) {
        self.tls = tls
        nodes = followsKeys ? [:] : nil
        connection = try RedisConnection(to: address, clientName: clientName, tls: tls, by: deadline)
        database = address.database
        self.clientName = clientName
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
        guard database != self.database else {
            let replies = try ask(commands, by: deadline)
            return nodes == nil ? replies : try followed(replies, to: commands, by: deadline)
        }
        let replies = try ask(
            [RedisCommand("SELECT", "\(database)", name: "SELECT \(database)")] + commands, by: deadline)
        guard replies[0].errorText == nil else { return nil }
        self.database = database
        return Array(replies.dropFirst())
    }

    /// Asks again, where the reply was `MOVED 3999 192.0.2.1:6381`, what that node says. A node that does not answer leaves
    /// the reply as it is.
    private func followed(
        _ replies: [RedisReply], to commands: [RedisCommand], by deadline: Deadline
    ) throws(RedisError) -> [RedisReply] {
        var places: [String: [Int]] = [:]
        for (index, reply) in replies.enumerated() {
            guard let words = reply.errorText?.split(separator: " "), words.count == 3, words[0] == "MOVED" else {
                continue
            }
            places[String(words[2]), default: []].append(index)
        }
        var followed = replies
        for (node, indexes) in places {
            do throws(RedisError) {
                let answers = try connection(to: node, by: deadline).pipeline(
                    indexes.map { commands[$0] }, by: deadline)
                for (index, answer) in zip(indexes, answers) { followed[index] = answer }
            } catch {
                nodes?[node] = nil
                Log.warn("node of the redis cluster not asked", ["node": node, "error": "\(error)"])
            }
        }
        return followed
    }

    private func connection(to node: String, by deadline: Deadline) throws(RedisError) -> RedisConnection {
        if let known = nodes?[node], known.isOpen { return known }
        let colon = node.lastIndex(of: ":") ?? node.endIndex
        guard let port = UInt16(node[colon...].dropFirst()) else { throw .protocolBroken("MOVED to \(node)") }
        var address = connection.address
        if colon > node.startIndex {
            address.endpoint = .tcp(host: String(node[..<colon]), port: port)
        } else if case .tcp(let host, _) = address.endpoint {
            // A node that does not know its own name leaves it to us, who reached it.
            address.endpoint = .tcp(host: host, port: port)
        }
        address.database = 0
        let opened = try RedisConnection(to: address, clientName: clientName, tls: tls, by: deadline)
        nodes?[node] = opened
        return opened
    }
}

extension CollectorErrorClass {
    /// The class of an error reply, by the word it begins with.
    init(refusal reason: String) {
        let lowered = reason.lowercased()
        if ["NOPERM", "NOAUTH", "WRONGPASS", "ERR invalid password"].contains(where: { reason.hasPrefix($0) }) {
            self = .permission
        } else if lowered.contains("max number of clients") {
            self = .connection
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
        case .cannotResolve, .cannotConnect, .closed, .tls: self = .connection
        case .protocolBroken, .replyTooLong: self = .protocol
        case .refused(_, let reason): self = CollectorErrorClass(refusal: reason)
        }
    }
}
