import CLinux
import CPostgres
import Glibc
import Runtime

/// A connection to the admin console of a PgBouncer, the database called `pgbouncer`.
///
/// The console speaks the simple protocol only and takes one command at a time, so there is no pipeline: each `SHOW` is a
/// round trip. It blocks its thread, never longer than the deadline it is given, so it belongs to an actor on a
/// `BlockingThread`. After a thrown error it is closed and of no more use. <https://www.pgbouncer.org/usage.html>
public final class PgBouncerConsole {
    private let handle: OpaquePointer
    public private(set) var isOpen = true
    private let limit: PostgresAnswerLimit

    /// Logs in. Messages of errors never hold a password.
    ///
    /// - Parameter limit: of each answer.
    public init(
        to address: PostgresAddress, limit: PostgresAnswerLimit = PostgresAnswerLimit(), by deadline: Deadline
    ) throws(PostgresError) {
        self.limit = limit
        guard let fresh = try address.resolved(by: deadline).start(database: nil) else {
            throw PostgresError(.other, "connect: out of memory")
        }
        handle = fresh
        PQsetNoticeReceiver(fresh, { _, _ in }, nil)
        guard PQstatus(fresh) != CONNECTION_BAD else { throw failure("connect") }
        try finishConnecting(by: deadline)
    }

    deinit { PQfinish(handle) }

    /// Asks `SHOW <what>`.
    ///
    /// - Returns: nil when this version does not know the command, or the user may not ask it.
    public func show(_ what: String, by deadline: Deadline) throws(PostgresError) -> PostgresRows? {
        guard isOpen else { throw PostgresError(.connection, "SHOW \(what): the connection is closed") }
        do throws(PostgresError) {
            guard PQsendQuery(handle, "SHOW \(what)") == 1 else { throw failure("SHOW \(what)") }
            return try receive("SHOW \(what)", by: deadline)
        } catch {
            isOpen = false
            throw error
        }
    }

    private func finishConnecting(by deadline: Deadline) throws(PostgresError) {
        while true {
            switch PQconnectPoll(handle) {
            case PGRES_POLLING_OK:
                guard PQsetnonblocking(handle, 1) == 0 else { throw failure("connect") }
                return
            case PGRES_POLLING_READING: try wait(POLLIN, "connect", by: deadline)
            case PGRES_POLLING_WRITING: try wait(POLLOUT, "connect", by: deadline)
            default: throw failure("connect")
            }
        }
    }

    private func receive(_ step: String, by deadline: Deadline) throws(PostgresError) -> PostgresRows? {
        var rows: PostgresRows?
        var meter = ReceivedBytes()
        meter.hasRead(PQsocket(handle))
        let receivedBefore = meter.count
        while true {
            let unsent = PQflush(handle)
            guard unsent >= 0 else { throw failure(step) }
            if unsent > 0 || PQisBusy(handle) != 0 {
                try wait(unsent > 0 ? POLLIN | POLLOUT : POLLIN, step, by: deadline)
                meter.willRead(PQsocket(handle))
                guard PQconsumeInput(handle) == 1 else { throw failure(step) }
                meter.hasRead(PQsocket(handle))
                guard meter.count - receivedBefore <= limit.bytes else { throw limit.bytesExceeded }
                continue
            }
            guard let result = PQgetResult(handle) else { return rows }
            if PQresultStatus(result) == PGRES_TUPLES_OK {
                rows = PostgresRows(result)
            } else {
                PQclear(result)
                if PQstatus(handle) == CONNECTION_BAD { throw failure(step) }
            }
        }
    }

    private func wait(_ events: Int32, _ step: String, by deadline: Deadline) throws(PostgresError) {
        var entry = pollfd(fd: PQsocket(handle), events: Int16(events), revents: 0)
        while true {
            let ready = poll(&entry, 1, deadline.pollMilliseconds)
            if ready > 0 { return }
            if ready == 0 { throw PostgresError(.timeout, "\(step): timed out") }
            guard errno == EINTR else {
                throw PostgresError(.connection, "\(step): \(String(cString: strerror(errno)))")
            }
        }
    }

    private func failure(_ step: String) -> PostgresError {
        let message = String(cString: PQerrorMessage(handle)).split(whereSeparator: \.isNewline)
            .map { $0.drop { $0 == "\t" } }.joined(separator: "; ")
        let lowered = message.lowercased()
        let isRefusal = ["password", "authentication", "not allowed", "permission", "no such user"].contains {
            lowered.contains($0)
        }
        return PostgresError(isRefusal ? .permission : .connection, "\(step): \(message)")
    }
}
