import CLinux
import Glibc

/// Who a connection belongs to. Called on the loop's thread.
public protocol StreamOwner: AnyObject {
    /// More input has come; `takeInput` shows it.
    func received(_ connection: StreamConnection)
    /// Output that had piled up has gone.
    func drained(_ connection: StreamConnection)
    /// The connection is closed, by whomever. The last call.
    func closed(_ connection: StreamConnection)
}

/// One stream socket of an event loop, with what has come and was not understood yet, and what was not sent yet. Only for
/// the loop's thread.
public final class StreamConnection: LoopHandler {
    public let loop: EventLoop
    public weak var owner: (any StreamOwner)?
    private var input: [UInt8] = []
    private var output: [UInt8] = []
    private var sent = 0
    private var descriptor: Int32
    private var interest: Readiness = .input
    private var willSend = false
    private var isPaused = false
    private var closesWhenSent = false

    /// Buffers that are larger are given back once they are empty.
    private static let keptBytes = 4 << 10

    /// - Parameter descriptor: a socket that does not block; it belongs to the connection from here on.
    init(_ descriptor: Int32, on loop: EventLoop) {
        self.descriptor = descriptor
        self.loop = loop
        var yes: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &yes, socklen_t(MemoryLayout<Int32>.size))
        loop.add(descriptor, self)
    }

    deinit { if descriptor >= 0 { Glibc.close(descriptor) } }

    public var isOpen: Bool { descriptor >= 0 }
    /// Whether the kernel has taken anything that was to be sent, so that the other side may have it.
    public private(set) var hasSent = false
    /// Bytes that wait to be sent.
    public var unsentBytes: Int { output.count - sent }

    /// Shows what has come, from its first byte that was not understood, and forgets as many bytes as `understand` says.
    public func takeInput(_ understand: (Span<UInt8>) -> Int) {
        // Held here meanwhile, so that `understand` may close the connection.
        var held: [UInt8] = []
        swap(&held, &input)
        let taken = understand(held.span)
        guard isOpen else { return }
        if taken < held.count {
            held.removeFirst(taken)
            swap(&held, &input)
        } else if held.capacity <= Self.keptBytes {
            held.removeAll(keepingCapacity: true)
            swap(&held, &input)
        }
    }

    /// Adds to what is sent before the loop waits again.
    public func send(_ bytes: Span<UInt8>) {
        guard isOpen else { return }
        output.append(bytes: bytes)
        sendLater()
    }

    /// The same, written in place.
    public func send(_ write: (inout [UInt8]) -> Void) {
        guard isOpen else { return }
        write(&output)
        sendLater()
    }

    private func sendLater() {
        guard !willSend else { return }
        willSend = true
        loop.sendLater(self)
    }

    /// Reads no more until `resume`, so that the other side has to wait.
    public func pause() {
        isPaused = true
        show()
    }

    public func resume() {
        isPaused = false
        show()
    }

    /// Closes once everything was sent.
    public func closeWhenSent() {
        closesWhenSent = true
        sendLater()
    }

    public func close() {
        guard isOpen else { return }
        loop.remove(descriptor)
        Glibc.close(descriptor)
        descriptor = -1
        (input, output, sent) = ([], [], 0)
        owner?.closed(self)
    }

    // MARK: On the loop

    public func ready(_ readiness: Readiness) {
        if readiness.contains(.output) { flush() }
        if readiness.contains(.input), !isPaused { receive() } else if readiness.contains(.end) { close() }
    }

    private func receive() {
        guard isOpen else { return }
        let got = Glibc.read(descriptor, loop.scratch.baseAddress, loop.scratch.count)
        guard got > 0 else {
            if got < 0, errno == EAGAIN || errno == EINTR { return }
            return close()
        }
        input.append(contentsOf: UnsafeRawBufferPointer(rebasing: loop.scratch[..<got]))
        owner?.received(self)
    }

    func flush() {
        willSend = false
        guard isOpen else { return }
        let hadPiledUp = interest.contains(.output)
        while sent < output.count {
            let count = output.withUnsafeBytes { bytes in
                Glibc.send(
                    descriptor, bytes.baseAddress?.advanced(by: sent), bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count < 0 {
                if errno == EINTR { continue }
                guard errno == EAGAIN || errno == ENOTCONN else { return close() }
                break
            }
            sent += count
            hasSent = true
        }
        if sent == output.count {
            if output.capacity > Self.keptBytes { output = [] } else { output.removeAll(keepingCapacity: true) }
            sent = 0
            if closesWhenSent { return close() }
        } else if sent > 1 << 20 {
            output.removeFirst(sent)
            sent = 0
        }
        show()
        if hadPiledUp, unsentBytes == 0 { owner?.drained(self) }
    }

    private func show() {
        guard isOpen else { return }
        var wanted: Readiness = isPaused ? [] : .input
        if sent < output.count { wanted.insert(.output) }
        guard wanted != interest else { return }
        interest = wanted
        loop.change(descriptor, to: wanted)
    }
}
