import Network
import Runtime

/// Asks one instance at intervals whether it is well. Only for the loop's thread.
final class HealthCheck: FetchOwner {
    private let upstream: Upstream
    private let rules: HealthRules
    private let relay: Relay
    private var fetch: Fetch?
    private var status = 0
    private var isOver = false

    init(_ upstream: Upstream, _ rules: HealthRules, _ relay: Relay) {
        (self.upstream, self.rules, self.relay) = (upstream, rules, relay)
    }

    func start() { ask() }

    func end() {
        isOver = true
        fetch?.cancel()
        fetch = nil
    }

    private func askLater() {
        fetch = nil
        guard !isOver else { return }
        relay.loop.after(milliseconds: max(50, rules.interval.milliseconds)) { [weak self] in self?.ask() }
    }

    private func ask() {
        guard !isOver, let path = rules.path else { return }
        status = 0
        var head = Array("GET \(path) HTTP/1.1\r\nHost: ".utf8)
        head.append(contentsOf: "\(upstream.address)".utf8)
        head.append(contentsOf: "\r\nUser-Agent: outrigger\r\nConnection: close\r\n\r\n".utf8)
        let timing = Fetch.Timing(
            patienceMs: 0, answerMs: rules.timeout.milliseconds, connectMs: rules.timeout.milliseconds)
        let fetch = Fetch(
            relay, UpstreamPool([upstream]), head: head, method: .get, framing: .none, mayRepeat: false, timing: timing,
            owner: self)
        fetch.isCheck = true
        fetch.finishBody(trailers: [])
        self.fetch = fetch
        fetch.start()
        guard self.fetch != nil else { return }
        relay.loop.after(milliseconds: rules.timeout.milliseconds) { [weak self, weak fetch] in
            guard let self, let fetch, !fetch.isOver, fetch === self.fetch else { return }
            fetch.cancel()
            failed("it did not answer in time")
        }
    }

    private func failed(_ reason: String) {
        upstream.failed("check: \(reason)")
        askLater()
    }

    func fetchBegan(_ head: ResponseHead) { status = head.status }
    func fetchReceived(_ bytes: Span<UInt8>) {}
    func fetchTold(_ head: ResponseHead) {}
    func fetchDrained() {}
    func fetchSwitched(_ head: ResponseHead, _ connection: StreamConnection) { connection.close() }

    func fetchEnded(trailers: [UInt8]) {
        guard (200..<400).contains(status) else { return failed("it answered \(status)") }
        upstream.checked()
        askLater()
    }

    func fetchFailed(_ failure: FetchFailure) { failed(failure.rawValue) }
}
