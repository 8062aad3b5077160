import Network
import Runtime

/// One connection to Postgres: its login, and then whoever has it. For the loop's thread.
final class ServerConnection: StreamOwner {
    enum State {
        case askingForTLS
        case loggingIn
        /// In the pool, for anybody.
        case idle
        /// A client has it.
        case active
        /// Nobody has it, and it is not ready for anybody: a client has left it in the middle, it is being asked whether
        /// it lives, or a cancel request is on its way.
        case settling
        case closed
    }

    let pool: Pool
    let number: Int
    let host: Upstream.Host
    let openedAtMs: Int
    private(set) var connection: StreamConnection?
    private(set) var state: State
    private var login: ServerLogin
    private(set) var welcome = ServerLogin.Welcome()

    // MARK: What it is doing

    weak var client: ClientSession?
    private(set) var replies = ReplyQueue()
    private(set) var status = TransactionStatus.idle
    /// Something of the extended protocol was sent after the last Sync.
    private(set) var needsSync = false
    /// After an error, until the next Sync is sent: nothing of what is sent counts.
    private(set) var isSkipping = false
    private(set) var isCopyingIn = false
    /// Of a message of which a part has come: bytes to come, and whether they are the client's.
    private var (left, leftIsForwarded) = (0, false)
    private(set) var statements = ServerStatements()
    /// Which client's unnamed statement is there; 0 for none.
    var unnamed: UInt64 = 0

    // MARK: What its session is like

    /// Nil while it is not known: then `owner`, if it is still there, has changed it.
    private(set) var profile: SettingsProfile?
    private(set) weak var owner: ClientSession?
    /// Who left it changed said so, and did not just run code that may have.
    private(set) var isSurelyChanged = false
    private var needsFullReset = false
    private(set) var parameters: ReportedParameters
    /// It is not to be used again.
    var isSpent = false
    /// It goes when nobody has it: it was opened under other settings.
    var isOutdated = false
    /// A client has left, and its session must not be seen by another.
    var needsCleaning = false
    private var captured: [[UInt8]: [UInt8]] = [:]
    private var capturedFor: ClientSession?
    private var foundPins: SessionEffects = []

    // MARK: Times and counts

    private(set) var idleSinceMs = 0
    private(set) var leases = 0
    var cancels = 0
    /// When whoever settles it gives up.
    private(set) var settleByMs: Int?
    private(set) var leasedAtNs = 0
    private(set) var queryStartedNs = 0
    private(set) var transactionStartedNs = 0
    private(set) var idleInTransactionSinceNs = 0

    /// A message that is understood here must not be longer; rows are not.
    private static let mostUnderstood = 64 << 10

    init(_ pool: Pool, _ host: Upstream.Host, number: Int) {
        (self.pool, self.host, self.number) = (pool, host, number)
        let key = pool.key
        let upstream = pool.pooler.upstream
        login = ServerLogin(user: key.user, password: upstream.password(of: key.user), usesTLS: false)
        parameters = pool.pooler.reported.none
        openedAtMs = pool.pooler.loop.nowMs
        profile = pool.pooler.profiles.none
        state = .loggingIn
        guard let connection = host.address.connect(on: pool.pooler.loop) else {
            state = .closed
            return
        }
        self.connection = connection
        connection.owner = self
        connection.isReadToTheEnd = true
        if host.tls != nil, upstream.tlsMode.asks {
            state = .askingForTLS
            connection.send { bytes in
                bytes.append(int32: 8)
                bytes.append(int32: 1234 << 16 | 5679)
            }
        } else {
            beginLogin(usesTLS: false)
        }
    }

    private func beginLogin(usesTLS: Bool) {
        let key = pool.key
        login = ServerLogin(
            user: key.user, password: pool.pooler.upstream.password(of: key.user), usesTLS: usesTLS,
            certificateHash: nil)
        login.isHarmlessInPlain = host.isLocal
        state = .loggingIn
        let packet = ServerLogin.request(user: key.user, database: key.database, key.parameters)
        connection?.send(packet.span)
    }

    var isReady: Bool {
        switch state {
        case .idle, .active, .settling: true
        case .askingForTLS, .loggingIn, .closed: false
        }
    }

    // MARK: The socket

    func secured(_ connection: StreamConnection) { beginLogin(usesTLS: true) }

    func received(_ connection: StreamConnection) {
        switch state {
        case .askingForTLS: takeTLSAnswer(connection)
        case .loggingIn: connection.takeInput { takeLogin($0) }
        case .idle, .active, .settling:
            let client = client
            connection.takeInput { takeReplies($0) }
            // Whoever gets the server next has its statement on the way before the answer to the last one is.
            afterReplies()
            client?.connection.sendNow()
        case .closed: break
        }
    }

    private func takeTLSAnswer(_ connection: StreamConnection) {
        var answer: UInt8?
        connection.takeInput { bytes in
            answer = bytes.count > 0 ? bytes[0] : nil
            return min(1, bytes.count)
        }
        switch answer {
        case UInt8(ascii: "S"): if let tls = host.tls { connection.secure(tls) }
        case UInt8(ascii: "N") where !pool.pooler.upstream.tlsMode.insists: beginLogin(usesTLS: false)
        case UInt8(ascii: "N"): fail(.fatal("08001", "the server does not support TLS, but TLS was required"))
        // A server that is so old, or so busy, that it answers with an error in its own words.
        case UInt8(ascii: "E"): fail(.fatal("08001", "the server refused the connection before the login"))
        case nil: break
        default: fail(.fatal("08P01", "the server answered the request for TLS with something else"))
        }
    }

    private func takeLogin(_ bytes: Span<UInt8>) -> Int {
        var place = 0
        while bytes.count - place >= Frame.headBytes, state == .loggingIn {
            guard let frame = Frame(bytes, at: place), frame.size <= Self.mostUnderstood else {
                fail(.protocolViolation("the server sent a message that no login has"))
                return bytes.count
            }
            guard bytes.count - place >= frame.size else { break }
            let body = place + Frame.headBytes..<place + frame.size
            place += frame.size
            follow(login.take(frame.type, bytes.extracting(body)))
        }
        return place
    }

    private func follow(_ step: ServerLogin.Step) {
        switch step {
        case .goOn: break
        case .send(let message): connection?.send(message.span)
        case .salt(let salting):
            pool.pooler.salted.salt(salting) { [weak self] salted in
                guard let self, state == .loggingIn else { return }
                follow(login.proceed(salted: salted))
            }
        case .done: finishLogin()
        case .refused(let body): pool.refused(self, body)
        case .failed(let complaint): fail(complaint)
        }
    }

    private func finishLogin() {
        welcome = login.welcome
        guard pool.pooler.upstream.attributes.suits(welcome) else {
            return fail(.fatal("08001", "\(host.name) is not what target_session_attrs asks for"))
        }
        parameters = pool.pooler.reported.set(welcome.parameters)
        state = .settling
        pool.opened(self)
    }

    private func fail(_ complaint: Complaint) {
        var body: [UInt8] = []
        complaint.write(to: &body)
        pool.refused(self, body)
    }

    func ended(_ connection: StreamConnection) { connection.close() }

    func drained(_ connection: StreamConnection) { client?.serverDrained() }

    func closed(_ connection: StreamConnection) {
        let before = state
        state = .closed
        self.connection = nil
        switch before {
        case .askingForTLS, .loggingIn:
            let why = connection.failure.map { "\($0)" } ?? "the server closed the connection"
            var body: [UInt8] = []
            Complaint.fatal("08006", "connect to \(host.name): \(why)").write(to: &body)
            pool.refused(self, body)
        case .idle, .active, .settling: pool.lost(self)
        case .closed: break
        }
    }

    /// Says goodbye, and is gone.
    func close() {
        guard state != .closed else { return }
        state = .closed
        connection?.owner = nil
        connection?.send { $0.append(frame: FromClient.terminate) }
        connection?.closeWhenSent()
        connection = nil
    }

    func pause() { connection?.pause() }

    func resume() { connection?.resume() }

    // MARK: Sending

    var unsentBytes: Int { connection?.unsentBytes ?? 0 }

    func send(_ bytes: Span<UInt8>) { connection?.send(bytes) }

    func sendNow() { connection?.sendNow() }

    func send(_ write: (inout [UInt8]) -> Void) { connection?.send(write) }

    /// A message is sent to which this is the reply.
    func expect(_ entry: ReplyQueue.Entry) {
        switch entry.kind {
        case .sync:
            // The server ignores it. Who sends one there is answered as Postgres would, and gets no other client after it.
            guard !isCopyingIn else {
                isSpent = true
                return
            }
            (needsSync, isSkipping) = (false, false)
        case .copyEnd:
            isCopyingIn = false
            guard !isSkipping, !replies.isEmpty else { return }
        case .query, .functionCall:
            guard !isSkipping else { return }
            needsSync = false
            if entry.kind == .query { unnamed = 0 }
        default:
            guard !isSkipping else { return }
            needsSync = true
        }
        if replies.isEmpty { begin() }
        replies.append(entry)
        if entry.isOwn { answerOwn() }
    }

    private func begin() {
        let now = pool.pooler.loop.nowNs
        queryStartedNs = now
        idleInTransactionSinceNs = 0
        if transactionStartedNs == 0 { transactionStartedNs = now }
    }

    /// A question of the proxy's own, in simple protocol.
    private func ask(_ sql: [UInt8], _ use: ReplyQueue.Use) {
        connection?.send { $0.append(query: sql) }
        expect(ReplyQueue.Entry(.query, use))
    }

    // MARK: Statements

    /// Sees to it that a statement is prepared here. Nothing that is sent counts while it skips.
    func prepare(_ text: PreparedText) {
        guard !isSkipping, !statements.use(text.id) else { return }
        connection?.send { bytes in
            bytes.append(frame: FromClient.parse) {
                $0.append(zeroTerminated: text.serverName)
                $0.append(contentsOf: text.body)
            }
        }
        willPrepare(text, .nobody, isRenamed: true)
        pool.counts.serverParses += 1
    }

    /// The same ahead of a message of the simple protocol, which a Parse that fails must not take with it.
    func prepareByItself(_ text: PreparedText) {
        guard !isSkipping, !statements.use(text.id) else { return }
        prepare(text)
        connection?.send { $0.append(frame: FromClient.sync) }
        expect(ReplyQueue.Entry(.sync, .nobody))
    }

    /// A Parse of it is sent.
    func willPrepare(_ text: PreparedText, _ use: ReplyQueue.Use, isRenamed: Bool) {
        expect(ReplyQueue.Entry(.parse, use, statement: text.id, isRenamed: isRenamed))
        guard !isSkipping else { return }
        statements.add(text.id)
        guard let victim = statements.evict(limit: pool.pooler.rules.mostPrepared) else { return }
        drop(victim)
    }

    private func drop(_ id: UInt32) {
        connection?.send { bytes in
            bytes.append(frame: FromClient.close) {
                $0.append(UInt8(ascii: "S"))
                $0.append(zeroTerminated: "\(PreparedText.prefix)\(id)".utf8)
            }
        }
        expect(ReplyQueue.Entry(.close, .nobody, statement: id))
    }

    func hasPrepared(_ text: PreparedText) -> Bool { statements.use(text.id) }

    /// Makes the unnamed statement the one with this number; `body` nil for none.
    func setUnnamed(_ serial: UInt64, _ body: [UInt8]?) {
        guard unnamed != serial, !isSkipping else { return }
        unnamed = serial
        connection?.send { bytes in
            if let body {
                bytes.append(frame: FromClient.parse) {
                    $0.append(0)
                    $0.append(contentsOf: body)
                }
            } else {
                bytes.append(frame: FromClient.close) {
                    $0.append(UInt8(ascii: "S"))
                    $0.append(0)
                }
            }
        }
        expect(ReplyQueue.Entry(body == nil ? .close : .parse, .nobody))
        if body != nil { pool.counts.serverParses += 1 }
    }

    // MARK: Belonging to a client

    /// Gives it to a client, and makes its session the client's in the same write.
    func lease(to client: ClientSession) {
        state = .active
        self.client = client
        leases += 1
        leasedAtNs = pool.pooler.loop.nowNs
        client.take(self)
        guard pool.key.mode != .session else { return }
        let wanted = client.profile
        if let profile {
            // The server's configuration may have changed since the client was told.
            guard profile !== wanted else { return tellParameters() }
            if !profile.isEmpty { ask(Self.settingsReset, .nobody) }
        } else {
            guard owner !== client else { return }
            captureForOwner()
            ask(reset, .nobody)
            pool.counts.resets += 1
        }
        if !wanted.isEmpty {
            ask(wanted.replay, .nobody)
            pool.counts.replays += 1
        }
        hasChanged(to: wanted)
    }

    private func hasChanged(to profile: SettingsProfile) {
        (self.profile, owner, isSurelyChanged, needsFullReset, needsCleaning) = (profile, nil, false, false, false)
        unnamed = 0
    }

    /// Asks what the settings are that its last client has left, so that it can have them elsewhere.
    private func captureForOwner() {
        guard let owner, owner.isOpen else { return }
        owner.holder = nil
        owner.isCaptured = true
        captured = [:]
        capturedFor = owner
        ask(Self.capture(owner.customSettings), .settings)
        pool.counts.captures += 1
    }

    /// Its client has changed its session, or may have.
    func taint(by client: ClientSession, _ effects: SessionEffects) {
        profile = nil
        owner = client
        client.holder = self
        if effects.contains(.settings) { isSurelyChanged = true }
        if effects.contains(.unknownCode) { needsFullReset = true }
    }

    private var reset: [UInt8] { needsFullReset || foundPins != [] ? Self.fullReset : Self.settingsReset }

    /// Takes it from its client: it is used by nobody until it is ready again.
    func unlease() {
        client = nil
        state = .settling
    }

    /// Into the pool.
    func rest() {
        state = .idle
        idleSinceMs = pool.pooler.loop.nowMs
        settleByMs = nil
        transactionStartedNs = 0
        idleInTransactionSinceNs = 0
    }

    /// Makes a session that was left in any way into a new one; it settles when that is done.
    func clean() {
        state = .settling
        settleByMs = pool.pooler.loop.nowMs + Self.settleMs
        if pool.key.mode == .session {
            ask(status == .idle ? Self.discardAll : Self.rollback, .nobody)
            if status != .idle { ask(Self.discardAll, .nobody) }
            statements.removeAll()
        } else {
            captureForOwner()
            ask((status == .idle ? [] : Self.rollback + Array("; ".utf8)) + Self.fullReset, .nobody)
        }
        hasChanged(to: pool.pooler.profiles.none)
    }

    func ping() {
        state = .settling
        settleByMs = pool.pooler.loop.nowMs + Self.pingMs
        ask([], .nobody)
    }

    /// Waits for the replies to what its client has left behind.
    ///
    /// - Parameter isInHaste: what still runs is not wanted any more.
    func settle(isInHaste: Bool) {
        unlease()
        settleByMs = isInHaste ? pool.pooler.loop.nowMs + Self.settleMs : nil
    }

    /// Whether it becomes quiet without a further word from its client.
    var endsByItself: Bool { !needsSync && !isCopyingIn && !isSkipping }

    /// Nobody wants its settings any more.
    func forgetOwner() { (owner, isSurelyChanged) = (nil, false) }

    /// Whether nothing is under way here.
    var isQuiet: Bool { replies.isEmpty && !needsSync && left == 0 }

    /// Whether a transaction of nobody's is open when all is quiet.
    var isOutsideTransaction: Bool { status == .idle }

    /// For the connection that listens.
    func askForEar(_ sql: [UInt8]) { ask(sql, .nobody) }

    func askForPins() { ask(Self.pinsQuery, .pins) }

    private static let settleMs = 10_000
    private static let pingMs = 5_000
    private static let discardAll = Array("DISCARD ALL".utf8)
    private static let rollback = Array("ROLLBACK".utf8)
    private static let settingsReset = Array("RESET SESSION AUTHORIZATION; RESET ALL; ".utf8)
    private static let fullReset = Array(
        """
        RESET SESSION AUTHORIZATION; RESET ALL; CLOSE ALL; UNLISTEN *; SELECT pg_catalog.pg_advisory_unlock_all(); \
        DISCARD SEQUENCES; DISCARD TEMP; 
        """.utf8)
    private static let pinsQuery = Array(
        """
        SELECT (SELECT pg_catalog.count(*) FROM pg_catalog.pg_locks WHERE locktype OPERATOR(pg_catalog.=) 'advisory' \
        AND pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()), \
        (SELECT pg_catalog.count(*) FROM pg_catalog.pg_class WHERE relnamespace OPERATOR(pg_catalog.=) \
        pg_catalog.pg_my_temp_schema()), \
        (SELECT pg_catalog.count(*) FROM pg_catalog.pg_cursors WHERE is_holdable), \
        (SELECT pg_catalog.count(*) FROM pg_catalog.pg_prepared_statements WHERE from_sql), \
        (SELECT pg_catalog.count(*) FROM pg_catalog.pg_listening_channels())
        """.utf8)

    private static func capture(_ custom: Set<[UInt8]>) -> [UInt8] {
        var sql = Array(
            """
            SELECT name, pg_catalog.current_setting(name) FROM pg_catalog.pg_settings WHERE source OPERATOR(pg_catalog.=) \
            'session' UNION ALL SELECT 'role', pg_catalog.current_setting('role') UNION ALL \
            SELECT 'session_authorization', session_user::pg_catalog.text
            """.utf8)
        for name in custom {
            sql.append(contentsOf: " UNION ALL SELECT ".utf8)
            sql.append(literal: name)
            sql.append(contentsOf: ", pg_catalog.current_setting(".utf8)
            sql.append(literal: name)
            sql.append(contentsOf: ", true)".utf8)
        }
        return sql
    }

    // MARK: Replies

    /// Forwards what is the client's, and keeps the rest.
    private func takeReplies(_ bytes: Span<UInt8>) -> Int {
        var place = 0
        var unsent = 0
        while place < bytes.count {
            if left > 0 {
                let part = min(left, bytes.count - place)
                left -= part
                if !leftIsForwarded {
                    forward(bytes, unsent..<place)
                    unsent = place + part
                }
                place += part
                continue
            }
            guard bytes.count - place >= Frame.headBytes else { break }
            guard let frame = Frame(bytes, at: place) else {
                Log.warn("Postgres sent what is no message", ["server": host.name])
                isSpent = true
                connection?.close()
                return bytes.count
            }
            let isWhole = bytes.count - place >= frame.size
            let isForwarded: Bool
            switch frame.type {
            case FromServer.dataRow:
                let use = replies.first?.use ?? .client
                isForwarded = use == .client
                guard isForwarded || use == .nobody || isWhole else { return finish(bytes, unsent, place) }
                if use == .settings || use == .pins {
                    keep(row: bytes.extracting(place + Frame.headBytes..<place + frame.size), use)
                }
            case FromClient.copyData: isForwarded = true
            default:
                if !isWhole, frame.size <= Self.mostUnderstood { return finish(bytes, unsent, place) }
                if isWhole {
                    let body = bytes.extracting(place + Frame.headBytes..<place + frame.size)
                    // What is ours to say comes before this message, not after it.
                    if needsRewriting(frame.type) {
                        forward(bytes, unsent..<place)
                        rewrite(frame.type, body)
                        unsent = place + frame.size
                    }
                    isForwarded = take(frame.type, body) && unsent <= place
                } else {
                    isForwarded = takeLong(frame.type)
                }
            }
            let part = min(frame.size, bytes.count - place)
            if !isForwarded, unsent <= place {
                forward(bytes, unsent..<place)
                unsent = place + part
            }
            place += part
            (left, leftIsForwarded) = (frame.size - part, isForwarded)
            if let next = replies.first, next.isOwn {
                forward(bytes, unsent..<place)
                unsent = place
                answerOwn()
            }
        }
        return finish(bytes, unsent, place)
    }

    private func finish(_ bytes: Span<UInt8>, _ unsent: Int, _ place: Int) -> Int {
        forward(bytes, unsent..<max(unsent, place))
        return place
    }

    private func forward(_ bytes: Span<UInt8>, _ range: Range<Int>) {
        guard !range.isEmpty else { return }
        pool.counts.sentBytes += range.count
        client?.send(bytes.extracting(range))
    }

    /// - Returns: whether the message is the client's.
    private func take(_ type: UInt8, _ body: Span<UInt8>) -> Bool {
        let use = replies.first?.use ?? .client
        switch type {
        case FromServer.parseComplete: return complete(.parse)
        case FromServer.bindComplete: return complete(.bind)
        case FromServer.closeComplete: return complete(.close)
        case FromServer.rowDescription, FromServer.noData:
            return replies.first?.kind == .describe ? complete(.describe) : use == .client
        case FromServer.commandComplete:
            noteTag(body)
            return replies.first?.kind == .execute ? complete(.execute) : use == .client
        case FromServer.emptyQuery, FromServer.portalSuspended:
            return replies.first?.kind == .execute ? complete(.execute) : use == .client
        case FromServer.readyForQuery: return takeReady(body)
        case FromServer.error: return takeError(body)
        case FromServer.parameterStatus: return takeParameter(body)
        case FromServer.copyIn, FromServer.copyBoth:
            isCopyingIn = type == FromServer.copyIn
            if isCopyingIn, replies.dropIgnoredSyncs() { needsSync = true }
            if isCopyingIn, client == nil { refuseCopy() }
            return use == .client
        case FromServer.notification:
            pool.ear?.notified(body)
            return true
        default: return use == .client
        }
    }

    /// Whoever was to copy something in is gone.
    private func refuseCopy() {
        connection?.send { bytes in
            bytes.append(frame: FromClient.copyFail) { $0.append(zeroTerminated: "client gone".utf8) }
        }
        expect(ReplyQueue.Entry(.copyEnd))
    }

    /// A message too long to be looked at.
    private func takeLong(_ type: UInt8) -> Bool {
        switch type {
        case FromServer.parameterStatus: isSpent = true
        case FromServer.rowDescription where replies.first?.kind == .describe: return complete(.describe)
        case FromServer.error: return takeError([UInt8]().span)
        default: break
        }
        return (replies.first?.use ?? .client) == .client
    }

    private func complete(_ kind: ReplyQueue.Kind) -> Bool {
        guard let entry = replies.first else {
            isSpent = true
            return true
        }
        guard entry.kind == kind else {
            if pool.key.mode != .session { isSpent = true }
            return entry.use == .client
        }
        replies.popFirst()
        if kind == .execute, entry.statement != 0 {
            statements.remove(entry.statement)
            client?.dropped(entry.statement)
        }
        if kind == .parse, entry.statement != 0, entry.use == .client { client?.confirm() }
        return entry.use == .client
    }

    /// Says what is the proxy's to say, once it is its turn.
    private func answerOwn() {
        while let entry = replies.first, entry.isOwn {
            replies.popFirst()
            client?.confirm()
            client?.send {
                $0.append(
                    frame: entry.kind == .ownParseComplete ? FromServer.parseComplete : FromServer.closeComplete)
            }
        }
    }

    private func noteTag(_ body: Span<UInt8>) {
        // "DISCARD ALL" and "DEALLOCATE ALL", of whatever protocol: nothing is prepared here any more.
        guard body.count == 12 || body.count == 15, body[0] == UInt8(ascii: "D"),
            body[body.count - 2] == UInt8(ascii: "L"), body[body.count - 4] == UInt8(ascii: "A")
        else { return }
        statements.removeAll()
        guard replies.first?.use == .client, pool.key.mode != .session else { return }
        guard body.count == 12 else {
            client?.forgetStatements()
            return
        }
        hasChanged(to: pool.pooler.profiles.none)
        client?.wasDiscarded()
    }

    private func takeReady(_ body: Span<UInt8>) -> Bool {
        guard body.count == 1, let status = TransactionStatus(rawValue: body[0]) else {
            isSpent = true
            return true
        }
        self.status = status
        isCopyingIn = false
        while let entry = replies.first, !entry.endsWithReady { replies.popFirst() }
        let entry = replies.popFirst()
        let use = entry?.use ?? .client
        noteTimes(use)
        switch use {
        case .client: return true
        case .nobody: tellParameters()
        case .settings: finishCapture()
        case .pins: client?.pinsFound(foundPins)
        }
        return false
    }

    private func noteTimes(_ use: ReplyQueue.Use) {
        let now = pool.pooler.loop.nowNs
        if use == .client {
            pool.counts.queries += 1
            pool.counts.queryNs += now - queryStartedNs
            client?.statementEnded(tookNs: now - queryStartedNs)
        }
        if replies.isEmpty { queryStartedNs = 0 } else { queryStartedNs = now }
        if status == .idle {
            if use == .client {
                pool.counts.transactions += 1
                pool.counts.transactionNs += now - transactionStartedNs
            }
            transactionStartedNs = replies.isEmpty ? 0 : now
            idleInTransactionSinceNs = 0
        } else {
            idleInTransactionSinceNs = now
        }
    }

    private func takeError(_ body: Span<UInt8>) -> Bool {
        isCopyingIn = false
        guard let entry = replies.first else { return true }
        if entry.use == .client { client?.failed() }
        // It has become a standby: what was believed of the others is as old.
        if pool.pooler.upstream.attributes.wantsPrimary, ComplaintFields(body).code == "25006" { pool.doubt() }
        switch entry.kind {
        case .query, .functionCall:
            if entry.use != .client {
                // What the proxy itself asked for cannot fail in a session that is to be used again.
                isSpent = true
                let fields = ComplaintFields(body)
                Log.warn("Postgres refused what the proxy asked", ["error": fields.message])
                if entry.use == .settings { abandonCapture()?.captureFailed() }
                // Its session is not what it believes it to be.
                client?.refuse(
                    .fatal(fields.code.isEmpty ? "58000" : fields.code, "restore the session: \(fields.message)"))
            }
            return entry.use == .client
        default:
            if ComplaintFields(body).code == "0A000", entry.statement != 0 { stale = entry.statement }
            let hasSync = replies.skipToSync { skipped in
                switch skipped.kind {
                case .parse where skipped.statement != 0: statements.remove(skipped.statement)
                case .close where skipped.statement != 0: statements.add(skipped.statement)
                case .parse where skipped.use == .nobody: unnamed = 0
                default: break
                }
                guard skipped.use == .client else { return }
                if skipped.isOwn || skipped.kind == .parse && skipped.statement != 0 { client?.undo() }
            }
            if !hasSync { isSkipping = true }
            return true
        }
    }

    /// A statement whose plan no longer fits its tables; it is dropped once that is possible.
    private var stale: UInt32 = 0

    private func needsRewriting(_ type: UInt8) -> Bool {
        type == FromServer.error && replies.first?.isRenamed == true
    }

    /// Tells an error with the name that the client gave its statement.
    private func rewrite(_ type: UInt8, _ body: Span<UInt8>) {
        guard let entry = replies.first, let name = client?.name(ofStatement: entry.statement) else {
            client?.send { bytes in bytes.append(frame: type) { $0.append(bytes: body) } }
            return
        }
        let text = Array("\"\(PreparedText.prefix)\(entry.statement)\"".utf8)
        var renamed: [UInt8] = []
        var place = 0
        while place < body.count {
            if body[place] == text[0], body.count - place >= text.count,
                body.holds(place..<place + text.count, equalTo: text, at: 0)
            {
                renamed.append(text[0])
                renamed.append(contentsOf: name)
                renamed.append(text[0])
                place += text.count
            } else {
                renamed.append(body[place])
                place += 1
            }
        }
        client?.send { bytes in bytes.append(frame: type) { $0.append(contentsOf: renamed) } }
    }

    private func takeParameter(_ body: Span<UInt8>) -> Bool {
        guard let nameEnd = body.zero(from: 0, before: body.count),
            let valueEnd = body.zero(from: nameEnd + 1, before: body.count)
        else { return true }
        parameters = pool.pooler.reported.setting(
            body.array(0..<nameEnd), to: body.array(nameEnd + 1..<valueEnd), in: parameters)
        // Of what the proxy has set, the client is told at the end, and only what it does not know.
        guard (replies.first?.use ?? .client) == .client else { return false }
        client?.parameters = parameters
        return true
    }

    private func tellParameters() {
        guard let client, client.parameters !== parameters else { return }
        client.tell(parameters)
    }

    private func keep(row body: Span<UInt8>, _ use: ReplyQueue.Use) {
        guard body.count >= 2 else { return }
        var place = 2
        var columns: [[UInt8]?] = []
        for _ in 0..<body.int16(at: 0) {
            guard body.count - place >= 4 else { return }
            let size = body.int32(at: place)
            place += 4
            guard size >= 0 else {
                columns.append(nil)
                continue
            }
            guard body.count - place >= size else { return }
            columns.append(body.array(place..<place + size))
            place += size
        }
        if use == .settings {
            guard columns.count == 2, let name = columns[0], let value = columns[1], captured.count < 1000 else {
                return
            }
            captured[name] = value
        } else {
            let kinds: [SessionEffects] = [.advisoryLock, .temporary, .holdCursor, .sqlPrepare, .listen]
            foundPins = []
            for (kind, count) in zip(kinds, columns) where count != Array("0".utf8) { foundPins.insert(kind) }
        }
    }

    private func finishCapture() {
        if captured[SettingsProfile.role] == Array("none".utf8) { captured[SettingsProfile.role] = nil }
        if captured[SettingsProfile.sessionAuthorization] == pool.key.user {
            captured[SettingsProfile.sessionAuthorization] = nil
        }
        let owner = capturedFor
        capturedFor = nil
        owner?.captured(pool.pooler.profiles.profile(captured))
        captured = [:]
    }

    /// What a capture that will not come leaves its client without.
    func abandonCapture() -> ClientSession? {
        defer { capturedFor = nil }
        return capturedFor
    }

    private func afterReplies() {
        guard state != .closed else { return }
        if stale != 0, replies.isEmpty, !needsSync, status == .idle, statements.use(stale) {
            statements.remove(stale)
            let name = "\(PreparedText.prefix)\(stale)"
            ask(Array("DEALLOCATE \"\(name)\"".utf8), .nobody)
            stale = 0
        }
        if let client { client.repliesCame() } else { pool.settled(self) }
        if let client, client.isCrowded { pause() }
    }
}
