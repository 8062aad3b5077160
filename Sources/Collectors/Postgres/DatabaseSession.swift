import Databases
import Metrics
import Runtime

/// One database of a target: its connection, and what each collector keeps for it.
final class DatabaseSession {
    let connection: PostgresConnection
    /// Collectors and their readers, in the order of the catalogue.
    private let readers: [(collector: PostgresCollector, reader: any PostgresReader)]
    /// Collectors that the server refused, and until when they are not asked again.
    private var paused: [String: (until: ContinuousClock.Instant, error: PostgresError)] = [:]
    private var backoff = ReconnectBackoff()
    private var timeouts: PostgresTimeouts?
    let tables: TableShare
    private let oversized: Counter

    /// - Parameter oversized: counts answers that were larger than their budget.
    init(
        _ connection: PostgresConnection, _ collectors: [PostgresCollector], tables: TableShare, oversized: Counter
    ) {
        self.connection = connection
        self.tables = tables
        self.oversized = oversized
        readers = collectors.map { ($0, $0.reader()) }
    }

    /// What one collector brought here.
    struct Outcome {
        let collector: PostgresCollector
        var families: [Family] = []
        var duration = Duration.zero
        var error: PostgresError?
        /// Whether the error is that of the connection, which all collectors share.
        var isConnectionError = false
    }

    /// Questions on their way, and whose they are.
    struct Asking {
        let conversation: PostgresConversation
        fileprivate let readers: [(index: Int, answers: [Int])]
        fileprivate let refused: [Outcome]
        /// Where the answers to the questions of the target itself are.
        let own: [Int]
    }

    enum Beginning {
        case asking(Asking)
        /// An attempt to connect failed so shortly ago that none is made now.
        case resting(PostgresError)
    }

    /// - Parameters:
    ///   - own: questions of the target itself, asked after the collectors' in the same transaction.
    ///   - withTables: whether collectors that are asked in every database are asked in this one.
    func begin(
        _ context: PostgresContext, _ selection: CollectorSelection, own: [PostgresQuery], withTables: Bool = true,
        closesAtEnd: Bool, by deadline: Deadline
    ) -> Beginning {
        if !connection.isReady, let error = backoff.error(at: context.now) { return .resting(error) }
        var agenda = Agenda()
        var places: [(index: Int, answers: [Agenda.Place])] = []
        var refused: [Outcome] = []
        for (index, entry) in readers.enumerated() where selection.contains(entry.collector.name) {
            if entry.collector.isPerDatabase && !withTables { continue }
            guard entry.collector.since <= context.major else {
                refused.append(Outcome(collector: entry.collector))
                continue
            }
            if let pause = paused[entry.collector.name], pause.until > context.now {
                refused.append(Outcome(collector: entry.collector, error: pause.error))
                continue
            }
            places.append((index, agenda.add(entry.reader.questions(context))))
        }
        let ownPlaces = agenda.add(own.map { PostgresQuestion($0) }).map { agenda.index(of: $0) }
        let readers = places.map { (index: $0.index, answers: $0.answers.map { agenda.index(of: $0) }) }
        let conversation = PostgresConversation(
            connection, segments: agenda.segments, timeouts: timeouts(by: deadline),
            limit: context.configuration.answerLimit, closesAtEnd: closesAtEnd)
        return .asking(Asking(conversation: conversation, readers: readers, refused: refused, own: ownPlaces))
    }

    /// A statement may take most of the time there is, so that what comes after it has some left. What was set last is
    /// kept while it still fits, because setting it costs a question.
    private func timeouts(by deadline: Deadline) -> PostgresTimeouts {
        let left = deadline.remaining
        if let timeouts, timeouts.statement <= left, timeouts.statement >= left / 2 { return timeouts }
        let fresh = PostgresTimeouts(
            statement: .milliseconds(max(1, left.milliseconds * 8 / 10)),
            lock: .milliseconds(max(1, min(1000, left.milliseconds / 4))))
        timeouts = fresh
        return fresh
    }

    /// Looks at what came before any database's answers are read.
    func weigh(_ asking: Asking, _ context: PostgresContext) {
        for (index, places) in asking.readers {
            let answers = places.map { asking.conversation.answers[$0] }
            guard answers.contains(where: { $0 != nil }) else { continue }
            readers[index].reader.weigh(answers.map { $0?.result ?? .failure(missing(in: asking)) }, context)
        }
    }

    private func missing(in asking: Asking) -> PostgresError {
        asking.conversation.connectionError ?? PostgresError(.protocol, "no answer")
    }

    func finish(_ asking: Asking, _ context: PostgresContext) -> [Outcome] {
        defer { tables.finish() }
        let conversation = asking.conversation
        backoff.record(conversation.connectionError, at: context.now)
        var outcomes = asking.refused
        for (index, places) in asking.readers {
            var outcome = Outcome(collector: readers[index].collector)
            let answers = places.map { conversation.answers[$0] }
            outcome.duration = answers.reduce(.zero) { $0 + ($1?.duration ?? .zero) }
            let started = ContinuousClock.now
            let missing = missing(in: asking)
            if places.isEmpty || answers.contains(where: { $0 != nil }) {
                // What came in time is served, even when something slow after it did not.
                let reading = readers[index].reader.read(answers.map { $0?.result ?? .failure(missing) }, context)
                outcome.families = reading.families
                outcome.error = reading.error
            } else {
                outcome.error = missing
                outcome.isConnectionError = true
            }
            outcome.duration += .now - started
            remember(outcome, context)
            outcomes.append(outcome)
        }
        return outcomes
    }

    /// Asking again at once for what a role may not see fills the server's log.
    private func remember(_ outcome: Outcome, _ context: PostgresContext) {
        paused[outcome.collector.name] = nil
        guard let error = outcome.error, !outcome.isConnectionError else { return }
        switch error.kind {
        case .permission:
            paused[outcome.collector.name] = (context.now + context.configuration.refusalPause, error)
        case .limit:
            // Asking for it takes the server as long again, and ends a connection.
            oversized.add()
            paused[outcome.collector.name] = (context.now + context.configuration.refusalPause, error)
        case .missing:
            let pause = min(context.configuration.refusalPause, .seconds(60))
            paused[outcome.collector.name] = (context.now + pause, error)
        default:
            // The plan or the prepared statement no longer fits what it was made for: begin anew.
            if error.sqlState == "0A000" { connection.close() }
        }
    }

    /// What to say of every collector when there was nobody to ask.
    func failed(_ error: PostgresError, _ selection: CollectorSelection) -> [Outcome] {
        readers.filter { selection.contains($0.collector.name) }.map {
            Outcome(collector: $0.collector, error: error, isConnectionError: true)
        }
    }

    /// Ends a connection that has served for long: a backend's memory only grows.
    func recycle(olderThan age: Duration, at now: ContinuousClock.Instant) {
        if let openedAt = connection.openedAt, now - openedAt >= age { connection.close() }
    }
}

/// The questions of one round: those that share a transaction, and those of each collector that stand apart.
private struct Agenda {
    private var shared: [PostgresQuery] = []
    private var apart: [[PostgresQuery]] = []
    private var known: [String: Int] = [:]

    enum Place {
        case shared(Int)
        case apart(Int)
    }

    /// Two collectors may ask the same; it is asked once.
    mutating func add(_ questions: [PostgresQuestion]) -> [Place] {
        var own: [PostgresQuery] = []
        let start = apart.reduce(0) { $0 + $1.count }
        let places = questions.map { question -> Place in
            if question.isApart {
                own.append(question.query)
                return .apart(start + own.count - 1)
            }
            let place = known[question.query.name] ?? shared.count
            if place == shared.count {
                shared.append(question.query)
                known[question.query.name] = place
            }
            return .shared(place)
        }
        if !own.isEmpty { apart.append(own) }
        return places
    }

    var segments: [[PostgresQuery]] { [shared] + apart }

    /// Where the answer will be among all answers.
    func index(of place: Place) -> Int {
        switch place {
        case .shared(let place): place
        case .apart(let place): shared.count + place
        }
    }
}

/// When to try to connect again: at once after the first failure, then later and later, at most 5 s.
struct ReconnectBackoff {
    private var failures = 0
    private var next: ContinuousClock.Instant?
    private var newest: PostgresError?

    /// Why not to try now; nil to try.
    func error(at now: ContinuousClock.Instant) -> PostgresError? {
        guard let next, now < next else { return nil }
        return newest
    }

    mutating func record(_ error: PostgresError?, at now: ContinuousClock.Instant) {
        guard let error else {
            self = ReconnectBackoff()
            return
        }
        newest = error
        next = now + min(.seconds(5), .milliseconds(125) * (1 << min(failures, 6)))
        failures += 1
    }
}
