import CLinux
import Runtime

/// One connection's part of a round: what it is asked, and what it answered.
///
/// Questions are sent in one go (libpq's pipeline mode). Those of one segment share a transaction and one Sync; the server
/// skips the rest of a segment after an error, and only that rest is asked again. A connection that turns out to have
/// ended since the last round is opened anew once.
///
/// Behind a pooler that gives a session for each transaction, nothing lasts: there every statement is unnamed, and every
/// segment begins with its settings. A connection that is not kept is used in the same way, which costs it a round trip less.
///
/// An answer that outgrows its budget costs its statement alone: the connection is given up, and the rest is asked over
/// another. libpq holds a whole answer, and a whole row before that, so what is counted are the bytes that came in; its
/// mode of single rows would count exactly, but makes a result of five allocations of every row.
public final class PostgresConversation {
    public let connection: PostgresConnection
    private let questions: [(query: PostgresQuery, segment: Int)]
    private let timeouts: PostgresTimeouts?
    private let limit: PostgresAnswerLimit
    private let closesAtEnd: Bool
    /// Nil for what was not answered.
    public private(set) var answers: [PostgresAnswer?]
    /// Why the connection could not be opened or kept.
    public private(set) var connectionError: PostgresError?

    private enum Step {
        case whoServes
        case settings(PostgresConnection.Applied)
        /// What the statement needs besides.
        case own(Int)
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
    /// What had come in when the newest answer was whole.
    private var receivedBefore = 0
    /// Whether something was learnt that makes asking again worth it, though nothing was answered.
    private var hasLearnt = false
    /// How the newest questions were asked.
    private var areNamed = false
    private var readRaw = false
    private var deadline = Deadline.after(.zero)
    /// What poll(2) must wait for.
    private(set) var events = Int16(POLLIN)

    /// - Parameters:
    ///   - segments: the answers come in the same order, one after the other.
    ///   - timeouts: set before the first question when the session has others.
    ///   - limit: of each answer.
    ///   - closesAtEnd: for a connection that is not kept.
    public init(
        _ connection: PostgresConnection, segments: [[PostgresQuery]], timeouts: PostgresTimeouts? = nil,
        limit: PostgresAnswerLimit = PostgresAnswerLimit(), closesAtEnd: Bool = false
    ) {
        self.connection = connection
        self.limit = limit
        self.closesAtEnd = closesAtEnd
        self.timeouts = timeouts
        questions = segments.enumerated().flatMap { index, segment in segment.map { ($0, index) } }
        answers = Array(repeating: nil, count: questions.count)
        mayReopen = connection.isReady
    }

    var isOver: Bool { state == .over }

    func start(by deadline: Deadline) {
        self.deadline = deadline
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
        hasLearnt = false
        receivedBefore = connection.receivedBytes
        if connection.standing == nil && !closesAtEnd {
            try sendOnce(PostgresSession.whoServes, as: .whoServes)
            try sync()
        } else {
            try sendQuestions()
        }
        mark = .now
        try flush()
        if steps.isEmpty { state = .over }
    }

    private func sendQuestions() throws(PostgresError) {
        let isShared = connection.standing != .direct
        areNamed = !isShared
        readRaw = connection.readsRaw
        let wanted = PostgresConnection.Applied(timeouts: timeouts, readsRaw: connection.readsRaw)
        if !isShared, connection.applied != wanted {
            try send(wanted, .session)
            try sync()
        }
        var segment: Int?
        for (index, question) in questions.enumerated() where answers[index] == nil {
            if let segment, segment != question.segment { try sync() }
            if isShared, segment != question.segment { try send(wanted, .transaction) }
            segment = question.segment
            if !question.query.settings.isEmpty {
                try sendOnce(PostgresSession.settings(question.query.settings), as: .own(index))
            }
            if try connection.send(question.query, unnamed: isShared) { steps.append(.prepare(index)) }
            steps.append(.execute(index))
        }
        if segment != nil { try sync() }
    }

    private func send(_ settings: PostgresConnection.Applied, _ scope: PostgresSession.Scope) throws(PostgresError) {
        let query = PostgresSession.settings(settings.timeouts, readsRaw: settings.readsRaw, scope)
        try sendOnce(query, as: .settings(settings))
    }

    private func sendOnce(_ query: PostgresQuery, as step: Step) throws(PostgresError) {
        _ = try connection.send(query, unnamed: true)
        steps.append(step)
    }

    private func sync() throws(PostgresError) {
        try connection.sendSync()
        steps.append(.sync)
    }

    private func flush() throws(PostgresError) {
        events = try connection.flush() ? Int16(POLLIN | POLLOUT) : Int16(POLLIN)
    }

    // MARK: Listening

    private func listen() throws(PostgresError) {
        try flush()
        try connection.readInput()
        while nextStep < steps.count {
            switch try connection.nextResult() {
            case .nothingYet:
                try checkLimit()
                return
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
        case (.failed(let error), .own(let index)), (.failed(let error), .prepare(let index)),
            (.failed(let error), .execute(let index)):
            if !isMended(error) { answer(index, .failure(error)) }
        case (.rows(let rows), .execute(let index)):
            answer(index, rows.count > limit.rows ? .failure(limit.rowsExceeded(rows.count)) : .success(rows))
        case (.done, .execute(let index)):
            answer(index, .failure(PostgresError(.protocol, "a statement that returns no rows")))
        case (.rows(let rows), .whoServes):
            connection.isServed(byProcess: rows.count == 1 ? rows.number(0, 0).flatMap { Int(exactly: $0) } : nil)
            hasLearnt = true
        case (.failed, .whoServes):
            connection.isServed(byProcess: nil)
            hasLearnt = true
        case (.rows, .settings(let settings)):
            if connection.standing == .direct { connection.haveApplied(settings) }
        case (.failed(let error), .settings): throw error
        case (.rows, .own), (.done, .settings), (.aborted, _): break
        default: throw PostgresError(.protocol, "an answer in a wrong place")
        }
        receivedBefore = connection.receivedBytes
    }

    /// Whether asking again in another way is worth it. Each way is tried once.
    private func isMended(_ error: PostgresError) -> Bool {
        if error.isAboutEncoding, !readRaw {
            connection.readRaw()
        } else if error.sqlState == "42P05" || error.sqlState == "26000", areNamed {
            connection.losesNames()
        } else {
            return false
        }
        hasLearnt = true
        return true
    }

    /// The answer under way must not outgrow its budget, however little of it libpq has handed over.
    private func checkLimit() throws(PostgresError) {
        guard connection.receivedBytes - receivedBefore > limit.bytes, nextStep < steps.count else { return }
        switch steps[nextStep] {
        case .own(let index), .prepare(let index), .execute(let index): answer(index, .failure(limit.bytesExceeded))
        case .whoServes, .settings, .sync: throw limit.bytesExceeded
        }
        connection.cancel()
        connection.close()
        if answered == answers.count { state = .over } else { try open(by: deadline) }
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
        } else if known > answeredBeforeSending || hasLearnt {
            try ask()
        } else {
            throw PostgresError(.protocol, "statements that nothing answers")
        }
    }
}
