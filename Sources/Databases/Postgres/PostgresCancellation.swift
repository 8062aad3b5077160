import CPostgres
import Runtime
import Synchronization

/// Sends cancel requests. `PQcancel` opens a connection and waits for the server to close it, which a stopped server
/// never does; so each runs on a thread of its own, and no more than a few may be under way in this process.
enum PostgresCancellation {
    private static let underWay = Atomic<Int>(0)
    private static let limit = 4

    private struct Request: @unchecked Sendable { let pointer: OpaquePointer }

    /// Takes the request over and frees it.
    static func send(_ pointer: OpaquePointer) {
        let request = Request(pointer: pointer)
        guard underWay.add(1, ordering: .relaxed).newValue <= limit else { return drop(request) }
        let failure = DetachedThread.tryStart("pg-cancel", stackBytes: 256 << 10) {
            var complaint = [CChar](repeating: 0, count: 256)
            // It failing changes nothing: statement_timeout ends the statement too.
            PQcancel(request.pointer, &complaint, Int32(complaint.count))
            drop(request)
        }
        if failure != 0 { drop(request) }
    }

    private static func drop(_ request: Request) {
        PQfreeCancel(request.pointer)
        underWay.subtract(1, ordering: .relaxed)
    }
}
