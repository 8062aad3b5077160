import Network
import Runtime

/// One client of the Redis in memory: what belongs to its connection, the rest is `MemoryRedis`'.
final class MemorySession: StreamOwner, BufferedClient {
    private let client: StreamConnection
    private let redis: MemoryRedis
    private var admission: ClientAdmission
    private let id: Int
    private let ended: (MemorySession) -> Void
    private let buffered: (MemorySession) -> Void
    var toldBytes = 0
    private var reader = CommandReader()
    private var database = 0
    private var version = RESPVersion.two
    private var name: [UInt8] = []
    /// Commands since `MULTI`.
    private var queue: [[[UInt8]]]?
    private var queueIsBroken = false
    /// What the queue and the watched keys take of the memory of `redis`.
    private var heldBytes = 0
    private var hasInputEnded = false
    /// Nothing more is read; the connection closes after the last reply.
    private var isEnding = false
    /// Somebody will say: its password is being judged, or it has to wait because it guesses.
    private var isWaiting = false
    /// It does not read what it is sent.
    private var isHeldBack = false
    private var watched: [MemoryRedis.Watched] = []

    private static let mostUnsentBytes = 1 << 20
    private static let mostQueued = 100_000
    /// What keeping a command costs beside its words, and a word beside its bytes.
    private static let (queuedBytes, wordBytes) = (64, 48)

    /// - Parameters:
    ///   - buffered: called when what the client has here may have changed.
    ///   - ended: called when the connection is closed.
    init(
        _ client: StreamConnection, _ redis: MemoryRedis, _ admission: ClientAdmission, id: Int,
        buffered: @escaping (MemorySession) -> Void, ended: @escaping (MemorySession) -> Void
    ) {
        self.client = client
        self.redis = redis
        self.admission = admission
        reader.isAuthenticated = !admission.mustAuthenticate
        self.id = id
        (self.buffered, self.ended) = (buffered, ended)
    }

    func secured(_ connection: StreamConnection) { admission.secured() }
    func received(_ connection: StreamConnection) { advance() }
    func closed(_ connection: StreamConnection) {
        releaseHeld()
        admission.ended()
        ended(self)
    }

    func drained(_ connection: StreamConnection) {
        isHeldBack = false
        if !isWaiting { client.resume() }
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
        guard !isWaiting else { return }
        client.takeInput { input in
            var taken = 0
            while client.isOpen, !isEnding, !isWaiting {
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
                    endWhenSent()
                }
            }
            return isEnding ? input.count : taken
        }
        if isWaiting { client.pause() }
        buffered(self)
        if hasInputEnded, !isHeldBack, !isWaiting { client.closeWhenSent() }
    }

    var bufferedBytes: Int { client.bufferBytes }
    func shed() { client.close() }

    private func endWhenSent() {
        isEnding = true
        client.closeWhenSent()
    }

    /// What the client waited for has happened.
    private func goOn() {
        isWaiting = false
        client.resume()
        advance()
    }

    private func run(_ words: [Range<Int>], in bytes: Span<UInt8>) {
        let command = CommandTable.shared.command(words, in: bytes)
        // A page that makes a browser post here would have the lines of its body carried out.
        guard command?.lane != .refused else { return client.close() }
        guard admission.admits(bytes.extracting(words[0])) else {
            return client.send { $0.append(error: ClientAccess.required) }
        }
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
        // Not while the reply is being written.
        if isEnding { client.closeWhenSent() }
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
            forgetTransaction()
            reply.append(status: "OK")
        case "watch":
            guard queue == nil else { return reply.append(error: "ERR WATCH inside MULTI is not allowed") }
            guard words.count > 1 else {
                return reply.append(error: "ERR wrong number of arguments for 'watch' command")
            }
            guard hold(words) else { return reply.append(error: MemoryFault.outOfMemory.text) }
            watched += words.dropFirst().map { redis.watch($0, database: database) }
            reply.append(status: "OK")
        case "quit":
            reply.append(status: "OK")
            isEnding = true
        case "reset":
            forgetTransaction()
            (database, version, name) = (0, .two, [])
            admission.reset()
            reader.isAuthenticated = !admission.mustAuthenticate
            reply.append(status: "RESET")
        case _ where queue != nil: enqueue(words, &reply)
        case "unwatch":
            forgetTransaction()
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
        guard hold(words) else {
            queueIsBroken = true
            return reply.append(error: MemoryFault.outOfMemory.text)
        }
        queue?.append(words)
        reply.append(status: "QUEUED")
    }

    private func execute(_ reply: inout [UInt8]) {
        guard let commands = queue else { return reply.append(error: "ERR EXEC without MULTI") }
        let conditions = watched
        forgetTransaction()
        guard !queueIsBroken else {
            return reply.append(error: "EXECABORT Transaction discarded because of previous errors.")
        }
        _ = redis.run(
            transaction: commands, unlessChanged: conditions, database: &database, version: version, reply: &reply)
    }

    /// Counts words that are kept here as memory of `redis`.
    ///
    /// - Returns: false when there is no room for them.
    private func hold(_ words: [[UInt8]]) -> Bool {
        let bytes = words.reduce(Self.queuedBytes) { $0 + $1.count + Self.wordBytes }
        guard redis.hold(bytes) else { return false }
        heldBytes += bytes
        return true
    }

    private func releaseHeld() {
        if heldBytes > 0 { redis.release(heldBytes) }
        heldBytes = 0
    }

    private func forgetTransaction() {
        (queue, watched) = (nil, [])
        releaseHeld()
    }

    private func authenticate(_ words: [[UInt8]], _ reply: inout [UInt8]) {
        let request: AuthRequest
        do throws(HelloRequest.Fault) { request = try AuthRequest(words) } catch {
            return reply.append(error: error.reply)
        }
        judge(user: request.user, password: request.password, &reply) { $0.append(status: "OK") }
    }

    /// Appends a refusal or has the rest appended; at once, or when the verdict is here.
    private func judge(
        user: [UInt8]?, password: [UInt8], _ reply: inout [UInt8], _ accepted: @escaping (inout [UInt8]) -> Void
    ) {
        let verdict = admission.judge(user: user, password: password)
        guard verdict == .unsure else { return conclude(verdict, &reply, accepted) }
        isWaiting = true
        admission.check(user: user, password: password) { [self] verdict in
            guard client.isOpen else { return }
            isWaiting = false
            client.send { conclude(verdict, &$0, accepted) }
            if !isWaiting { goOn() }
        }
    }

    private func conclude(
        _ verdict: ProxyAccess.Verdict, _ reply: inout [UInt8], _ accepted: (inout [UInt8]) -> Void
    ) {
        switch verdict {
        case .accepted(let user):
            admission.authenticated(as: user)
            reader.isAuthenticated = true
            accepted(&reply)
        case .refused(let text, let pause) where pause > .zero:
            isWaiting = true
            client.loop.after(milliseconds: pause.milliseconds) { [weak self] in
                guard let self, client.isOpen else { return }
                client.send { $0.append(error: text) }
                goOn()
            }
        case .refused(let text, _): reply.append(error: text)
        // There is no Redis to ask, and nothing that a check leaves open.
        case .askRedis, .unsure: reply.append(error: ProxyAccess.wrong)
        }
    }

    private func hello(_ words: [[UInt8]], _ reply: inout [UInt8]) {
        let request: HelloRequest
        do throws(HelloRequest.Fault) { request = try HelloRequest(words) } catch {
            return reply.append(error: error.reply)
        }
        if let credentials = request.credentials {
            return judge(user: credentials.user, password: credentials.password, &reply) { [unowned self] reply in
                greet(request, &reply)
            }
        }
        guard !admission.mustAuthenticate else { return reply.append(error: HelloRequest.needsCredentials) }
        greet(request, &reply)
    }

    private func greet(_ request: HelloRequest, _ reply: inout [UInt8]) {
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
