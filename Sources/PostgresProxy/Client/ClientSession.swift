import Network
import Runtime

/// One client: its login, its session as it believes to have it, and the messages it sends. For the loop's thread.
final class ClientSession: StreamOwner {
    enum Stage {
        /// Nothing is known of it yet.
        case greeting
        case proving(SCRAMServer?)
        /// Let in as far as the proxy is concerned; the server's word is still out.
        case entering
        case serving
        case inConsole(ConsoleSession)
        case closed
    }

    let pooler: Pooler
    let connection: StreamConnection
    /// A name for it; in session mode clients see their server's number instead.
    let number: Int32
    let connectedAtMs: Int
    private(set) var stage = Stage.greeting
    private(set) var request: LoginRequest?
    private(set) var pool: Pool?
    private(set) var key: CancelKey?
    private var hasAskedForTLS = false
    private var hasAskedForGSS = false

    // MARK: Its session

    private(set) var server: ServerConnection?
    /// Its settings, unless `holder` has later ones.
    private(set) var profile: SettingsProfile
    /// A server whose session it has changed, and which nobody else has had since.
    weak var holder: ServerConnection?
    /// Its settings are on their way from a server that was given to another.
    var isCaptured = false
    /// What it was last told.
    var parameters: ReportedParameters
    private(set) var customSettings: Set<[UInt8]> = []
    private var statements: [[UInt8]: PreparedText] = [:]
    /// What Parse and Close have changed that is not answered yet, the oldest first.
    private var undoLog: [(name: [UInt8], before: PreparedText?, batch: Int)] = []
    private var batch = 0
    private enum Unnamed {
        case none
        case kept(UInt64)
        case long
    }
    private var unnamed = Unnamed.none
    private var unnamedBody: [UInt8] = []
    private var unnamedEffects: SessionEffects = []
    private var unnamedFamily = StatementFamily.other
    /// What the unnamed statement acts on, where that is one of this client's own names.
    private var unnamedTarget: (text: PreparedText, drops: Bool)?
    /// What the unnamed portal drops once it is executed.
    private var portalDrops: PreparedText?
    private(set) var pins: SessionEffects = []
    private var isPinnedByLongStatement: Bool { if case .long = unnamed { true } else { false } }
    private var asksForPins = false

    // MARK: Its messages

    /// Of a message of which a part has come: bytes to come, and whether they go to the server.
    private var (left, leftIsForwarded) = (0, true)
    /// After an error of the proxy's: everything up to the next Sync is dropped.
    private var skipsToSync = false
    private var isPumping = false
    private var waitsForReplies = false
    private var isPausedForServer = false
    private var hasSaidGoodbye = false
    /// It has asked to listen, and is not told yet that it does.
    private var waitsForEar = false
    /// Set while it listens by the connection that all share.
    private var ear: Ear?
    private var channels: Set<[UInt8]> = []
    /// Notifications that came while a server had its attention.
    private var unheard: [UInt8] = []
    private var hasEnded = false
    /// Since when it is only waited until it has taken the last word.
    private var endsSinceMs: Int?

    // MARK: Waiting

    /// 0 while it does not wait.
    var waitTicket = 0
    var waitsSinceNs = 0
    private var wasTold = false
    private(set) var lastActiveMs: Int
    var isWaiting: Bool { waitTicket != 0 }
    /// How its last statement was served.
    private(set) var last = LastStatement()

    /// Longer texts are not looked at, and kept by nobody.
    private static let mostUnderstood = 64 << 10
    private static let mostStatements = 20_000
    private static let mostReplies = 65_536
    private static let pileBytes = 512 << 10
    private static let mostUnheardBytes = 8 << 20
    private static let lastWordMs = 5_000

    init(_ connection: StreamConnection, _ pooler: Pooler, number: Int32) {
        (self.connection, self.pooler, self.number) = (connection, pooler, number)
        connectedAtMs = pooler.loop.nowMs
        lastActiveMs = connectedAtMs
        profile = pooler.profiles.none
        parameters = pooler.reported.none
    }

    var isOpen: Bool { if case .closed = stage { false } else { true } }
    /// Whether its login is done.
    var isIn: Bool { if case .serving = stage { true } else { false } }
    /// Whether it has said nothing yet that leads anywhere.
    var isGuest: Bool {
        switch stage {
        case .greeting, .proving: true
        default: false
        }
    }
    var isCrowded: Bool { connection.unsentBytes >= Self.pileBytes }
    var mode: PoolMode { pool?.key.mode ?? .session }
    /// Whether it keeps its server between transactions, for a reason of its own.
    var isPinned: Bool { !pins.isEmpty || isPinnedByLongStatement }
    var isInStatement: Bool { server.map { !$0.isQuiet } ?? false }

    // MARK: The socket

    func secured(_ connection: StreamConnection) {}

    func received(_ connection: StreamConnection) {
        lastActiveMs = pooler.loop.nowMs
        switch stage {
        case .greeting: greet()
        case .proving: takePassword()
        case .entering: holdBack()
        case .serving: pump()
        case .inConsole(let console): console.received()
        case .closed: break
        }
    }

    func drained(_ connection: StreamConnection) {
        server?.resume()
        if case .inConsole = stage { return }
        pump()
    }

    func ended(_ connection: StreamConnection) {
        hasEnded = true
        pump()
        if !isOwedItsLastStatement { connection.closeWhenSent() }
    }

    func closed(_ connection: StreamConnection) {
        if case .closed = stage { return }
        let wasIn = pool != nil
        stage = .closed
        if wasIn { leave() }
        pooler.forget(self)
    }

    /// The end, with the reason.
    func refuse(_ complaint: Complaint) {
        connection.send { $0.append(complaint) }
        end()
    }

    /// The same with the body of a server's own ErrorResponse.
    func refuse(_ body: [UInt8]) {
        connection.send { bytes in bytes.append(frame: FromServer.error) { $0.append(contentsOf: body) } }
        end()
    }

    private func end() {
        endsSinceMs = endsSinceMs ?? pooler.loop.nowMs
        connection.pause()
        connection.closeWhenSent()
    }

    func send(_ bytes: Span<UInt8>) { connection.send(bytes) }

    func send(_ write: (inout [UInt8]) -> Void) { connection.send(write) }

    /// It has sent a statement, said goodbye, and waits for a server: the statement is still to be done.
    private var isOwedItsLastStatement: Bool {
        guard isIn, isWaiting || waitsForReplies || waitsForEar else { return false }
        var endsInGoodbye = false
        connection.takeInput { bytes in
            let end: [UInt8] = [FromClient.terminate, 0, 0, 0, 4]
            endsInGoodbye =
                bytes.holds(
                    max(0, bytes.count - end.count)..<bytes.count, equalTo: end, at: 0) && bytes.count >= end.count
            return 0
        }
        return endsInGoodbye
    }

    /// Input that nobody can take yet has a bound.
    private func holdBack() {
        var held = 0
        connection.takeInput {
            held = $0.count
            return 0
        }
        if held > Self.mostUnderstood * 4 { pauseForServer() }
    }

    private func pauseForServer() {
        guard !isPausedForServer else { return }
        isPausedForServer = true
        connection.pause()
    }

    // MARK: Login

    private func greet() {
        var reading = StartupRequest.Reading.incomplete
        connection.takeInput { bytes in
            // A client of PostgreSQL 17 and later may begin with TLS itself.
            guard bytes.count == 0 || bytes[0] != 0x16 else {
                reading = .broken(.protocolViolation("direct TLS is not offered here"))
                return bytes.count
            }
            reading = StartupRequest.read(bytes)
            if case .complete(_, let size) = reading { return size }
            return 0
        }
        switch reading {
        case .incomplete: break
        case .broken(let complaint): refuse(complaint)
        case .complete(.tls, _): answerTLS()
        case .complete(.gssEncryption, _): answerGSS()
        case .complete(.cancel(let key), _):
            pooler.cancels.request(key)
            connection.close()
        case .complete(.login(let request), _): begin(request)
        }
    }

    private func answerTLS() {
        guard !hasAskedForTLS, !connection.usesTLS else {
            return refuse(.protocolViolation("unsupported frontend protocol 1234.5679: server supports 3.0 to 3.0"))
        }
        hasAskedForTLS = true
        guard let tls = pooler.access.tls, !connection.peer.isUnixSocket else {
            connection.send { $0.append(UInt8(ascii: "N")) }
            return greet()
        }
        connection.send { $0.append(UInt8(ascii: "S")) }
        connection.secure(tls)
    }

    private func answerGSS() {
        guard !hasAskedForGSS else {
            return refuse(.protocolViolation("unsupported frontend protocol 1234.5680: server supports 3.0 to 3.0"))
        }
        hasAskedForGSS = true
        connection.send { $0.append(UInt8(ascii: "N")) }
        greet()
    }

    private func begin(_ request: LoginRequest) {
        self.request = request
        if request.minor > LoginRequest.newestMinor || !request.unknownOptions.isEmpty {
            connection.send { bytes in
                bytes.append(frame: FromServer.negotiate) {
                    $0.append(int32: 3 << 16 | request.spokenMinor)
                    $0.append(int32: request.unknownOptions.count)
                    for option in request.unknownOptions { $0.append(zeroTerminated: option) }
                }
            }
        }
        guard pooler.hasRoom(for: self) else { return refuse(.fatal("53300", "sorry, too many clients already")) }
        switch pooler.access.verdict(on: request.user, from: connection.peer, usesTLS: connection.usesTLS) {
        case .admitted: admitted()
        case .refused(let complaint): refuse(complaint)
        case .mustProve(let verifier, let isDoomed):
            stage = .proving(nil)
            verifierToProve = (verifier, isDoomed)
            connection.send { bytes in
                bytes.append(frame: FromServer.authentication) {
                    $0.append(int32: 10)
                    $0.append(zeroTerminated: SCRAM.plain.utf8)
                    $0.append(0)
                }
            }
            takePassword()
        }
    }

    private var verifierToProve: (verifier: SCRAM.Verifier, isDoomed: Bool)?

    private func takePassword() {
        var message: [UInt8]?
        var fault: Complaint?
        connection.takeInput { bytes in
            guard bytes.count >= Frame.headBytes else { return 0 }
            guard let frame = Frame(bytes, at: 0), frame.type == FromClient.password, frame.size <= 4096 else {
                fault = .protocolViolation("expected SASL response, got message type \(bytes[0])")
                return bytes.count
            }
            guard bytes.count >= frame.size else { return 0 }
            message = bytes.array(Frame.headBytes..<frame.size)
            return frame.size
        }
        if let fault { return refuse(fault) }
        guard let message, case .proving(let scram) = stage else { return }
        do throws(SCRAMServer.Fault) {
            if let scram {
                try finishSCRAM(scram, message)
            } else {
                try beginSCRAM(message)
            }
        } catch {
            switch error {
            case .malformed(let words): refuse(.protocolViolation(words))
            case .wrongPassword:
                pooler.metrics.wrongPasswords.add()
                let user = String(decoding: request?.user ?? [], as: UTF8.self)
                refuse(.fatal("28P01", "password authentication failed for user \"\(user)\""))
            }
        }
    }

    private func beginSCRAM(_ message: [UInt8]) throws(SCRAMServer.Fault) {
        guard let (verifier, isDoomed) = verifierToProve, let end = message.firstIndex(of: 0), message.count >= end + 5
        else {
            throw .malformed("malformed SASL response")
        }
        let length = message.span.int32(at: end + 1)
        guard length == message.count - end - 5 else { throw .malformed("malformed SASL response") }
        var scram = SCRAMServer(verifier, isDoomed: isDoomed)
        let challenge = try scram.take(first: Array(message[(end + 5)...]), mechanism: Array(message[..<end]))
        stage = .proving(scram)
        sendSASL(11, challenge)
        takePassword()
    }

    private func finishSCRAM(_ scram: SCRAMServer, _ message: [UInt8]) throws(SCRAMServer.Fault) {
        let answer = try scram.take(final: message)
        verifierToProve = nil
        sendSASL(12, answer)
        admitted()
    }

    private func sendSASL(_ kind: Int, _ text: [UInt8]) {
        connection.send { bytes in
            bytes.append(frame: FromServer.authentication) {
                $0.append(int32: kind)
                $0.append(contentsOf: text)
            }
        }
    }

    private func admitted() {
        guard let request else { return }
        stage = .entering
        if pooler.isConsole(request.database) {
            connection.send { bytes in bytes.append(frame: FromServer.authentication) { $0.append(int32: 0) } }
            let console = ConsoleSession(connection, request, pooler)
            stage = .inConsole(console)
            return console.begin()
        }
        if pooler.isShuttingDown { return refuse(.fatal("57P01", "the proxy is shutting down")) }
        if let complaint = pooler.refusal(of: request.database) { return refuse(complaint) }
        var rules = pooler.rules
        if !pooler.features.isOn(.pooling, for: request.user.span) { rules.mode = .session }
        let admission = Admission(request, rules)
        let pool = pooler.pool(admission.key)
        self.pool = pool
        profile = pooler.profiles.profile(admission.settings)
        pool.join()
        // A session has its server from the beginning, and sees what that one says.
        if admission.key.mode == .session {
            if pool.lease(to: self), let server { leased(server) }
        } else {
            pool.enter(self)
        }
    }

    /// What the server says about itself is known: the login is done.
    func enter(_ welcome: ServerLogin.Welcome) {
        guard case .entering = stage, let request else { return }
        let isSession = mode == .session
        let secret = Secrets.random(request.spokenMinor >= 2 ? 32 : 4)
        let key = CancelKey(pid: isSession ? server?.welcome.pid ?? welcome.pid : pooler.freePID(), secret: secret)
        self.key = key
        pooler.cancels.add(key, self)
        var pairs = welcome.parameters
        let now = server?.parameters.values ?? [:]
        for index in pairs.indices {
            let name = pairs[index].name
            if let value = profile.values[name] ?? now[name] { pairs[index].value = value }
        }
        parameters = pooler.reported.set(pairs)
        connection.send { bytes in
            bytes.append(frame: FromServer.authentication) { $0.append(int32: 0) }
            for (name, value) in pairs { bytes.append(parameter: name, value) }
            bytes.append(frame: FromServer.backendKey) {
                $0.append(int32: Int(key.pid))
                $0.append(contentsOf: key.secret)
            }
            bytes.append(ready: .idle)
        }
        stage = .serving
        resumeReading()
        pump()
    }

    private func resumeReading() {
        guard isPausedForServer else { return }
        isPausedForServer = false
        connection.resume()
    }

    // MARK: Servers

    /// It has a server now.
    func leased(_ server: ServerConnection) {
        self.server = server
        last.waitedNs = pooler.loop.nowNs - waitsSinceNs
        wasTold = false
        if case .entering = stage { return enter(server.welcome) }
        resumeReading()
        pump()
    }

    func serverDrained() {
        resumeReading()
        pump()
    }

    /// Everything that the server has sent was dealt with.
    func repliesCame() {
        guard let server else { return }
        if isCrowded { return server.pause() }
        if waitsForReplies, server.replies.isEmpty {
            waitsForReplies = false
            resumeReading()
            pump()
        }
        giveBackIfDone()
    }

    private func giveBackIfDone() {
        guard let server, server.isQuiet, left == 0, !waitsForReplies else { return }
        guard mode != .session, endsSinceMs == nil else { return }
        if !server.isOutsideTransaction {
            if mode == .statement {
                refuse(.protocolViolation("transaction blocks are not allowed in statement pooling mode"))
            }
            return
        }
        if isPinned {
            guard asksForPins else { return }
            asksForPins = false
            return server.askForPins()
        }
        self.server = nil
        pool?.giveBack(server)
        hearNow()
        if pooler.isShuttingDown { leaveIfIdle() }
    }

    /// Whether it still needs its server, by what the server has found.
    func pinsFound(_ found: SessionEffects) {
        pins = found
        pooler.notePins()
    }

    /// The server is gone. So is everything that was under way.
    func serverLost() {
        server = nil
        // Postgres' own clients would see the same.
        end()
    }

    /// The settings that it has left on a server.
    func captured(_ profile: SettingsProfile) {
        isCaptured = false
        self.profile = profile
        pool?.serve()
        if server == nil { pump() }
    }

    /// Its settings are lost.
    func captureFailed() {
        isCaptured = false
        refuse(.fatal("57P02", "the server connection that held this session's settings is gone"))
    }

    /// The server that held its settings is gone.
    func holderLost(surely: Bool) {
        holder = nil
        guard surely, isOpen, server == nil else { return }
        refuse(.fatal("57P02", "the server connection that held this session's settings is gone"))
    }

    private func leave() {
        if let key { pooler.cancels.remove(key) }
        guard let pool else { return }
        if isWaiting { pool.stopWaiting(self) }
        ear?.forget(self)
        ear = nil
        if let server {
            self.server = nil
            server.needsCleaning = mode == .session || !pins.isEmpty || server.needsCleaning
            server.resume()
            if left == 0, server.endsByItself {
                if !server.isQuiet, !hasSaidGoodbye { pooler.cancels.interrupt(server) }
                pool.abandon(server, isInHaste: !hasSaidGoodbye)
            } else {
                pooler.cancels.interrupt(server)
                pool.discard(server)
            }
        }
        pool.leave(self)
        pooler.notePins()
    }

    // MARK: Messages

    private enum Step {
        /// It stays where it is until something has changed.
        case wait
        /// It goes to the server as it is.
        case forward
        /// Nobody gets it.
        case drop
        /// So many bytes of it were replaced; the others follow as they are.
        case replaced(Int)
        case stop
    }

    func pump() {
        guard !isPumping, isIn, endsSinceMs == nil, !hasSaidGoodbye else { return }
        isPumping = true
        connection.takeInput { understand($0) }
        isPumping = false
        guard isIn, endsSinceMs == nil else { return }
        if let server {
            server.sendNow()
            if server.unsentBytes >= Self.pileBytes { pauseForServer() } else { giveBackIfDone() }
        }
        if isWaiting || waitsForReplies || waitsForEar {
            holdBack()
        } else if hasEnded {
            connection.closeWhenSent()
        }
    }

    private func understand(_ bytes: Span<UInt8>) -> Int {
        var place = 0
        var unsent = 0
        scan: while place < bytes.count, !waitsForEar {
            if left > 0 {
                let part = min(left, bytes.count - place)
                left -= part
                place += part
                if !leftIsForwarded { unsent = place }
                continue
            }
            guard bytes.count - place >= Frame.headBytes else { break }
            guard let frame = Frame(bytes, at: place) else {
                refuse(.protocolViolation("invalid message length"))
                return bytes.count
            }
            let part = min(frame.size, bytes.count - place)
            switch take(frame, bytes, place, &unsent) {
            case .wait: break scan
            case .forward: (left, leftIsForwarded) = (frame.size - part, true)
            case .drop:
                forward(bytes, &unsent, to: place)
                (left, leftIsForwarded) = (frame.size - part, false)
                unsent = place + part
            case .replaced(let count):
                unsent = place + count
                (left, leftIsForwarded) = (frame.size - part, true)
            case .stop:
                forward(bytes, &unsent, to: place)
                return bytes.count
            }
            place += part
        }
        forward(bytes, &unsent, to: place)
        return place
    }

    private func forward(_ bytes: Span<UInt8>, _ unsent: inout Int, to place: Int) {
        guard unsent < place else { return }
        server?.send(bytes.extracting(unsent..<place))
        pool?.counts.receivedBytes += place - unsent
        unsent = place
    }

    private func take(_ frame: Frame, _ bytes: Span<UInt8>, _ place: Int, _ unsent: inout Int) -> Step {
        if skipsToSync, frame.type != FromClient.terminate { return skip(frame, bytes, place) }
        let isWhole = bytes.count - place >= frame.size
        switch frame.type {
        case FromClient.terminate:
            forward(bytes, &unsent, to: place)
            connection.closeWhenSent()
            goodbye()
            return .stop
        case FromClient.copyData: return server == nil ? .drop : .forward
        case FromClient.copyDone, FromClient.copyFail:
            guard let server else { return .drop }
            server.expect(ReplyQueue.Entry(.copyEnd))
            return .forward
        case FromClient.flush: return server == nil ? .drop : .forward
        case FromClient.sync:
            batch += 1
            guard let server else {
                connection.send { $0.append(ready: .idle) }
                return .drop
            }
            server.expect(ReplyQueue.Entry(.sync))
            return .forward
        case FromClient.query: return takeQuery(frame, bytes, place, &unsent, isWhole)
        case FromClient.parse: return takeParse(frame, bytes, place, &unsent, isWhole)
        case FromClient.bind: return takeBind(frame, bytes, place, &unsent, isWhole)
        case FromClient.describe, FromClient.close:
            guard isWhole else { return frame.size <= Self.mostUnderstood ? .wait : tooLong() }
            return takeNamed(frame, bytes, place, &unsent)
        case FromClient.execute: return request(.execute, dropping: portalDrops)
        case FromClient.functionCall:
            let step = request(.functionCall)
            if case .forward = step { note(.unknownCode) }
            return step
        default:
            refuse(.protocolViolation("invalid frontend message type \(frame.type)"))
            return .stop
        }
    }

    private func tooLong() -> Step {
        refuse(.protocolViolation("invalid message length"))
        return .stop
    }

    /// Its word that it leaves came while its statements may still run: they are done, and nobody waits for them.
    private func goodbye() { hasSaidGoodbye = true }

    /// A message that needs a server and ends with a reply of this kind.
    private func request(_ kind: ReplyQueue.Kind, dropping text: PreparedText? = nil) -> Step {
        guard let server = attached() else { return .wait }
        server.expect(ReplyQueue.Entry(kind, statement: text?.id ?? 0))
        return .forward
    }

    /// A statement is gone at the server, by a DEALLOCATE of its client's.
    func dropped(_ id: UInt32) {
        portalDrops = nil
        if let name = statements.first(where: { $0.value.id == id })?.key { statements[name] = nil }
    }

    /// Its server, if it has one or gets one at once.
    private func attached() -> ServerConnection? {
        if let server {
            guard server.replies.count < Self.mostReplies else {
                waitsForReplies = true
                // Without a Sync Postgres would keep the last of them.
                server.send { $0.append(frame: FromClient.flush) }
                return nil
            }
            return server
        }
        guard !isWaiting, let pool else { return nil }
        guard pool.lease(to: self) else { return nil }
        return server
    }

    /// The pool has a server for it, within its `lease`.
    func take(_ server: ServerConnection) { self.server = server }

    private func skip(_ frame: Frame, _ bytes: Span<UInt8>, _ place: Int) -> Step {
        guard frame.type == FromClient.sync else { return .drop }
        skipsToSync = false
        batch += 1
        connection.send { $0.append(ready: .idle) }
        return .drop
    }

    // MARK: Statements

    /// A statement begins: what of it is told afterwards.
    private func begin(_ family: StatementFamily, _ text: Span<UInt8>) {
        last.begin(family, text.extracting(0..<min(text.count, LastStatement.mostBytes)))
    }

    private func begin(_ family: StatementFamily, _ text: [UInt8]) { begin(family, text.span) }

    private func note(_ effects: SessionEffects) {
        guard !effects.isEmpty, mode != .session, let server else { return }
        if !effects.isDisjoint(with: .tainting) { server.taint(by: self, effects) }
        let pinning = effects.intersection(.pinning)
        if !pinning.isEmpty {
            pins.formUnion(pinning)
            asksForPins = true
            pooler.notePins(pinning)
        }
        if effects.contains(.releases), isPinned { asksForPins = true }
        if effects.contains(.loadedLibrary) { server.isSpent = true }
    }

    private func takeQuery(
        _ frame: Frame, _ bytes: Span<UInt8>, _ place: Int, _ unsent: inout Int, _ isWhole: Bool
    ) -> Step {
        guard mode != .session || isWhole else { return request(.query) }
        guard isWhole else {
            guard frame.size > Self.mostUnderstood else { return .wait }
            // Too long to be looked at.
            let step = request(.query)
            if case .forward = step {
                unnamed = .none
                note([.settings, .unknownCode])
            }
            return step
        }
        let end = place + frame.size
        let textEnd = bytes.zero(from: place + Frame.headBytes, before: end) ?? end
        let text = bytes.extracting(place + Frame.headBytes..<textEnd)
        let scan = StatementScan(text)
        if mode != .session, let answer = ownAnswer(to: scan, text) {
            if let server, !server.replies.isEmpty {
                waitsForReplies = true
                return .wait
            }
            if server.map({ $0.isQuiet && $0.status != .failed }) ?? true {
                forward(bytes, &unsent, to: place)
                answer()
                return .drop
            }
        }
        guard let server = attached() else { return .wait }
        begin(StatementFamily(scan.verb), text)
        unnamed = .none
        if mode != .session, scan.verb == .execute, scan.isSingle {
            forward(bytes, &unsent, to: place)
            if let renamed = executing(text, scan, on: server) {
                server.expect(ReplyQueue.Entry(.query))
                server.send { $0.append(query: renamed) }
                return .replaced(frame.size)
            }
        }
        server.expect(ReplyQueue.Entry(.query))
        if scan.effects.contains(.settings) { noteCustomSettings(text) }
        note(scan.effects)
        return .forward
    }

    /// What acts on names that only the proxy knows is done by the proxy.
    private func ownAnswer(to scan: StatementScan, _ text: Span<UInt8>) -> (() -> Void)? {
        guard scan.isSingle else { return nil }
        switch scan.verb {
        case .deallocate:
            guard var names = StatementScan.names(text, from: scan.afterVerb), !names.isEmpty else { return nil }
            if names.count == 2, names[0] == Array("prepare".utf8) { names.removeFirst() }
            guard names.count == 1 else { return nil }
            if names[0] == Array("all".utf8) {
                guard !pins.contains(.sqlPrepare) else { return nil }
                return { [self] in
                    statements = [:]
                    complete("DEALLOCATE ALL")
                }
            }
            let name = names[0]
            guard statements[name] != nil else { return nil }
            return { [self] in
                statements[name] = nil
                complete("DEALLOCATE")
            }
        case .discard:
            guard let names = StatementScan.names(text, from: scan.afterVerb), names == [Array("all".utf8)],
                server?.isOutsideTransaction ?? true
            else { return nil }
            return { [self] in
                discardAll()
                complete("DISCARD ALL")
            }
        case .listen:
            guard let names = StatementScan.names(text, from: scan.afterVerb), names.count == 1, names[0].count <= 63,
                server?.isOutsideTransaction ?? true
            else { return nil }
            return { [self] in listen(to: names[0]) }
        case .unlisten:
            guard !pins.contains(.listen), server?.isOutsideTransaction ?? true else { return nil }
            // What follows is one name, or a star for all.
            let names = StatementScan.names(text, from: scan.afterVerb)
            guard names == nil || names?.count == 1 else { return nil }
            return { [self] in
                unlisten(names?[0])
                complete("UNLISTEN")
            }
        case .show:
            let names = StatementScan.dottedName(text, from: scan.afterVerb)
            guard names == Array("outrigger.last".utf8) else { return nil }
            return { [self] in showLast() }
        default: return nil
        }
    }

    // MARK: Listening

    private func listen(to channel: [UInt8]) {
        guard let request else { return }
        let ear = ear ?? pooler.ear(of: PoolKey.Account(user: request.user, database: request.database))
        self.ear = ear
        channels.insert(channel)
        waitsForEar = true
        if !ear.listen(self, to: channel) {
            channels.remove(channel)
            heard(Complaint(.error, "53000", "too many channels are listened to"))
        }
    }

    private func unlisten(_ channel: [UInt8]?) {
        if let channel { channels.remove(channel) } else { channels = [] }
        ear?.forget(self, channel)
        if channels.isEmpty { ear = nil }
    }

    /// It listens, or cannot.
    func heard(_ complaint: Complaint?) {
        guard waitsForEar, isIn else { return }
        waitsForEar = false
        if let complaint {
            let status = server?.status ?? .idle
            connection.send {
                $0.append(complaint)
                $0.append(ready: status)
            }
        } else {
            complete("LISTEN")
        }
        resumeReading()
        // Not within the call of whoever told it.
        pooler.loop.after(milliseconds: 0) { [weak self] in self?.pump() }
    }

    func earIsLost(_ complaint: Complaint) {
        (ear, channels) = (nil, [])
        if waitsForEar { return heard(Complaint(.error, complaint.code, complaint.message)) }
        refuse(.fatal("57P01", complaint.message))
    }

    /// Somebody has said something on a channel: told at once, or, as Postgres does, when its transaction is over.
    func notify(_ message: [UInt8]) {
        guard isIn else { return }
        guard server != nil || waitsForEar else { return connection.send(message.span) }
        guard unheard.count + message.count <= Self.mostUnheardBytes else {
            return refuse(.fatal("53200", "too many notifications came within a transaction"))
        }
        unheard.append(contentsOf: message)
    }

    private func hearNow() {
        guard !unheard.isEmpty, server == nil else { return }
        connection.send(unheard.span)
        unheard = []
    }

    private func complete(_ tag: String) {
        let status = server?.status ?? .idle
        connection.send {
            $0.append(commandTag: tag)
            $0.append(ready: status)
        }
    }

    /// Its session is as new.
    private func discardAll() {
        (statements, pins, unnamed) = ([:], [], .none)
        unlisten(nil)
        profile = request.map { pooler.profiles.profile(Admission($0, pooler.rules).settings) } ?? pooler.profiles.none
        asksForPins = false
        if let welcome = pool?.welcome {
            let first = welcome.parameters.map { (name: $0.name, value: profile.values[$0.name] ?? $0.value) }
            tell(pooler.reported.set(first))
        }
        if let holder, holder !== server {
            holder.forgetOwner()
            self.holder = nil
        }
        isCaptured = false
        guard let server else { return }
        server.forgetOwner()
        holder = nil
        server.needsCleaning = true
    }

    /// `EXECUTE name …` of a statement that was prepared by protocol.
    private func executing(_ text: Span<UInt8>, _ scan: StatementScan, on server: ServerConnection) -> [UInt8]? {
        guard let (name, range) = StatementScan.firstName(text, from: scan.afterVerb), let prepared = statements[name]
        else { return nil }
        server.prepareByItself(prepared)
        note(prepared.effects)
        var renamed = text.array(0..<range.lowerBound)
        renamed.append(contentsOf: prepared.serverName)
        renamed.append(contentsOf: text.array(range.upperBound..<text.count))
        return renamed
    }

    private func noteCustomSettings(_ text: Span<UInt8>) {
        guard customSettings.count < 64 else { return }
        for name in StatementScan.dottedNames(text) { customSettings.insert(name) }
    }

    private func takeParse(
        _ frame: Frame, _ bytes: Span<UInt8>, _ place: Int, _ unsent: inout Int, _ isWhole: Bool
    ) -> Step {
        guard mode != .session else { return request(.parse) }
        pool?.counts.clientParses += 1
        guard isWhole || frame.size > Self.mostUnderstood else { return .wait }
        let nameStart = place + Frame.headBytes
        guard isWhole else { return takeLongParse(bytes, nameStart) }
        let end = place + frame.size
        guard let nameEnd = bytes.zero(from: nameStart, before: end),
            let textEnd = bytes.zero(from: nameEnd + 1, before: end)
        else { return request(.parse) }
        let body = nameEnd + 1..<end
        guard nameEnd > nameStart else {
            guard let server = attached() else { return .wait }
            let text = bytes.extracting(nameEnd + 1..<textEnd)
            let scan = StatementScan(text)
            unnamedBody.removeAll(keepingCapacity: unnamedBody.capacity <= 4096)
            (unnamedEffects, unnamedFamily) = (scan.effects, StatementFamily(scan.verb))
            if let renamed = retargeted(text, scan) {
                unnamedBody.append(contentsOf: renamed)
                unnamedBody.append(bytes: bytes.extracting(textEnd..<end))
                forward(bytes, &unsent, to: place)
                send(parse: [], unnamedBody.span)
                return finishUnnamedParse(on: server, text, .replaced(frame.size))
            }
            unnamedTarget = nil
            unnamedBody.append(bytes: bytes.extracting(body))
            return finishUnnamedParse(on: server, text, .forward)
        }
        let name = bytes.array(nameStart..<nameEnd)
        guard mayChange(name) else { return .wait }
        guard let server = attached() else { return .wait }
        if let existing = statements[name] {
            // Postgres says so itself, of the name there.
            forward(bytes, &unsent, to: place)
            server.prepare(existing)
            send(parse: existing.serverName, bytes.extracting(body))
            server.expect(ReplyQueue.Entry(.bind, statement: existing.id, isRenamed: true))
            return .replaced(frame.size)
        }
        guard statements.count < Self.mostStatements else {
            refuse(.fatal("53000", "too many prepared statements"))
            return .stop
        }
        let scan = StatementScan(bytes.extracting(nameEnd + 1..<textEnd))
        if scan.effects.contains(.settings) { noteCustomSettings(bytes.extracting(nameEnd + 1..<textEnd)) }
        let prepared = pooler.texts.text(bytes.array(body), scan)
        if !server.isSkipping {
            undoLog.append((name, nil, batch))
            statements[name] = prepared
        }
        if server.hasPrepared(prepared) {
            forward(bytes, &unsent, to: place)
            server.expect(ReplyQueue.Entry(.ownParseComplete))
            return .drop
        }
        forward(bytes, &unsent, to: place)
        send(parse: prepared.serverName, bytes.extracting(body))
        server.willPrepare(prepared, .client, isRenamed: true)
        pool?.counts.serverParses += 1
        return .replaced(frame.size)
    }

    private func finishUnnamedParse(on server: ServerConnection, _ text: Span<UInt8>, _ step: Step) -> Step {
        if unnamedEffects.contains(.settings) { noteCustomSettings(text) }
        let serial = pooler.nextSerial()
        unnamed = .kept(serial)
        server.unnamed = serial
        server.expect(ReplyQueue.Entry(.parse))
        return step
    }

    /// `EXECUTE name` and `DEALLOCATE name` in extended protocol, where the name is one that was prepared by protocol, with
    /// the name that servers know.
    private func retargeted(_ text: Span<UInt8>, _ scan: StatementScan) -> [UInt8]? {
        guard scan.isSingle, scan.verb == .execute || scan.verb == .deallocate,
            var found = StatementScan.firstName(text, from: scan.afterVerb)
        else { return nil }
        if scan.verb == .deallocate, found.name == Array("prepare".utf8),
            let second = StatementScan.firstName(text, from: found.range.upperBound)
        {
            found = second
        }
        guard let prepared = statements[found.name] else { return nil }
        unnamedTarget = (prepared, scan.verb == .deallocate)
        unnamedEffects.formUnion(prepared.effects)
        var renamed = text.array(0..<found.range.lowerBound)
        renamed.append(contentsOf: prepared.serverName)
        renamed.append(contentsOf: text.array(found.range.upperBound..<text.count))
        return renamed
    }

    private func send(parse name: [UInt8], _ body: Span<UInt8>) {
        server?.send { message in
            message.append(frame: FromClient.parse) {
                $0.append(zeroTerminated: name)
                $0.append(bytes: body)
            }
        }
    }

    /// A statement that is too long to be kept stays on the one server that has it, and its client with it.
    private func takeLongParse(_ bytes: Span<UInt8>, _ nameStart: Int) -> Step {
        let step = request(.parse)
        guard case .forward = step else { return step }
        note([.settings, .unknownCode])
        if nameStart < bytes.count, bytes[nameStart] == 0 {
            unnamed = .long
        } else {
            note(.sqlPrepare)
        }
        pooler.notePins()
        return step
    }

    /// Whether a name can be given or taken: not while it is open what an earlier batch makes of it.
    private func mayChange(_ name: [UInt8]) -> Bool {
        guard undoLog.contains(where: { $0.batch != batch && $0.name == name }) else { return true }
        waitsForReplies = true
        return false
    }

    private func takeBind(
        _ frame: Frame, _ bytes: Span<UInt8>, _ place: Int, _ unsent: inout Int, _ isWhole: Bool
    ) -> Step {
        guard mode != .session else { return request(.bind) }
        pool?.counts.binds += 1
        let end = min(place + frame.size, bytes.count)
        let portalStart = place + Frame.headBytes
        guard let portalEnd = bytes.zero(from: portalStart, before: end),
            let nameEnd = bytes.zero(from: portalEnd + 1, before: end)
        else { return isWhole ? request(.bind) : end - place > 8192 ? tooLong() : .wait }
        guard nameEnd > portalEnd + 1 else {
            guard let server = attached() else { return .wait }
            useUnnamed(on: server, bytes, place, &unsent)
            portalDrops = unnamedTarget.flatMap { $0.drops ? $0.text : nil }
            begin(unnamedFamily, unnamedBody)
            note(unnamedEffects)
            server.expect(ReplyQueue.Entry(.bind))
            return .forward
        }
        portalDrops = nil
        guard let prepared = statements[bytes.array(portalEnd + 1..<nameEnd)] else { return request(.bind) }
        guard let server = attached() else { return .wait }
        forward(bytes, &unsent, to: place)
        server.prepare(prepared)
        begin(prepared.family, prepared.body)
        note(prepared.effects)
        if prepared.effects.contains(.settings), isWhole { noteCustomSettings(bytes.extracting(nameEnd..<end)) }
        let length = frame.size - 1 - (nameEnd - portalEnd - 1) + prepared.serverName.count
        server.send { message in
            message.append(FromClient.bind)
            message.append(int32: length)
            message.append(bytes: bytes.extracting(portalStart..<portalEnd + 1))
            message.append(zeroTerminated: prepared.serverName)
        }
        server.expect(ReplyQueue.Entry(.bind, statement: prepared.id, isRenamed: true))
        return .replaced(nameEnd + 1 - place)
    }

    /// The unnamed statement outlives its Sync, for its client, on whatever server it comes to.
    private func useUnnamed(on server: ServerConnection, _ bytes: Span<UInt8>, _ place: Int, _ unsent: inout Int) {
        if let target = unnamedTarget?.text, !server.hasPrepared(target) {
            forward(bytes, &unsent, to: place)
            server.prepare(target)
        }
        switch unnamed {
        case .none:
            guard server.unnamed != 0 else { return }
            forward(bytes, &unsent, to: place)
            server.setUnnamed(0, nil)
        case .kept(let serial):
            guard server.unnamed != serial else { return }
            forward(bytes, &unsent, to: place)
            server.setUnnamed(serial, unnamedBody)
        case .long: break
        }
    }

    /// Describe and Close.
    private func takeNamed(_ frame: Frame, _ bytes: Span<UInt8>, _ place: Int, _ unsent: inout Int) -> Step {
        let kind: ReplyQueue.Kind = frame.type == FromClient.describe ? .describe : .close
        let end = place + frame.size
        let start = place + Frame.headBytes
        guard mode != .session, start < end, bytes[start] == UInt8(ascii: "S"),
            let nameEnd = bytes.zero(from: start + 1, before: end)
        else { return request(kind) }
        guard nameEnd > start + 1 else {
            guard let server = attached() else { return .wait }
            if kind == .describe {
                useUnnamed(on: server, bytes, place, &unsent)
            } else {
                unnamed = .none
                server.unnamed = 0
            }
            server.expect(ReplyQueue.Entry(kind))
            return .forward
        }
        let name = bytes.array(start + 1..<nameEnd)
        guard let prepared = statements[name] else { return request(kind) }
        if kind == .close, !mayChange(name) { return .wait }
        guard let server = attached() else { return .wait }
        forward(bytes, &unsent, to: place)
        guard kind == .describe else {
            if !server.isSkipping {
                undoLog.append((name, prepared, batch))
                statements[name] = nil
            }
            server.expect(ReplyQueue.Entry(.ownCloseComplete))
            return .drop
        }
        server.prepare(prepared)
        server.send { message in
            message.append(frame: FromClient.describe) {
                $0.append(UInt8(ascii: "S"))
                $0.append(zeroTerminated: prepared.serverName)
            }
        }
        server.expect(ReplyQueue.Entry(.describe, statement: prepared.id, isRenamed: true))
        return .replaced(frame.size)
    }

    // MARK: What became of it

    /// The oldest change of a name is answered.
    func confirm() { if !undoLog.isEmpty { undoLog.removeFirst() } }

    /// The oldest change of a name was skipped.
    func undo() {
        guard !undoLog.isEmpty else { return }
        let (name, before, _) = undoLog.removeFirst()
        statements[name] = before
    }

    /// Everything that was prepared is gone.
    func forgetStatements() { statements = [:] }

    /// Postgres itself has made its session a new one.
    func wasDiscarded() {
        (statements, unnamed) = ([:], .none)
        profile = request.map { pooler.profiles.profile(Admission($0, pooler.rules).settings) } ?? pooler.profiles.none
        holder = nil
    }

    /// An error is told to it.
    func failed() { last.hasFailed = true }

    /// What it calls a statement, or called it until a Close that is not answered yet.
    func name(ofStatement id: UInt32) -> [UInt8]? {
        undoLog.first { $0.before?.id == id }?.name ?? statements.first { $0.value.id == id }?.key
    }

    func statementEnded(tookNs: Int) {
        last.ended(afterNs: tookNs)
        pooler.statementEnded(tookNs: tookNs, last)
    }

    /// The server reports other values than the client knows.
    func tell(_ reported: ReportedParameters) {
        for (name, value) in reported.values where parameters.values[name] != value {
            connection.send { $0.append(parameter: name, value) }
        }
        parameters = reported
    }

    private func showLast() {
        let status = server?.status ?? .idle
        connection.send { bytes in
            ConsoleAnswer.rows(LastStatement.columns, [last.row(of: self)]).write(to: &bytes, tag: "SHOW")
            bytes.append(ready: status)
        }
    }

    // MARK: Limits

    var preparedCount: Int { statements.count }

    /// Ends statements, transactions and clients that take longer than they may. The clock of a statement runs while the
    /// server works on it, that of an idle transaction from the end of a statement to the next word of the client.
    func checkLimits(nowMs: Int, nowNs: Int) {
        let rules = pooler.rules
        // Who does not even take the last word has to go without it.
        if let endsSinceMs { return nowMs - endsSinceMs > Self.lastWordMs ? connection.close() : () }
        guard isIn else { return }
        guard let server else {
            if rules.clientIdleLimit > .zero, !isWaiting, nowMs - lastActiveMs > rules.clientIdleLimit.milliseconds {
                refuse(.fatal("08P01", "client_idle_timeout"))
            }
            return
        }
        if rules.statementLimit > .zero, mode != .session, server.queryStartedNs != 0,
            nowNs - server.queryStartedNs > rules.statementLimit.nanoseconds
        {
            pooler.cancels.interrupt(server)
        }
        if rules.transactionLimit > .zero, server.transactionStartedNs != 0,
            nowNs - server.transactionStartedNs > rules.transactionLimit.nanoseconds
        {
            return refuse(.fatal("25P04", "terminating connection due to transaction timeout"))
        }
        if rules.idleTransactionLimit > .zero, server.idleInTransactionSinceNs != 0,
            nowNs - server.idleInTransactionSinceNs > rules.idleTransactionLimit.nanoseconds
        {
            refuse(.fatal("25P03", "terminating connection due to idle-in-transaction timeout"))
        }
    }

    /// The proxy goes: so does a client that has nothing under way.
    func leaveIfIdle() {
        guard server == nil || mode == .session && !isInStatement && server?.isOutsideTransaction == true else {
            return
        }
        guard !isWaiting else { return }
        refuse(.fatal("57P01", "terminating connection due to administrator command"))
    }

    /// Whether it has waited for too long, or long enough to be told.
    func checkWait(nowNs: Int, _ lastRefusal: String) {
        let waited = nowNs - waitsSinceNs
        let rules = pooler.rules
        if rules.waitLimit > .zero, waited > rules.waitLimit.nanoseconds {
            pool?.counts.timeouts += 1
            pool?.stopWaiting(self)
            let why = lastRefusal.isEmpty ? "" : " (\(lastRefusal))"
            return refuse(.fatal("08P01", "query_wait_timeout: no server connection in time\(why)"))
        }
        guard isIn, !wasTold, rules.noticeAfter > .zero, waited > rules.noticeAfter.nanoseconds else { return }
        wasTold = true
        connection.send {
            $0.append(
                notice: Complaint(
                    .notice, "00000", "No server connection available in postgres backend, client being queued"))
        }
    }

    /// A cancel request of this client's came.
    func cancelWait() -> Bool {
        guard isWaiting, isIn else { return false }
        pool?.stopWaiting(self)
        failPending(Complaint(.error, "57014", "canceling statement due to user request"))
        return true
    }

    /// Answers what it has sent with an error, as if the server had.
    private func failPending(_ complaint: Complaint) {
        var isQuery = false
        connection.takeInput { bytes in
            guard bytes.count >= Frame.headBytes, let frame = Frame(bytes, at: 0) else { return 0 }
            isQuery = frame.type == FromClient.query
            guard isQuery else { return 0 }
            let part = min(frame.size, bytes.count)
            (left, leftIsForwarded) = (frame.size - part, false)
            return part
        }
        connection.send { $0.append(complaint) }
        if isQuery { connection.send { $0.append(ready: .idle) } } else { skipsToSync = true }
        resumeReading()
        pump()
    }
}
