import CLinux
import Runtime

/// One connection's part of a round: what it is asked, and what it answered.
///
/// Questions are sent in one go (libpq's pipeline mode). Those of one segment share a transaction and one Sync; the server
/// skips the rest of a segment after an error, and only that rest is asked again. A connection that turns out to have
/// ended since the last round is opened anew once.
public final class PostgresConversation {
    public let connection: PostgresConnection
    private let questions: [(query: PostgresQuery, segment: Int)]
    private let timeouts: PostgresTimeouts?
    private let closesAtEnd: Bool
    /// Nil for what was not answered.
    public private(set) var answers: [PostgresAnswer?]
    /// Why the connection could not be opened or kept.
    public private(set) var connectionError: PostgresError?

    private enum Step {
        case timeouts
        case prepare(Int)
        case execute(Int)
        case sync
    }
    private enum State { case waiting, opening, asking, over }
    private var state = State.waiting
    private var steps: [Step] = []
    private var nextStep = 0
    private var stepHasResult = false
    private var answeredBeforeSending = -1
    private var mayReopen: Bool
    private var mark: ContinuousClock.Instant = .now
    /// What poll(2) must wait for.
    private(set) var events = Int16(POLLIN)

    /// - Parameters:
    ///   - segments: the answers come in the same order, one after the other.
    ///   - timeouts: set before the first question when the session has others.
    ///   - closesAtEnd: for a connection that is not worth keeping.
    public init(
        _ connection: PostgresConnection, segments: [[PostgresQuery]], timeouts: PostgresTimeouts? = nil,
        closesAtEnd: Bool = false
    ) {
        self.connection = connection
        self.closesAtEnd = closesAtEnd
        self.timeouts = timeouts
        questions = segments.enumerated().flatMap { index, segment in segment.map { ($0, index) } }
        answers = Array(repeating: nil, count: questions.count)
        mayReopen = connection.isReady
    }

    var isOver: Bool { state == .over }

    func start(by deadline: Deadline) {
        let isReused = connection.isReady
        attempt { () throws(PostgresError) in
            if connection.isReady {
                try ask()
            } else {
                try open(by: deadline)
            }
        }
        // A connection that ended while nobody looked may be noticed when the first bytes are written.
        if state == .over, connectionError != nil, isReused {
            mayReopen = false
            connectionError = nil
            attempt { () throws(PostgresError) in try open(by: deadline) }
        }
    }

    /// Goes on after poll(2) found its socket ready.
    func advance(by deadline: Deadline) {
        attempt { () throws(PostgresError) in
            switch state {
            case .waiting, .over: break
            case .opening: try continueOpening()
            case .asking: try listen()
            }
        }
        if state == .over, connectionError != nil, mayReopen {
            mayReopen = false
            connectionError = nil
            attempt { () throws(PostgresError) in try open(by: deadline) }
        }
        if state == .over && closesAtEnd { connection.close() }
    }

    /// The deadline has come: stops the server and ends the connection, whose state nobody knows now.
    func giveUp() {
        guard state != .over else { return }
        let what = state == .asking ? "answer" : "connect"
        connectionError = PostgresError(.timeout, "\(what): not within the time of this collection")
        if state == .asking { connection.cancel() }
        connection.close()
        state = .over
    }

    private func attempt(_ body: () throws(PostgresError) -> Void) {
        do {
            try body()
        } catch {
            connectionError = error
            connection.close()
            state = .over
        }
    }

    // MARK: Opening

    private func open(by deadline: Deadline) throws(PostgresError) {
        state = .opening
        try connection.startOpening(by: deadline)
        events = Int16(POLLOUT)
    }

    private func continueOpening() throws(PostgresError) {
        switch try connection.continueOpening() {
        case .reading: events = Int16(POLLIN)
        case .writing: events = Int16(POLLOUT)
        case .done: try ask()
        }
    }

    // MARK: Asking

    private var answered: Int { answers.reduce(0) { $0 + ($1 == nil ? 0 : 1) } }

    private func ask() throws(PostgresError) {
        state = .asking
        steps.removeAll(keepingCapacity: true)
        nextStep = 0
        stepHasResult = false
        answeredBeforeSending = answered
        if let timeouts, connection.appliedTimeouts != timeouts {
            try send(PostgresConversation.setting(timeouts), as: .timeouts)
            try sync()
        }
        var segment: Int?
        for (index, question) in questions.enumerated() where answers[index] == nil {
            if let segment, segment != question.segment { try sync() }
            segment = question.segment
            if try connection.send(question.query) { steps.append(.prepare(index)) }
            steps.append(.execute(index))
        }
        if segment != nil { try sync() }
        mark = .now
        try flush()
        if steps.isEmpty { state = .over }
    }

    private func send(_ query: PostgresQuery, as step: Step) throws(PostgresError) {
        if try connection.send(query) { steps.append(step) }
        steps.append(step)
    }

    private func sync() throws(PostgresError) {
        try connection.sendSync()
        steps.append(.sync)
    }

    private func flush() throws(PostgresError) {
        events = try connection.flush() ? Int16(POLLIN | POLLOUT) : Int16(POLLIN)
    }

    /// The plans of statistics views look dear enough to be compiled, which takes longer than running them.
    private static func setting(_ timeouts: PostgresTimeouts) -> PostgresQuery {
        PostgresQuery(
            name: "outrigger_timeouts",
            sql: """
                SELECT pg_catalog.set_config('statement_timeout', $1, false),
                    pg_catalog.set_config('lock_timeout', $2, false), pg_catalog.set_config('jit', 'off', false),
                    pg_catalog.set_config('datestyle', 'ISO', false)
                """,
            parameters: ["\(max(1, timeouts.statement.milliseconds))ms", "\(max(1, timeouts.lock.milliseconds))ms"])
    }

    // MARK: Listening

    private func listen() throws(PostgresError) {
        try flush()
        try connection.readInput()
        while nextStep < steps.count {
            switch try connection.nextResult() {
            case .nothingYet: return
            case .endOfStatement:
                // libpq says nil once more before it begins with the next statement.
                if stepHasResult {
                    nextStep += 1
                    stepHasResult = false
                }
            case .sync:
                guard case .sync = steps[nextStep] else { throw PostgresError(.protocol, "Sync in a wrong place") }
                nextStep += 1
            case let received:
                try take(received, for: steps[nextStep])
                stepHasResult = true
            }
        }
        try finishOrAskAgain()
    }

    private func take(_ received: PostgresConnection.Received, for step: Step) throws(PostgresError) {
        switch (received, step) {
        case (.done, .prepare(let index)): connection.isPrepared(questions[index].query)
        case (.failed(let error), .prepare(let index)): answer(index, .failure(error))
        case (.rows(let rows), .execute(let index)): answer(index, .success(rows))
        case (.failed(let error), .execute(let index)): answer(index, .failure(error))
        case (.done, .execute(let index)):
            answer(index, .failure(PostgresError(.protocol, "a statement that returns no rows")))
        case (.rows, .timeouts):
            if let timeouts { connection.haveApplied(timeouts) }
            connection.isPrepared(PostgresConversation.setting(PostgresTimeouts(statement: .zero, lock: .zero)))
        case (.failed(let error), .timeouts): throw error
        case (.done, .timeouts), (.aborted, _): break
        default: throw PostgresError(.protocol, "an answer in a wrong place")
        }
    }

    private func answer(_ index: Int, _ result: Result<PostgresRows, PostgresError>) {
        guard answers[index] == nil else { return }
        let now = ContinuousClock.now
        answers[index] = PostgresAnswer(result: result, duration: now - mark)
        mark = now
    }

    private func finishOrAskAgain() throws(PostgresError) {
        let known = answered
        if known == answers.count {
            state = .over
        } else if known > answeredBeforeSending {
            try ask()
        } else {
            throw PostgresError(.protocol, "statements that nothing answers")
        }
    }
}
