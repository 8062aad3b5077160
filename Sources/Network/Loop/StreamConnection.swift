import CLinux
import Glibc
import Runtime

/// Who a connection belongs to. Called on the loop's thread.
public protocol StreamOwner: AnyObject {
    /// The handshake of TLS is done; never called without TLS.
    func secured(_ connection: StreamConnection)
    /// More input has come; `takeInput` shows it.
    func received(_ connection: StreamConnection)
    /// The other side sends no more, and may still read; `takeInput` shows what came before. Closes, unless it is written
    /// otherwise. Told once, and not while the connection is paused.
    func ended(_ connection: StreamConnection)
    /// Output that had piled up has gone: what the socket did not take at once, or half a megabyte and more.
    func drained(_ connection: StreamConnection)
    /// The connection is closed, by whomever; `failure` may say why. The last call.
    func closed(_ connection: StreamConnection)
}

extension StreamOwner {
    public func secured(_ connection: StreamConnection) {}
    public func ended(_ connection: StreamConnection) { connection.closeWhenSent() }
}

/// One stream socket of an event loop, with what has come and was not understood yet, and what was not sent yet. Only for
/// the loop's thread.
///
/// With TLS, input is only what came under it: what anybody sends ahead of the handshake is never shown. A handshake has
/// no time limit of its own; whoever owns the connection closes it when `isReady` stays false for too long.
public final class StreamConnection: LoopHandler {
    public let loop: EventLoop
    /// Kept until the connection closes.
    public var owner: (any StreamOwner)?
    public let peer: StreamPeer
    /// Why it was closed, where that was a failure.
    public private(set) var failure: StreamFailure?
    private var input: [UInt8] = []
    private var output: [UInt8] = []
    private var sent = 0
    private var descriptor: Int32
    private var interest: Readiness = .input
    private var willSend = false
    /// Whether the owner is told of `drained`.
    private var hasPiledUp = false
    private var isPaused = false
    private var closesWhenSent = false
    private var finishesWhenSent = false
    private var tls: TLSSession?
    /// There is nothing more to come; whether the owner knows.
    private var (hasEnded, hasToldEnd) = (false, false)
    /// Whether what has come is read even when the other side has gone while this one was paused. Otherwise that closes the
    /// connection at once, so that its owner knows.
    public var isReadToTheEnd = false
    /// The other side has gone; the loop does not watch the socket until `resume`.
    private var isParked = false
    /// Nothing that is sent can arrive any more.
    private var isBroken = false
    /// Until the connection stands: where else to try.
    private var attempts: StreamAddress.Attempts?
    /// Among the clients of a listener, while it is open.
    var place: ClientLimit.Place?

    /// Buffers that are larger are given back once they are empty.
    private static let keptBytes = 4 << 10
    /// Who holds back because so much is unsent has to be told when it has gone, even if it goes at once.
    private static let pileBytes = 512 << 10
    /// Of the loop's scratch space, what opened records go through; sealed bytes get the rest.
    private static let recordBytes = 16 << 10

    /// - Parameters:
    ///   - descriptor: a socket that does not block; it belongs to the connection from here on.
    ///   - attempts: where else to try when the socket, which is about to be connected, fails.
    init(
        _ descriptor: Int32, on loop: EventLoop, with peer: StreamPeer, trying attempts: StreamAddress.Attempts? = nil,
        tls: TLSSession? = nil
    ) {
        self.descriptor = descriptor
        self.loop = loop
        self.peer = peer
        self.attempts = attempts
        self.tls = tls
        watch()
    }

    deinit { if descriptor >= 0 { Glibc.close(descriptor) } }

    public var isOpen: Bool { descriptor >= 0 }
    /// Whether the kernel has taken anything that was to be sent, so that the other side may have it.
    public private(set) var hasSent = false
    /// Of the output, what has gone so far: who takes nothing for long is seen by it.
    public private(set) var sentBytes = 0
    /// Whether what the owner sends can reach the other side: it is connected, and the handshake of TLS, if any, is done.
    public var isReady: Bool { isOpen && attempts == nil && tls?.isOpen != false }
    /// Whether everything it shows and sends goes under TLS.
    public var usesTLS: Bool { tls != nil }
    /// Bytes that wait to be sent.
    public var unsentBytes: Int { output.count - sent + (tls?.unsentBytes ?? 0) }

    /// Memory that the connection has for what has come and what waits to be sent.
    public var bufferBytes: Int { input.capacity + output.capacity + (tls?.unsentBytes ?? 0) }

    /// Shows what has come, from its first byte that was not understood, and forgets as many bytes as `understand` says.
    public func takeInput(_ understand: (Span<UInt8>) -> Int) {
        // Held here meanwhile, so that `understand` may close the connection.
        var held: [UInt8] = []
        swap(&held, &input)
        let taken = understand(held.span)
        guard isOpen else { return }
        if taken < held.count {
            // TLS began within `understand`, and these came ahead of it.
            guard tls?.isOpen != false else { return fail(.bytesBeforeTLS) }
            held.removeFirst(taken)
            swap(&held, &input)
        } else if held.capacity <= Self.keptBytes {
            held.removeAll(keepingCapacity: true)
            swap(&held, &input)
        }
    }

    /// Adds to what is sent before the loop waits again.
    public func send(_ bytes: Span<UInt8>) {
        guard isOpen, !isBroken else { return }
        output.append(bytes: bytes)
        sendLater()
    }

    /// The same, written in place.
    public func send(_ write: (inout [UInt8]) -> Void) {
        guard isOpen else { return }
        write(&output)
        if isBroken { output = [] } else { sendLater() }
    }

    /// Has the owner told of `drained` once everything that waits has been sent, even if the socket takes it at once: for
    /// who holds back with less than half a megabyte unsent.
    public func tellWhenDrained() {
        hasPiledUp = true
        sendLater()
    }

    private func sendLater() {
        if output.count - sent >= Self.pileBytes { hasPiledUp = true }
        guard !willSend else { return }
        willSend = true
        loop.sendLater(self)
    }

    /// Sends at once what would be sent before the loop waits again. For who answers one at a time, and whose other side
    /// can begin meanwhile.
    public func sendNow() { if willSend { flush() } }

    /// Reads no more until `resume`, so that the other side has to wait; so does a handshake.
    public func pause() {
        isPaused = true
        show()
    }

    public func resume() {
        isPaused = false
        show()
        if hasEnded, !hasToldEnd { loop.sendLater(self) }
    }

    private func tellEnd() {
        guard hasEnded, !hasToldEnd, !isPaused, isOpen else { return }
        hasToldEnd = true
        if let owner { owner.ended(self) } else { close() }
    }

    /// Says once everything was sent that nothing follows; what the other side still says is shown.
    public func finishWhenSent() {
        finishesWhenSent = true
        sendLater()
    }

    /// Closes once everything was sent.
    public func closeWhenSent() {
        closesWhenSent = true
        sendLater()
    }

    public func close() {
        guard isOpen else { return }
        if let tls {
            tls.sayGoodbye()
            tls.drain { max(0, put($0)) }
        }
        loop.remove(descriptor)
        Glibc.close(descriptor)
        (descriptor, place) = (-1, nil)
        (input, output, sent) = ([], [], 0)
        owner?.closed(self)
        owner = nil
    }

    // MARK: TLS on a connection that began without

    /// Goes on under TLS, as the side that accepts, after what was sent so far. The connection must have no input that was
    /// not understood: it would have been sent before the handshake by anybody, and closes the connection.
    public func secure(_ tls: TLSServer) { begin(tls.session()) }

    /// The same as the side that connected.
    public func secure(_ tls: TLSClient) { begin(tls.session()) }

    private func begin(_ session: TLSSession) {
        guard isOpen else { return }
        precondition(tls == nil, "TLS inside TLS")
        tls = session
        guard input.isEmpty else { return fail(.bytesBeforeTLS) }
        session.sendFirst(output[sent...])
        (output, sent) = ([], 0)
        sendLater()
    }

    // MARK: On the loop

    public func ready(_ readiness: Readiness) {
        if attempts != nil { return attempted() }
        if readiness.contains(.output) { flush() }
        if readiness.contains(.input), !isPaused {
            receive()
        } else if readiness.contains(.end) {
            if isPaused, isReadToTheEnd { park() } else { close() }
        }
    }

    /// The kernel would tell of the end again and again.
    private func park() {
        isParked = true
        loop.remove(descriptor)
    }

    private func receive() {
        guard isOpen else { return }
        if let tls { return receive(under: tls) }
        let got = Glibc.read(descriptor, loop.scratch.baseAddress, loop.scratch.count)
        guard got > 0 else {
            if got < 0 { return errno == EAGAIN || errno == EINTR ? () : close() }
            hasEnded = true
            show()
            return tellEnd()
        }
        input.append(contentsOf: UnsafeRawBufferPointer(rebasing: loop.scratch[..<got]))
        owner?.received(self)
    }

    private func receive(under tls: TLSSession) {
        let space = UnsafeMutableRawBufferPointer(rebasing: loop.scratch[..<Self.recordBytes])
        let arriving = UnsafeMutableRawBufferPointer(rebasing: loop.scratch[Self.recordBytes...])
        let got = Glibc.read(descriptor, arriving.baseAddress, arriving.count)
        guard got > 0 else {
            if got < 0, errno == EAGAIN || errno == EINTR { return }
            return tls.isMidway ? fail(.cutShort) : close()
        }
        guard !hasEnded else { return }
        let (known, wasOpen) = (input.count, tls.isOpen)
        let progress = tls.take(
            UnsafeRawBufferPointer(rebasing: arriving[..<got]), working: space, into: &input)
        let isOpening = tls.isOpen && !wasOpen
        if tls.unsentBytes > 0 || isOpening { sendLater() }
        if isOpening { owner?.secured(self) }
        if isOpen, input.count > known { owner?.received(self) }
        guard isOpen else { return }
        switch progress {
        case .goesOn: return
        case .ended:
            hasEnded = true
            show()
            tellEnd()
        case .failed(let failure): fail(failure)
        }
    }

    func flush() {
        willSend = false
        guard isOpen else { return }
        guard attempts == nil else {
            hasPiledUp = unsentBytes > 0
            return
        }
        if !(tls == nil ? flushPlain() : flushSealed()) { giveUpSending() }
        guard isOpen else { return }
        if unsentBytes == 0, closesWhenSent { return close() }
        if unsentBytes == 0, finishesWhenSent { finish() }
        show()
        tellEnd()
        if unsentBytes > 0 {
            hasPiledUp = true
        } else if hasPiledUp {
            hasPiledUp = false
            owner?.drained(self)
        }
    }

    /// The other side has closed. What it said before is still read, up to the end that follows it.
    private func giveUpSending() {
        isBroken = true
        (output, sent) = ([], 0)
        tls?.drain { $0.count }
    }

    private func finish() {
        finishesWhenSent = false
        if let tls {
            tls.sayGoodbye()
            tls.drain { max(0, put($0)) }
        }
        shutdown(descriptor, Int32(SHUT_WR))
    }

    /// Whether the socket is still good.
    private func flushPlain() -> Bool {
        while sent < output.count {
            let count = output.withUnsafeBytes { put(UnsafeRawBufferPointer(rebasing: $0[sent...])) }
            guard count >= 0 else { return false }
            if count == 0 { break }
            sent += count
            sentBytes += count
            hasSent = true
        }
        forgetSent()
        return true
    }

    private func flushSealed() -> Bool {
        guard let tls else { return true }
        var isGood = true
        repeat {
            switch output.withUnsafeBytes({ tls.seal(UnsafeRawBufferPointer(rebasing: $0[sent...])) }) {
            case .success(let count):
                sent += count
                sentBytes += count
                if count > 0 { hasSent = true }
            case .failure(let failure):
                fail(failure)
                return true
            }
            tls.drain { bytes in
                let count = put(bytes)
                if count < 0 { isGood = false }
                return count
            }
        } while isGood && tls.isOpen && tls.unsentBytes == 0 && sent < output.count
        forgetSent()
        return isGood
    }

    private func forgetSent() {
        if sent == output.count {
            if output.capacity > Self.keptBytes { output = [] } else { output.removeAll(keepingCapacity: true) }
            sent = 0
        } else if sent > 1 << 20 {
            output.removeFirst(sent)
            sent = 0
        }
    }

    /// - Returns: how many bytes the socket took, 0 when it takes none now, -1 when it never will again.
    private func put(_ bytes: UnsafeRawBufferPointer) -> Int {
        while true {
            let count = Glibc.send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
            if count >= 0 { return count }
            if errno == EAGAIN { return 0 }
            guard errno == EINTR else { return -1 }
        }
    }

    private func fail(_ failure: StreamFailure) {
        guard isOpen else { return }
        self.failure = failure
        tls?.context.failures.note(failure, with: peer)
        close()
    }

    // MARK: Connecting

    /// The socket is connected, or will never be.
    private func attempted() {
        var failure: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &failure, &length)
        guard failure != 0 else {
            attempts = nil
            return flush()
        }
        switch attempts?.next() {
        case .begun(let another):
            loop.remove(descriptor)
            Glibc.close(descriptor)
            descriptor = another
            watch()
        case .nothingLeft(let last)?:
            self.failure = .unreachable(errno: last == 0 ? failure : last)
            close()
        case nil: return
        }
    }

    private func watch() {
        var yes: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &yes, socklen_t(MemoryLayout<Int32>.size))
        interest = .input
        loop.add(descriptor, self)
        show()
    }

    private func show() {
        guard isOpen else { return }
        if isParked {
            guard !isPaused else { return }
            isParked = false
            interest = .input
            return loop.add(descriptor, self)
        }
        var wanted: Readiness = isPaused || hasEnded ? [] : .input
        if attempts != nil {
            wanted = .output
        } else if willSend {
            // The flush, which comes before the loop waits again, sees whether anything is left.
            wanted.formUnion(interest.intersection(.output))
        } else if tls.map({ $0.unsentBytes > 0 }) ?? (sent < output.count) {
            wanted.insert(.output)
        }
        guard wanted != interest else { return }
        interest = wanted
        loop.change(descriptor, to: wanted)
    }
}
