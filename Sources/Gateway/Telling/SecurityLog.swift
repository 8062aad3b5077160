import Metrics
import Operations
import Runtime
import Synchronization

/// Something that whoever guards the service wants to know of.
public struct SecurityEvent: Sendable {
    public enum Kind: String, CaseIterable, Sendable {
        case token
        case forbidden
        case rateLimit = "rate_limit"
        case malformed
        case smuggling
        case oversize
        case crowd
    }

    /// Milliseconds since 1970.
    public let atMs: Int64
    public let kind: Kind
    /// A word or two: which rule.
    public let reason: String
    /// Of the client's address, with a secret of this process: the same client has the same one until the next start.
    public let client: String
    public let route: String
}

/// The last of these events, bounded, and how many there were. Any thread.
public final class SecurityLog: Sendable {
    private static let most = 1000
    private let entries = Mutex<(ring: [SecurityEvent], next: Int)>(([], 0))
    private let counters: [Counter]
    private let operations: OperationRecorder?
    private let secret: [UInt8]

    init(_ metrics: GatewayMetrics, _ operations: OperationRecorder?) {
        counters = SecurityEvent.Kind.allCases.map { metrics.securityEvents.with([$0.rawValue]) }
        self.operations = operations
        var random = SystemRandomNumberGenerator()
        secret = (0..<32).map { _ in random.next() }
    }

    func add(_ kind: SecurityEvent.Kind, _ reason: String, client: String, route: String) {
        counters[SecurityEvent.Kind.allCases.firstIndex(of: kind) ?? 0].add()
        operations?.add(1, to: "gateway_security_\(kind.rawValue)")
        let hash = HMAC.sha256(key: secret, Array(client.utf8)).prefix(8)
        let event = SecurityEvent(
            atMs: WallClock.nowMilliseconds, kind: kind, reason: reason, client: Array(hash).hexadecimal, route: route)
        entries.withLock { entries in
            if entries.ring.count < Self.most {
                entries.ring.append(event)
            } else {
                entries.ring[entries.next] = event
                entries.next = (entries.next + 1) % Self.most
            }
        }
    }

    /// The newest first.
    public var newest: [SecurityEvent] {
        entries.withLock { entries in
            Array((entries.ring[entries.next...] + entries.ring[..<entries.next]).reversed())
        }
    }
}
