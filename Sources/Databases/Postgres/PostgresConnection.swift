import CPostgres
import Glibc
import Runtime

/// One connection to one database, opened when first needed and kept until it breaks, is closed or goes.
///
/// It never blocks: a `PostgresRound` drives several of them by poll(2). Not thread-safe; its actor owns it.
public final class PostgresConnection {
    /// Nil for the database that the address names.
    public let database: PostgresName?
    private let address: PostgresAddress
    private var handle: OpaquePointer?
    private var prepared: Set<String> = []
    private var isOpen = false
    /// What the server's session was set to; nil before, and where settings end with their transaction.
    private(set) var applied: Applied?
    /// Nil until the server has said which process serves us.
    private(set) var standing: Standing?
    private var meter = ReceivedBytes()

    struct Applied: Equatable {
        let timeouts: PostgresTimeouts?
        let readsRaw: Bool
    }

    /// Whose the server's session is.
    enum Standing {
        /// Ours: statements keep their names, and settings last.
        case direct
        /// Anybody's: a pooler gives us one for each transaction.
        case pooled
    }

    /// Whether texts come as the server stores them. See `PostgresSession.settings`.
    private(set) var readsRaw = false

    /// When the server let us in; nil while there is no connection.
    public private(set) var openedAt: ContinuousClock.Instant?
    /// How long the last opening took, looking up the name included, until the server let us in; nil before the first.
    public private(set) var openingDuration: Duration?
    private var openingSince: ContinuousClock.Instant?
    /// How often it was opened.
    public private(set) var openings = 0

    public init(_ address: PostgresAddress, database: PostgresName? = nil) {
        self.address = address
        self.database = database
    }

    deinit { close() }

    public var isReady: Bool { isOpen && handle.map { PQstatus($0) == CONNECTION_OK } == true }

    /// Such as 150020 for 15.20; 0 while there is no connection.
    public var serverVersion: Int { isOpen ? handle.map { Int(PQserverVersion($0)) } ?? 0 : 0 }

    /// The process that serves us, as `pg_stat_activity.pid` has it; 0 while there is none.
    public var backendPID: Int { isOpen ? handle.map { Int(PQbackendPID($0)) } ?? 0 : 0 }

    /// Tells the server goodbye, without waiting.
    public func close() {
        if let handle { PQfinish(handle) }
        handle = nil
        isOpen = false
        openedAt = nil
        applied = nil
        standing = nil
        prepared = []
    }

    // MARK: Opening

    /// Begins to log in. Host names are looked up here, which may take until `deadline`.
    func startOpening(by deadline: Deadline) throws(PostgresError) {
        close()
        openingSince = .now
        guard let fresh = try address.resolved(by: deadline).start(database: database) else {
            throw PostgresError(.other, "connect: out of memory")
        }
        handle = fresh
        // Notices would go to stderr.
        PQsetNoticeReceiver(fresh, { _, _ in }, nil)
        // While logging in, the words are the only place where libpq tells the SQLSTATE.
        PQsetErrorVerbosity(fresh, PQERRORS_VERBOSE)
        if PQstatus(fresh) == CONNECTION_BAD { throw failure("connect") }
    }

    /// What poll(2) must wait for before `continueOpening` is called again.
    enum Progress { case reading, writing, done }

    func continueOpening() throws(PostgresError) -> Progress {
        guard let handle else { throw PostgresError(.connection, "connect: not begun") }
        switch PQconnectPoll(handle) {
        case PGRES_POLLING_READING: return .reading
        case PGRES_POLLING_WRITING: return .writing
        case PGRES_POLLING_OK:
            guard PQsetnonblocking(handle, 1) == 0, PQenterPipelineMode(handle) == 1 else { throw failure("connect") }
            PQsetErrorVerbosity(handle, PQERRORS_DEFAULT)
            let encoding = PQparameterStatus(handle, "server_encoding").map { String(cString: $0) }
            if encoding == nil || encoding == "UTF8" || encoding == "SQL_ASCII" { readsRaw = true }
            meter = ReceivedBytes()
            isOpen = true
            openedAt = .now
            openingDuration = openingSince.map { .now - $0 }
            openings += 1
            return .done
        default: throw failure("connect")
        }
    }

    var socket: Int32 { handle.map { PQsocket($0) } ?? -1 }

    // MARK: Asking

    /// Queues Parse and Execute. Returns whether a Parse went before, which has an answer of its own.
    ///
    /// - Parameter unnamed: parses it for this once.
    func send(_ query: PostgresQuery, unnamed: Bool) throws(PostgresError) -> Bool {
        guard let handle else { throw PostgresError(.connection, "send: no connection") }
        let values = query.parameters.map { $0.map { strdup($0) } ?? nil }
        defer { values.forEach { free($0) } }
        let pointers = values.map { UnsafePointer($0) }
        let count = Int32(pointers.count)
        if unnamed {
            guard PQsendQueryParams(handle, query.sql, count, nil, pointers, nil, nil, 0) == 1 else {
                throw failure("send")
            }
            return false
        }
        let isNew = !prepared.contains(query.name)
        if isNew, PQsendPrepare(handle, query.name, query.sql, 0, nil) == 0 { throw failure("send") }
        guard PQsendQueryPrepared(handle, query.name, count, pointers, nil, nil, 0) == 1 else { throw failure("send") }
        return isNew
    }

    func isPrepared(_ query: PostgresQuery) { prepared.insert(query.name) }
    func haveApplied(_ settings: Applied) { applied = settings }

    /// Notes which process has answered; nil where the server does not say.
    func isServed(byProcess pid: Int?) { standing = pid == backendPID ? .direct : .pooled }

    /// A name that we gave is gone, or was given by somebody else: the session is not ours alone.
    func losesNames() {
        standing = .pooled
        applied = nil
        prepared = []
    }

    /// A text could not be converted: from now on they are taken as they are.
    func readRaw() { readsRaw = true }

    func sendSync() throws(PostgresError) {
        guard let handle, PQpipelineSync(handle) == 1 else { throw failure("send") }
    }

    /// Returns whether something is left to write.
    func flush() throws(PostgresError) -> Bool {
        guard let handle else { throw PostgresError(.connection, "send: no connection") }
        let left = PQflush(handle)
        guard left >= 0 else { throw failure("send") }
        return left > 0
    }

    func readInput() throws(PostgresError) {
        guard let handle else { throw PostgresError(.connection, "receive: no connection") }
        meter.willRead(socket)
        guard PQconsumeInput(handle) == 1 else { throw failure("receive") }
        meter.hasRead(socket)
    }

    /// Bytes that came over this connection so far, as the kernel counts them.
    var receivedBytes: Int { meter.count }

    enum Received {
        case nothingYet
        case endOfStatement
        case rows(PostgresRows)
        case done
        case aborted
        case sync
        case failed(PostgresError)
    }

    func nextResult() throws(PostgresError) -> Received {
        guard let handle else { throw PostgresError(.connection, "receive: no connection") }
        if PQisBusy(handle) != 0 { return .nothingYet }
        guard let result = PQgetResult(handle) else { return .endOfStatement }
        switch PQresultStatus(result) {
        case PGRES_TUPLES_OK: return .rows(PostgresRows(result))
        case PGRES_COMMAND_OK, PGRES_EMPTY_QUERY:
            PQclear(result)
            return .done
        case PGRES_PIPELINE_ABORTED:
            PQclear(result)
            return .aborted
        case PGRES_PIPELINE_SYNC:
            PQclear(result)
            return .sync
        case PGRES_FATAL_ERROR:
            defer { PQclear(result) }
            let message = PQresultErrorField(result, Int32(UInt8(ascii: "M"))).map { String(cString: $0) }
            guard let state = PQresultErrorField(result, Int32(UInt8(ascii: "C"))) else {
                throw failure("receive")
            }
            let error = PostgresError(
                sqlState: String(cString: state), message: PostgresConnection.oneLine(message ?? "unknown error"))
            // Such a code may come from a statement that itself connects to somewhere; ours ends with FATAL or PANIC.
            let severity = PQresultErrorField(result, Int32(UInt8(ascii: "V"))).map { String(cString: $0) }
            if severity == "FATAL" || severity == "PANIC" {
                throw PostgresError(.connection, error.message, sqlState: error.sqlState)
            }
            return .failed(error)
        default:
            PQclear(result)
            return .failed(PostgresError(.protocol, "a statement that neither ends nor returns rows, such as COPY"))
        }
    }

    /// Asks the server to stop what it does for us, on a thread of its own because the request may block.
    func cancel() {
        guard let handle, isOpen, let request = PQgetCancel(handle) else { return }
        PostgresCancellation.send(request)
    }

    private func failure(_ what: String) -> PostgresError {
        let words = handle.map { String(cString: PQerrorMessage($0)) } ?? "no connection"
        let (message, state) = PostgresConnection.plain(words)
        return PostgresError(.connection, "\(what): \(message)", sqlState: isOpen ? nil : state)
    }

    /// A message of several lines in one, without the `28000: ` and `LOCATION:  …` of verbose ones.
    static func plain(_ words: String) -> (message: String, state: String?) {
        var state: String?
        var lines = oneLine(words).split(separator: "; ").map(String.init).filter { !$0.hasPrefix("LOCATION:") }
        for index in lines.indices {
            guard let found = lines[index].firstMatch(of: #/:  ([0-9A-Z]{5}): /#) else { continue }
            state = String(found.1)
            lines[index].replaceSubrange(found.range, with: ":  ")
        }
        return (lines.joined(separator: "; "), state)
    }

    private static func oneLine(_ message: String) -> String {
        message.split(whereSeparator: \.isNewline).map { $0.drop { $0 == " " || $0 == "\t" } }.joined(separator: "; ")
    }
}
