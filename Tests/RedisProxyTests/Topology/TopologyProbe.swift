import LocalServers
import Network
import Runtime
import Synchronization
import Testing

@testable import RedisProxy

/// A loop of its own with a client on it, for tests that ask real servers.
final class TopologyProbe: Sendable {
    let loop = EventLoop("probe")
    let client: TopologyClient

    init() {
        client = TopologyClient(on: loop, after: Self.timer(on: loop))
    }

    deinit { loop.end() }

    static func timer(on loop: EventLoop) -> LoopTimer {
        { milliseconds, work in
            Task {
                try await Task.sleep(for: .milliseconds(milliseconds))
                loop.post(work)
            }
        }
    }

    func ask(
        _ words: String..., of address: NodeAddress, as login: TopologyLogin = TopologyLogin(), within: Int = 20_000
    ) async throws -> RESPValue { try await asks([words], of: address, as: login, within: within)[0] }

    func asks(
        _ commands: [[String]], of address: NodeAddress, as login: TopologyLogin = TopologyLogin(), within: Int = 20_000
    ) async throws -> [RESPValue] {
        let client = client
        return try await withCheckedContinuation { continuation in
            loop.post {
                client.ask(commands, of: address, as: login, within: within) { continuation.resume(returning: $0) }
            }
        }.get()
    }
}

/// What happened, in order.
final class Happenings<Event: Sendable>: Sendable {
    private let events = Mutex<[Event]>([])

    var all: [Event] { events.withLock { $0 } }

    func add(_ event: Event) { events.withLock { $0.append(event) } }

    func wait(
        _ what: String, within patience: Duration = .seconds(180), until isSo: ([Event]) async throws -> Bool
    ) async throws {
        let deadline = Deadline.after(patience)
        while try await !isSo(all) {
            try #require(!deadline.hasPassed, "\(what) never happened; there was \(all)")
            try await Task.sleep(for: .milliseconds(20))
        }
    }
}

extension LocalRedis {
    var address: NodeAddress { NodeAddress("127.0.0.1", port) }
}

extension LocalSentinel {
    var address: NodeAddress { NodeAddress("127.0.0.1", port) }
}

/// A reply in text, with line ends as `|`.
func value(_ text: String, limits: RESPValue.Limits = RESPValue.Limits()) throws(RESPValue.Fault) -> RESPValue {
    try RESPValue(wire(text).span, limits: limits)
}

/// Text with line ends as `|`.
func wire(_ text: String) -> [UInt8] {
    text.utf8.flatMap { $0 == UInt8(ascii: "|") ? [13, 10] : [$0] }
}

func node(_ last: Int, _ port: UInt16 = 6379) -> NodeAddress { NodeAddress("10.0.0.\(last)", port) }

/// Where a command in text goes.
func target(_ words: [String]) -> ClusterTarget {
    var bytes: [UInt8] = []
    var ranges: [Range<Int>] = []
    for word in words {
        ranges.append(bytes.count..<bytes.count + word.utf8.count)
        bytes += word.utf8
    }
    var scratch: [Int] = []
    return ClusterTarget(
        CommandTable.shared.command(ranges, in: bytes.span), ranges, in: bytes.span, scratch: &scratch)
}

func target(_ text: String) -> ClusterTarget { target(text.split(separator: " ").map { String($0) }) }
