import Runtime

/// TLS for connections to several servers: the same trust and identity for all, and each has to bear its own name.
public struct TLSClients: Sendable {
    private let first: TLSClient
    /// All servers bear one name, whatever their hosts are.
    private let isOneName: Bool

    init(_ first: TLSClient, isOneName: Bool) {
        self.first = first
        self.isOneName = isOneName
    }

    /// - Parameter host: empty for the one that `first` was made for.
    /// - Returns: nil for what cannot be a server's name.
    public func client(for host: String) -> TLSClient? {
        isOneName || host.isEmpty ? first : first.named(host)
    }
}
