import Runtime
import Synchronization

/// What has happened to one key, and which answers that allows: an interval register.
///
/// An event took effect some time between `sent` and `effective`. A reader may be given the state an event made unless
/// another event certainly came after it, and the reader was certainly owed that one when it began to ask. Clients of the
/// proxy are owed what was acknowledged through the proxy, and by the plain read of a key what that has told any of
/// them; what others wrote they are owed only after a time of grace. Nanoseconds on one clock throughout.
final class KeyHistory: Sendable {
    /// The two sides from which a key is written and read.
    enum Side: Sendable { case inside, outside }

    struct Event: Sendable {
        /// The number of the write; nil where the key was removed.
        fileprivate(set) var value: Int?
        let sent: Int
        /// Whether it may remove the key instead.
        fileprivate(set) var mayEmpty = false
        /// Nobody was told that it was carried out.
        fileprivate(set) var hasFailed = false
        /// When it is known to have been carried out; `max` while unknown.
        fileprivate(set) var effective = Int.max
        /// From when on a client of the proxy is owed it.
        fileprivate(set) var owedInside = Int.max
        /// From when on one that asks by the key's plain read is owed it.
        fileprivate(set) var owedToPlainReads = Int.max
        /// From when on a client of Redis itself is.
        fileprivate(set) var owedOutside = Int.max
        /// How long it lives, where it expires.
        let life: Int?
    }

    /// What a reader was told that it may not have been told.
    enum Violation: CustomStringConvertible {
        case neverWritten(Int)
        case superseded(Int?, by: Int?, owedForMilliseconds: Double)
        case outlived(Int, byMilliseconds: Double)
        /// Absent, though nothing removed it.
        case lost

        var description: String {
            switch self {
            case .neverWritten(let value): "\(value), which was never written"
            case .superseded(let value, let newer, let time):
                "\(value.map { "\($0)" } ?? "nothing"), though \(newer.map { "\($0)" } ?? "its removal") was owed for \(time) ms"
            case .outlived(let value, let time): "\(value), \(time) ms after it expired"
            case .lost: "nothing, though nothing removed the key"
            }
        }
    }

    private struct State {
        /// In the order in which they were sent. The first stands for a key that never was.
        var events: [Event]
        var lastNumber = 0
    }

    private let state: Mutex<State>
    /// How much later than it expired a value may be told, for Redis reads its clock once per turn of its loop.
    private let skew: Int
    /// How late the machine is, in nanoseconds: a value may be told so much longer.
    private let lateness: @Sendable () -> Int
    private static let mostEvents = 8192

    init(skew: Duration, lateness: @escaping @Sendable () -> Int = { 0 }) {
        self.lateness = lateness
        var nothing = Event(value: nil, sent: 0, life: nil)
        (nothing.effective, nothing.owedInside, nothing.owedOutside) = (0, 0, 0)
        state = Mutex(State(events: [nothing]))
        self.skew = skew.nanoseconds
    }

    static var now: Int { (ContinuousClock.now - origin).nanoseconds }
    private static let origin = ContinuousClock.now

    // MARK: Writing. Times are `now` unless a test says otherwise.

    /// Notes that a write is about to be sent. Returns its number, which is unlike any other's of this key.
    func begin(life: Duration? = nil, removes: Bool = false, at now: Int = now) -> Int {
        state.withLock { state in
            state.lastNumber += 1
            state.events.append(
                Event(value: removes ? nil : state.lastNumber, sent: now, life: life.map(\.nanoseconds)))
            if state.events.count > Self.mostEvents { state.events.removeFirst(Self.mostEvents / 2) }
            return removes ? now : state.lastNumber
        }
    }

    /// - Parameters:
    ///   - number: what `begin` returned.
    ///   - hasEmptied: the write has removed the key instead, as its source was gone.
    ///   - grace: how much later clients of the proxy are owed it.
    func acknowledge(
        _ number: Int, removes: Bool = false, hasEmptied: Bool = false, grace: Duration, at now: Int = now
    ) {
        state.withLock { state in
            guard let place = Self.place(of: number, removes, state.events) else { return }
            if hasEmptied { state.events[place].value = nil }
            state.events[place].mayEmpty = false
            state.events[place].effective = min(state.events[place].effective, now)
            state.events[place].owedOutside = min(state.events[place].owedOutside, now)
            let (owed, isForever) = now.addingReportingOverflow(grace.nanoseconds)
            state.events[place].owedInside = min(state.events[place].owedInside, isForever ? .max : owed)
        }
    }

    /// Notes that a write that has begun removes the key where its source is gone.
    func mayEmpty(_ number: Int) {
        state.withLock { state in
            guard let place = Self.place(of: number, false, state.events) else { return }
            state.events[place].mayEmpty = true
        }
    }

    /// The connection was lost before the reply came, or that was an error. Whether it was carried out nobody knows, but not
    /// much later than now.
    func fail(_ number: Int, removes: Bool = false, at now: Int = now) {
        let latest = now + 1_000_000_000
        state.withLock { state in
            guard let place = Self.place(of: number, removes, state.events) else { return }
            state.events[place].hasFailed = true
            state.events[place].effective = min(state.events[place].effective, latest)
        }
    }

    private static func place(of number: Int, _ removes: Bool, _ events: [Event]) -> Int? {
        events.lastIndex { removes ? $0.value == nil && $0.sent == number : $0.value == number }
    }

    // MARK: Reading

    struct Question: Sendable {
        let side: Side
        let asked: Int
        /// A write that this reader sent earlier on the same connection.
        var after: Int?
        /// Asked by the one command whose answers may not go back in time. Different commands may be answered from
        /// different places, one of which has not heard of the newest write yet.
        var isPlain = false
    }

    /// Judges an answer that has just come.
    func judge(_ value: Int?, _ question: Question, at now: Int = now) -> Violation? {
        state.withLock { state in
            guard let value else { return Self.judgeNothing(question, now, state.events, skew) }
            guard let place = state.events.lastIndex(where: { $0.value == value }) else { return .neverWritten(value) }
            let event = state.events[place]
            if let newer = Self.superseder(of: event, question, state.events) {
                return .superseded(value, by: newer.value, owedForMilliseconds: Self.since(newer, question))
            }
            if let life = event.life, event.effective < .max,
                question.asked > event.effective + life + skew + lateness()
            {
                return .outlived(value, byMilliseconds: Double(question.asked - event.effective - life) / 1e6)
            }
            state.events[place].effective = min(event.effective, now)
            if question.side == .outside {
                state.events[place].owedOutside = min(event.owedOutside, now)
            } else if question.isPlain {
                state.events[place].owedToPlainReads = min(event.owedToPlainReads, now)
            }
            return nil
        }
    }

    private static func judgeNothing(_ question: Question, _ now: Int, _ events: [Event], _ skew: Int) -> Violation? {
        var nearest: Violation = .lost
        for event in events.reversed() {
            // An expired write removes the key as well, from the end of its life on.
            if let life = event.life, event.value != nil, event.sent + life > now { continue }
            guard event.value == nil || event.life != nil || event.mayEmpty else { continue }
            guard let newer = superseder(of: event, question, events) else { return nil }
            nearest = .superseded(nil, by: newer.value, owedForMilliseconds: since(newer, question))
        }
        return nearest
    }

    /// An event that certainly came after this one and that the reader was owed.
    private static func superseder(of event: Event, _ question: Question, _ events: [Event]) -> Event? {
        for newer in events.reversed() {
            guard newer.sent > event.sent else { return nil }
            guard newer.sent >= event.effective else { continue }
            if owed(newer, question) { return newer }
        }
        return nil
    }

    private static func owed(_ event: Event, _ question: Question) -> Bool {
        if let own = question.after, event.value == own, !event.hasFailed { return true }
        return due(event, question) <= question.asked
    }

    private static func due(_ event: Event, _ question: Question) -> Int {
        guard question.side == .inside else { return event.owedOutside }
        return question.isPlain ? min(event.owedInside, event.owedToPlainReads) : event.owedInside
    }

    private static func since(_ event: Event, _ question: Question) -> Double {
        Double(question.asked - min(question.asked, due(event, question))) / 1e6
    }
}

extension KeyHistory: CustomStringConvertible {
    /// What has happened lately, for somebody who asks why an answer was a violation.
    var description: String { state.withLock { $0.events.suffix(12).map { "    \($0)" }.joined(separator: "\n") } }
}
