import CHiredis
import CLinux
import Glibc
import Network
import Runtime

/// One connection to a Redis or Valkey, logged in, that asks many commands in one round trip.
///
/// Debian's hiredis connects and reads replies; its version has no TLS, so that lies between it and the socket here. It
/// blocks its thread, never longer than the deadline it is given, so it belongs to an actor on a `BlockingThread`. After
/// an error the connection is closed and of no more use.
public final class RedisConnection {
    public let address: RedisAddress
    /// How long connecting took, without logging in.
    public let connectTime: Duration
    public private(set) var isOpen = true

    private let context: UnsafeMutablePointer<redisContext>
    private let reader: any ReplyReading
    private let tls: TLSChannel?
    /// What TLS has opened and the reader has not had.
    private var opened: [UInt8] = []
    private let chunk: UnsafeMutableRawBufferPointer

    /// Connects and logs in.
    ///
    /// - Parameters:
    ///   - clientName: for `CLIENT SETNAME`; a server that refuses it is used all the same.
    ///   - tls: for addresses that ask for it.
    ///   - limitReplyBytes: what the replies of one pipeline may have together.
    public init(
        to address: RedisAddress, clientName: String?, tls: RedisTLS = RedisTLS(), limitReplyBytes: Int = 64 << 20,
        by deadline: Deadline
    ) throws(RedisError) {
        if address.usesTLS, case .tcp(let host, _) = address.endpoint {
            self.tls = try tls.channel(to: host)
        } else {
            self.tls = nil
        }
        let began = ContinuousClock.now
        self.address = address
        context = try Self.connect(address.endpoint, by: deadline)
        connectTime = .now - began
        // Only now: where connecting throws, nothing must be left to free.
        if address.protocolVersion == 3 {
            reader = RESP3ReplyReader(limitBytes: limitReplyBytes)
        } else {
            reader = RedisReplyReader(limitBytes: limitReplyBytes)
        }
        chunk = .allocate(byteCount: 32 * 1024, alignment: 16)
        try shakeHands(by: deadline)
        try logIn(as: clientName, by: deadline)
    }

    deinit {
        redisFree(context)
        chunk.deallocate()
    }

    /// Sends all commands, then waits for all replies.
    ///
    /// A command that the server refuses is an `.error` among the replies; what is thrown concerns the connection.
    public func pipeline(_ commands: [RedisCommand], by deadline: Deadline) throws(RedisError) -> [RedisReply] {
        guard isOpen else { throw .closed(step: "send") }
        guard !commands.isEmpty else { return [] }
        do {
            return try exchange(commands, by: deadline)
        } catch {
            isOpen = false
            throw error
        }
    }

    private func exchange(_ commands: [RedisCommand], by deadline: Deadline) throws(RedisError) -> [RedisReply] {
        var output: [UInt8] = []
        output.reserveCapacity(commands.reduce(0) { $0 + $1.bytes.count })
        for command in commands { output.append(contentsOf: command.bytes) }
        var sent = 0
        var arrived = 0
        while arrived < commands.count {
            if sent < output.count { sent += try send(output[sent...]) } else { tls?.flush(put) }
            let step = commands[arrived].name
            let hasMore = sent < output.count || tls?.hasUnsent == true
            guard try wait(forWriting: hasMore, by: deadline) else { throw .timedOut(step: step) }
            let got = recv(context.pointee.fd, chunk.baseAddress, chunk.count, Int32(MSG_DONTWAIT))
            var isOver = got == 0 || got < 0 && !Self.isTransient(errno)
            if got > 0 { isOver = try !take(UnsafeRawBufferPointer(rebasing: chunk[..<got]), &arrived) }
            if isOver && arrived < commands.count {
                // A server that is full says so, unasked, before it hangs up.
                if arrived > 0, let reason = reader.take()[0].errorText {
                    throw .refused(command: "connect", reason: reason)
                }
                throw .closed(step: step)
            }
        }
        guard arrived == commands.count else { throw .protocolBroken("more replies than commands") }
        return reader.take()
    }

    /// Hands on what came. False when the server has said that nothing more will come.
    private func take(_ bytes: UnsafeRawBufferPointer, _ arrived: inout Int) throws(RedisError) -> Bool {
        guard let tls else {
            arrived = try reader.feed(bytes)
            return true
        }
        opened.removeAll(keepingCapacity: true)
        let goesOn: Bool
        do throws(StreamFailure) { goesOn = try tls.open(bytes, into: &opened) } catch { throw .tls("\(error)") }
        if !opened.isEmpty {
            let fed: Result<Int, RedisError> = opened.withUnsafeBytes { bytes in
                do throws(RedisError) { return .success(try reader.feed(bytes)) } catch { return .failure(error) }
            }
            arrived = try fed.get()
        }
        return goesOn
    }

    /// How many bytes were sent, or sealed for it.
    private func send(_ bytes: ArraySlice<UInt8>) throws(RedisError) -> Int {
        guard let tls else { return bytes.withUnsafeBytes { put($0) } }
        let sealed = bytes.withUnsafeBytes { tls.seal($0) }
        tls.flush(put)
        switch sealed {
        case .success(let count): return count
        case .failure(let failure): throw .tls("\(failure)")
        }
    }

    /// How many bytes the kernel took. A connection that is gone takes all: its last words are still to be read.
    private func put(_ bytes: UnsafeRawBufferPointer) -> Int {
        let count = Glibc.send(
            context.pointee.fd, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
        if count >= 0 { return count }
        return Self.isTransient(errno) ? 0 : bytes.count
    }

    private func shakeHands(by deadline: Deadline) throws(RedisError) {
        guard let tls else { return }
        while !tls.isOpen {
            tls.flush(put)
            guard try wait(forWriting: tls.hasUnsent, by: deadline) else { throw .timedOut(step: "TLS handshake") }
            let got = recv(context.pointee.fd, chunk.baseAddress, chunk.count, Int32(MSG_DONTWAIT))
            if got < 0, Self.isTransient(errno) { continue }
            guard got > 0 else { throw .closed(step: "TLS handshake") }
            do throws(StreamFailure) {
                _ = try tls.open(UnsafeRawBufferPointer(rebasing: chunk[..<got]), into: &opened)
            } catch {
                throw .tls("\(error)")
            }
        }
        tls.flush(put)
    }

    /// False when the deadline came first.
    private func wait(forWriting: Bool, by deadline: Deadline) throws(RedisError) -> Bool {
        try Self.wait(context.pointee.fd, forWriting ? POLLIN | POLLOUT : POLLIN, by: deadline)
    }

    private static func wait(_ file: Int32, _ events: Int32, by deadline: Deadline) throws(RedisError) -> Bool {
        var entry = pollfd(fd: file, events: Int16(events), revents: 0)
        while true {
            let ready = poll(&entry, 1, deadline.pollMilliseconds)
            if ready > 0 { return true }
            if ready == 0 { return false }
            guard errno == EINTR else { throw .closed(step: "wait") }
        }
    }

    private static func isTransient(_ code: Int32) -> Bool { code == EAGAIN || code == EINTR }
}

// MARK: - Connecting

extension RedisConnection {
    private static func connect(
        _ endpoint: RedisAddress.Endpoint, by deadline: Deadline
    ) throws(RedisError) -> UnsafeMutablePointer<redisContext> {
        switch endpoint {
        case .unix(let path):
            return try finish(redisConnectUnixNonBlock(path), to: path, by: deadline)
        case .tcp(let host, let port):
            var failure = RedisError.cannotResolve(host: host, reason: "no address")
            let candidates = try resolve(host, by: deadline)
            for (index, candidate) in candidates.enumerated() {
                // An address that swallows packets must not eat the time of the next one.
                let share = deadline.remaining / (candidates.count - index)
                do {
                    return try finish(
                        redisConnectNonBlock(candidate, Int32(port)), to: "\(host):\(port)", by: .after(share))
                } catch {
                    failure = error
                }
            }
            throw failure
        }
    }

    private static func finish(
        _ made: UnsafeMutablePointer<redisContext>?, to place: String, by deadline: Deadline
    ) throws(RedisError) -> UnsafeMutablePointer<redisContext> {
        guard let context = made else { throw .cannotConnect(to: place, reason: "out of memory") }
        do throws(RedisError) {
            guard context.pointee.err == 0 else {
                let reason = withUnsafePointer(to: &context.pointee.errstr) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 128) { String(cString: $0) }
                }
                throw .cannotConnect(to: place, reason: reason)
            }
            let file = context.pointee.fd
            _ = fcntl(file, F_SETFD, FD_CLOEXEC)
            guard try wait(file, POLLOUT, by: deadline) else { throw .timedOut(step: "connect to \(place)") }
            var code: Int32 = 0
            var length = socklen_t(MemoryLayout<Int32>.size)
            getsockopt(file, SOL_SOCKET, SO_ERROR, &code, &length)
            guard code == 0 else { throw .cannotConnect(to: place, reason: String(cString: strerror(code))) }
            return context
        } catch {
            redisFree(context)
            throw error
        }
    }

    /// The addresses of a host in digits, in the order in which they are to be tried.
    private static func resolve(_ host: String, by deadline: Deadline) throws(RedisError) -> [String] {
        do throws(PostgresError) {
            return try NameResolution.addresses(of: host, by: deadline)
        } catch {
            if error.kind == .timeout { throw .timedOut(step: "resolve \(host)") }
            throw .cannotResolve(host: host, reason: error.message)
        }
    }

    private func logIn(as clientName: String?, by deadline: Deadline) throws(RedisError) {
        var commands: [RedisCommand] = []
        if let password = address.password, !password.isEmpty {
            let words = [address.user, password].compactMap { $0 }
            commands.append(RedisCommand((["AUTH"] + words).map { Array($0.utf8) }, name: "AUTH"))
        }
        if address.protocolVersion == 3 { commands.append(RedisCommand("HELLO", "3")) }
        if address.database != 0 { commands.append(RedisCommand("SELECT", "\(address.database)")) }
        if let clientName { commands.append(RedisCommand("CLIENT", "SETNAME", clientName)) }
        let replies = try pipeline(commands, by: deadline)
        for (command, reply) in zip(commands, replies) {
            guard let reason = reply.errorText else { continue }
            switch command.name {
            case _ where reason.hasPrefix("NOAUTH"): throw .loginRefused(reason)
            // Said to everybody who comes too late, whatever they asked.
            case _ where reason.hasPrefix("ERR max number of clients"):
                throw .refused(command: "connect", reason: reason)
            case "AUTH": throw .loginRefused(Self.withoutArguments(reason))
            case "SELECT", "HELLO": throw .refused(command: command.name, reason: Self.withoutArguments(reason))
            default: continue
            }
        }
    }

    /// `ERR unknown command 'AUTH', with args beginning with: 'secret'` repeats the password.
    private static func withoutArguments(_ reason: String) -> String {
        var kept = reason[...]
        while !kept.isEmpty {
            if kept.hasPrefix(", with args") { return String(reason[..<kept.startIndex]) }
            kept.removeFirst()
        }
        return reason
    }
}
