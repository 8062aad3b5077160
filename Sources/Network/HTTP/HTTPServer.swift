import CLinux
import CMicroHTTPD
import Glibc
import Runtime
import Synchronization

/// An HTTP/1.1 server on libmicrohttpd: one epoll thread reads and writes, while each request waits, suspended, for its
/// answer. A client that reads slowly costs a socket and its answer's bytes, nothing else.
public final class HTTPServer: Sendable {
    public struct Limits: Sendable {
        public var connections = 512
        /// A connection on which nothing moves for so long is closed.
        public var idleSeconds = 60
        public var bodyBytes = 8 << 20
        /// Bytes of answers that wait to be read; beyond it, new requests get 503.
        public var pendingBytes = 256 << 20

        public init() {}
    }

    public typealias Handler = @Sendable (HTTPRequest) async -> HTTPResponse

    public enum Failure: Error, CustomStringConvertible {
        case cannotListen(address: String, reason: String)

        public var description: String {
            switch self {
            case .cannotListen(let address, let reason): "listen on \(address): \(reason)"
            }
        }
    }

    /// `host:port` with the port that was really taken, should 0 have been asked for.
    public let address: ListenAddress
    private let context: Unmanaged<ServerContext>
    private let daemon: DaemonHandle

    /// Listens at once; requests are answered from now on.
    public init(_ wanted: ListenAddress, limits: Limits = Limits(), handler: @escaping Handler) throws(Failure) {
        let socket: Int32
        do { socket = try wanted.listen() } catch {
            throw .cannotListen(address: wanted.description, reason: "\(error)")
        }
        address = wanted.withPort(ListenAddress.port(of: socket))
        context = Unmanaged.passRetained(ServerContext(limits: limits, handler: handler))
        let started = outrigger_mhd_start(
            socket, UInt32(limits.connections), UInt32(limits.idleSeconds), onAccess, context.toOpaque(), onCompleted,
            context.toOpaque())
        guard let started else {
            close(socket)
            context.release()
            throw .cannotListen(address: wanted.description, reason: "libmicrohttpd did not start")
        }
        daemon = DaemonHandle(started)
    }

    /// Accepts nobody any more, waits until the requests under way are answered or `patience` is over, and ends.
    public func stop(within patience: Duration) async {
        let stopped = daemon.take()
        guard let stopped else { return }
        let listening = MHD_quiesce_daemon(stopped.pointer)
        if listening >= 0 { close(listening) }
        let deadline = Deadline.after(patience)
        let context = self.context.takeUnretainedValue()
        context.isStopping.store(true, ordering: .relaxed)
        while !deadline.hasPassed, context.inFlight.load(ordering: .relaxed) > 0 {
            guard (try? await Task.sleep(for: .milliseconds(5))) != nil else { break }
        }
        // libmicrohttpd must not be stopped while a connection is suspended.
        while context.suspended.load(ordering: .acquiring) > 0 {
            guard (try? await Task.sleep(for: .milliseconds(5))) != nil else { break }
        }
        MHD_stop_daemon(stopped.pointer)
        self.context.release()
    }
}

/// The daemon, which one caller may take away to stop it.
private final class DaemonHandle: Sendable {
    struct Pointer: @unchecked Sendable { let pointer: OpaquePointer }
    private let daemon: Mutex<Pointer?>

    init(_ daemon: OpaquePointer) { self.daemon = Mutex(Pointer(pointer: daemon)) }

    func take() -> Pointer? {
        daemon.withLock { held in
            let taken = held
            held = nil
            return taken
        }
    }
}

private final class ServerContext: Sendable {
    let limits: HTTPServer.Limits
    let handler: HTTPServer.Handler
    let inFlight = Atomic<Int>(0)
    let suspended = Atomic<Int>(0)
    let pendingBytes = Atomic<Int>(0)
    let isStopping = Atomic<Bool>(false)

    init(limits: HTTPServer.Limits, handler: @escaping HTTPServer.Handler) {
        self.limits = limits
        self.handler = handler
    }
}

/// One request from its first line to its answer. libmicrohttpd's thread owns it, except between suspending and resuming
/// the connection, when the task that computes the answer does.
private final class Exchange: @unchecked Sendable {
    var body: [UInt8] = []
    var bodyIsTooLong = false
    var hasBegun = false
    var response: HTTPResponse?
}

private struct ConnectionPointer: @unchecked Sendable { let pointer: OpaquePointer }

/// An answer's bytes, kept until libmicrohttpd has sent them.
private final class ResponseBody {
    let bytes: UnsafeMutableRawBufferPointer
    let context: ServerContext

    init(_ source: [UInt8], context: ServerContext) {
        bytes = .allocate(byteCount: max(1, source.count), alignment: 16)
        bytes.copyBytes(from: source)
        self.context = context
        context.pendingBytes.add(bytes.count, ordering: .relaxed)
    }

    deinit {
        context.pendingBytes.subtract(bytes.count, ordering: .relaxed)
        bytes.deallocate()
    }
}

/// libmicrohttpd calls this when the header is there, for every piece of the body, when the body is over, and again when
/// a suspended connection was resumed.
private let onAccess: MHD_AccessHandlerCallback = { rawContext, connection, url, method, _, data, dataSize, slot in
    guard let rawContext, let connection, let url, let method, let dataSize, let slot else { return outrigger_mhd_no }
    let context = Unmanaged<ServerContext>.fromOpaque(rawContext).takeUnretainedValue()
    guard let known = slot.pointee else {
        slot.pointee = Unmanaged.passRetained(Exchange()).toOpaque()
        context.inFlight.add(1, ordering: .relaxed)
        return outrigger_mhd_yes
    }
    let exchange = Unmanaged<Exchange>.fromOpaque(known).takeUnretainedValue()
    if dataSize.pointee > 0 {
        if exchange.body.count + dataSize.pointee > context.limits.bodyBytes {
            exchange.bodyIsTooLong = true
            exchange.body = []
        } else if !exchange.bodyIsTooLong, let data {
            data.withMemoryRebound(to: UInt8.self, capacity: dataSize.pointee) {
                exchange.body.append(contentsOf: UnsafeBufferPointer(start: $0, count: dataSize.pointee))
            }
        }
        dataSize.pointee = 0
        return outrigger_mhd_yes
    }
    if let response = exchange.response { return send(response, on: connection, context) }
    guard !exchange.hasBegun else { return outrigger_mhd_no }
    exchange.hasBegun = true
    if exchange.bodyIsTooLong { return send(.text("body too long\n", status: 413), on: connection, context) }
    guard context.pendingBytes.load(ordering: .relaxed) < context.limits.pendingBytes else {
        return send(.text("too many answers are waiting to be read\n", status: 503), on: connection, context)
    }
    let request = read(connection, url: url, method: method, body: exchange.body)
    exchange.body = []
    let handle = ConnectionPointer(pointer: connection)
    context.suspended.add(1, ordering: .relaxed)
    MHD_suspend_connection(connection)
    Task {
        exchange.response = await context.handler(request)
        MHD_resume_connection(handle.pointer)
        context.suspended.subtract(1, ordering: .releasing)
    }
    return outrigger_mhd_yes
}

private let onCompleted: MHD_RequestCompletedCallback = { rawContext, _, slot, _ in
    guard let rawContext, let slot, let exchange = slot.pointee else { return }
    Unmanaged<Exchange>.fromOpaque(exchange).release()
    slot.pointee = nil
    Unmanaged<ServerContext>.fromOpaque(rawContext).takeUnretainedValue().inFlight.subtract(1, ordering: .relaxed)
}

private func send(_ response: HTTPResponse, on connection: OpaquePointer, _ context: ServerContext) -> MHD_Result {
    let body = Unmanaged.passRetained(ResponseBody(response.body, context: context))
    let made = outrigger_mhd_response(
        body.takeUnretainedValue().bytes.baseAddress, response.body.count,
        { Unmanaged<ResponseBody>.fromOpaque($0!).release() }, body.toOpaque())
    guard let made else {
        body.release()
        return outrigger_mhd_no
    }
    defer { MHD_destroy_response(made) }
    for (name, value) in response.headers { MHD_add_response_header(made, name, value) }
    if context.isStopping.load(ordering: .relaxed) { MHD_add_response_header(made, "Connection", "close") }
    return MHD_queue_response(connection, UInt32(response.status), made)
}

private func read(
    _ connection: OpaquePointer, url: UnsafePointer<CChar>, method: UnsafePointer<CChar>, body: [UInt8]
) -> HTTPRequest {
    HTTPRequest(
        method: String(cString: method), path: String(cString: url),
        query: pairs { outrigger_mhd_each_argument(connection, $0, $1) },
        headers: pairs { outrigger_mhd_each_header(connection, $0, $1) }.map { ($0.name.lowercased(), $0.value) },
        body: body, isFromLoopback: outrigger_mhd_peer(connection).map(isLoopback) ?? false)
}

private final class Pairs {
    var pairs: [(name: String, value: String)] = []
}

private func pairs(
    _ each: (MHD_KeyValueIteratorN, UnsafeMutableRawPointer) -> Int32
) -> [(name: String, value: String)] {
    let collected = Pairs()
    _ = each(
        { context, _, key, keySize, value, valueSize in
            guard let context, let key else { return outrigger_mhd_yes }
            let text = { (start: UnsafePointer<CChar>?, count: Int) -> String in
                guard let start else { return "" }
                return start.withMemoryRebound(to: UInt8.self, capacity: count) {
                    String(decoding: UnsafeBufferPointer(start: $0, count: count), as: UTF8.self)
                }
            }
            Unmanaged<Pairs>.fromOpaque(context).takeUnretainedValue().pairs.append(
                (text(key, keySize), text(value, valueSize)))
            return outrigger_mhd_yes
        }, Unmanaged.passUnretained(collected).toOpaque())
    return collected.pairs
}
