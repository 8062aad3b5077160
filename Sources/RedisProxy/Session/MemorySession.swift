import Network
import Runtime

/// One client of the Redis in memory: what belongs to its connection, the rest is `MemoryRedis`'.
final class MemorySession: StreamOwner {
    private let client: StreamConnection
    private let redis: MemoryRedis
    private var admission: ClientAdmission
    private let id: Int
    private let ended: (MemorySession) -> Void
    private var reader = CommandReader()
    private var database = 0
    private var version = RESPVersion.two
    private var name: [UInt8] = []
    /// Commands since `MULTI`.
    private var queue: [[[UInt8]]]?
    private var queueIsBroken = false
    private var hasInputEnded = false
    /// It does not read what it is sent.
    private var isHeldBack = false
    private var watched: [MemoryRedis.Watched] = []

    private static let mostUnsentBytes = 1 << 20
    private static let mostQueued = 100_000

    init(
        _ client: StreamConnection, _ redis: MemoryRedis, _ admission: ClientAdmission, id: Int,
        ended: @escaping (MemorySession) -> Void
    ) {
        self.client = client
        self.redis = redis
        self.admission = admission
        reader.isAuthenticated = !admission.mustAuthenticate
        self.id = id
        self.ended = ended
    }

    func secured(_ connection: StreamConnection) { admission.secured() }
    func received(_ connection: StreamConnection) { advance() }
    func closed(_ connection: StreamConnection) {
        admission.ended()
        ended(self)
    }

    func drained(_ connection: StreamConnection) {
        isHeldBack = false
        client.resume()
        advance()
    }

    func ended(_ connection: StreamConnection) {
        hasInputEnded = true
        advance()
    }

    func dropIfRevoked() { if admission.isRevoked { client.close() } }

    /// Takes no more commands, and closes once the replies have left.
    func drain() {
        client.pause()
        client.closeWhenSent()
    }

    private func advance() {
        client.takeInput { input in
            var taken = 0
            while client.isOpen {
                guard client.unsentBytes < Self.mostUnsentBytes else {
                    isHeldBack = true
                    client.pause()
                    return taken
                }
                let rest = input.extracting(droppingFirst: taken)
                switch reader.next(in: rest) {
                case .incomplete: return taken
                case .empty(let length): taken += length
                case .command(let length):
                    taken += length
                    run(reader.arguments, in: rest)
                case .inline(let length):
                    taken += length
                    let rewritten = reader.rewritten
                    run(reader.arguments, in: rewritten.span)
                case .failed(let fault):
                    client.send { fault.append(to: &$0) }
                    client.closeWhenSent()
                    return input.count
                }
            }
            return taken
        }
        if hasInputEnded, !isHeldBack { client.closeWhenSent() }
    }

    private func run(_ words: [Range<Int>], in bytes: Span<UInt8>) {
        guard admission.admits(bytes.extracting(words[0])) else {
            return client.send { $0.append(error: ClientAccess.required) }
        }
        let command = CommandTable.shared.command(words, in: bytes)
        if queue == nil, command?.lane == .shared || command?.lane == .slow {
            var reply: [UInt8] = []
            redis.run(words, in: bytes, database: &database, version: version, reply: &reply)
            return client.send(reply.span)
        }
        let copies = words.map { range in
            var copy: [UInt8] = []
            copy.append(bytes: bytes.extracting(range))
            return copy
        }
        client.send { answer(copies, &$0) }
    }

    private func answer(_ words: [[UInt8]], _ reply: inout [UInt8]) {
        let verb = lowercased(words[0])
        switch verb {
        case "multi":
            guard queue == nil else { return reply.append(error: "ERR MULTI calls can not be nested") }
            (queue, queueIsBroken) = ([], false)
            reply.append(status: "OK")
        case "exec": execute(&reply)
        case "discard":
            guard queue != nil else { return reply.append(error: "ERR DISCARD without MULTI") }
            (queue, watched) = (nil, [])
            reply.append(status: "OK")
        case "watch":
            guard queue == nil else { return reply.append(error: "ERR WATCH inside MULTI is not allowed") }
            guard words.count > 1 else {
                return reply.append(error: "ERR wrong number of arguments for 'watch' command")
            }
            watched += words.dropFirst().map { redis.watch($0, database: database) }
            reply.append(status: "OK")
        case "quit":
            reply.append(status: "OK")
            client.closeWhenSent()
        case "reset":
            (queue, watched, database, version, name) = (nil, [], 0, .two, [])
            admission.reset()
            reader.isAuthenticated = !admission.mustAuthenticate
            reply.append(status: "RESET")
        case _ where queue != nil: enqueue(words, &reply)
        case "unwatch":
            watched = []
            reply.append(status: "OK")
        case "hello": hello(words, &reply)
        case "auth": authenticate(words, &reply)
        case "client": answerClient(words, &reply)
        default:
            var text: [UInt8] = []
            text.append(arrayOf: words.count)
            for word in words { text.append(bulk: word.span) }
            var again = CommandReader()
            let span = text.span
            guard case .command = again.next(in: span) else { return }
            redis.run(again.arguments, in: span, database: &database, version: version, reply: &reply)
        }
    }

    private func enqueue(_ words: [[UInt8]], _ reply: inout [UInt8]) {
        if let refusal = redis.refusal(of: words) {
            queueIsBroken = true
            return reply.append(error: refusal)
        }
        guard let count = queue?.count, count < Self.mostQueued else {
            queueIsBroken = true
            return reply.append(error: "ERR too many commands in a transaction")
        }
        queue?.append(words)
        reply.append(status: "QUEUED")
    }

    private func execute(_ reply: inout [UInt8]) {
        guard let commands = queue else { return reply.append(error: "ERR EXEC without MULTI") }
        let conditions = watched
        (queue, watched) = (nil, [])
        guard !queueIsBroken else {
            return reply.append(error: "EXECABORT Transaction discarded because of previous errors.")
        }
        _ = redis.run(
            transaction: commands, unlessChanged: conditions, database: &database, version: version, reply: &reply)
    }

    private func authenticate(_ words: [[UInt8]], _ reply: inout [UInt8]) {
        let request: AuthRequest
        do throws(HelloRequest.Fault) { request = try AuthRequest(words) } catch {
            return reply.append(error: error.reply)
        }
        if let refusal = judge(user: request.user, password: request.password) { return reply.append(error: refusal) }
        reply.append(status: "OK")
    }

    /// - Returns: what to reply instead when the client is not who it says.
    private func judge(user: [UInt8]?, password: [UInt8]) -> String? {
        switch admission.judge(user: user, password: password) {
        case .accepted(let user):
            admission.authenticated(as: user)
            reader.isAuthenticated = true
            return nil
        case .refused(let reply): return reply
        case .askRedis: preconditionFailure("there is no Redis to ask")
        }
    }

    private func hello(_ words: [[UInt8]], _ reply: inout [UInt8]) {
        let request: HelloRequest
        do throws(HelloRequest.Fault) { request = try HelloRequest(words) } catch {
            return reply.append(error: error.reply)
        }
        if let credentials = request.credentials {
            if let refusal = judge(user: credentials.user, password: credentials.password) {
                return reply.append(error: refusal)
            }
        } else if admission.mustAuthenticate {
            return reply.append(error: HelloRequest.needsCredentials)
        }
        if let version = request.version { self.version = version }
        if let name = request.name { self.name = name }
        HelloReply.append(version, id: id, to: &reply)
    }

    private func answerClient(_ words: [[UInt8]], _ reply: inout [UInt8]) {
        switch words.count > 1 ? lowercased(words[1]) : "" {
        case "setname" where words.count == 3:
            name = words[2]
            reply.append(status: "OK")
        case "getname":
            let known = name
            if known.isEmpty { reply.append(nullIn: version) } else { reply.append(bulk: known.span) }
        case "id": reply.append(integer: id)
        case "setinfo", "no-evict", "no-touch": reply.append(status: "OK")
        default: reply.append(error: "ERR unknown subcommand or wrong number of arguments for 'client'")
        }
    }

    private func lowercased(_ word: [UInt8]) -> String { String(decoding: word.prefix(32), as: UTF8.self).lowercased() }
}
