import Runtime

/// TLS for a connection whose socket the caller waits for itself, on a thread that may block: what came is opened, and
/// what is to go is sealed. Not thread-safe; the connection owns it.
public final class TLSChannel {
    private let session: TLSSession
    private let space: UnsafeMutableRawBufferPointer

    public init(_ client: TLSClient) {
        session = client.session()
        space = .allocate(byteCount: 16 << 10, alignment: 16)
    }

    deinit { space.deallocate() }

    /// Whether the handshake is done; before, nothing is sealed.
    public var isOpen: Bool { session.isOpen }

    /// Whether sealed bytes wait to be sent.
    public var hasUnsent: Bool { session.unsentBytes > 0 }

    /// Opens what came and appends it to `input`.
    ///
    /// - Returns: false when the other side has said that nothing more will come.
    public func open(_ bytes: UnsafeRawBufferPointer, into input: inout [UInt8]) throws(StreamFailure) -> Bool {
        switch session.take(bytes, working: space, into: &input) {
        case .goesOn: return true
        case .ended: return false
        case .failed(let failure): throw failure
        }
    }

    /// Seals from the start of `bytes` as much as may wait; at once nothing more while 64 KiB wait to be sent.
    ///
    /// - Returns: how many bytes were sealed.
    public func seal(_ bytes: UnsafeRawBufferPointer) -> Result<Int, StreamFailure> { session.seal(bytes) }

    /// Sends with `send`, which says how many of the bytes the socket took, until it takes none.
    public func flush(_ send: (UnsafeRawBufferPointer) -> Int) { session.drain(send) }
}
