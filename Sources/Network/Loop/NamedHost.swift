import Glibc
import Runtime
import Synchronization

/// A host's name and where it leads, which may change: it is asked again when somebody connects and the last answer is a
/// second old, and when `refresh` finds it older than wanted. Asking is done on a thread of its own, and nobody waits.
/// Any thread may use it.
final class NamedHost: Sendable {
    typealias LookUp =
        @Sendable (_ host: String, _ port: UInt16) -> Result<[StreamAddress.Candidate], StreamAddress.Unknown>

    let host: String
    let port: UInt16
    private let lookUp: LookUp
    private let state: Mutex<State>

    private struct State {
        var candidates: [StreamAddress.Candidate]
        /// Counts answers that have nothing in common with the ones before.
        var moves = 0
        var isAsking = false
        var askedNs: Int
        var hasAnswer = false
    }

    private static let freshNs = 1_000_000_000

    /// - Parameter candidates: what is known already; empty for nothing.
    init(
        _ host: String, port: UInt16, knowing candidates: [StreamAddress.Candidate] = [],
        lookUp: @escaping LookUp = StreamAddress.lookUp
    ) {
        (self.host, self.port, self.lookUp) = (host, port, lookUp)
        let known = !candidates.isEmpty
        state = Mutex(
            State(candidates: candidates, askedNs: known ? MonotonicClock.nowNs : Int.min / 2, hasAnswer: known))
    }

    var candidates: [StreamAddress.Candidate] { state.withLock { $0.candidates } }
    var moves: Int { state.withLock { $0.moves } }
    /// Whether it was answered, if only that there is no such name.
    var hasAnswer: Bool { state.withLock { $0.hasAnswer } }

    /// Asks where the answer is older than a second.
    func askAgain() { ask(olderThanNs: Self.freshNs) }

    func refresh(olderThan age: Duration) { ask(olderThanNs: max(Self.freshNs, age.nanoseconds)) }

    private func ask(olderThanNs age: Int) {
        let now = MonotonicClock.nowNs
        let isDue = state.withLock { state in
            guard !state.isAsking, now - state.askedNs >= age else { return false }
            (state.isAsking, state.askedNs) = (true, now)
            return true
        }
        guard isDue else { return }
        let failure = DetachedThread.tryStart("resolve", stackBytes: 256 << 10) { [self] in take(lookUp(host, port)) }
        if failure != 0 { state.withLock { $0.isAsking = false } }
    }

    private func take(_ answer: Result<[StreamAddress.Candidate], StreamAddress.Unknown>) {
        var problem: StreamAddress.Unknown?
        state.withLock { state in
            (state.isAsking, state.hasAnswer) = (false, true)
            switch answer {
            case .success(let fresh):
                let isElsewhere = !state.candidates.isEmpty && !fresh.contains { state.candidates.contains($0) }
                if isElsewhere { state.moves += 1 }
                state.candidates = fresh
            // A name server that is out of order does not mean that the host has gone.
            case .failure(let unknown): problem = unknown
            }
        }
        if let problem { Log.warn("a name is not found", ["host": host, "why": "\(problem)"]) }
    }
}
