/// Who may ask the service now, and who waits: so many at once, and the others in classes.
///
/// Of the classes that wait the first named is served first, but each is owed its share of what is granted, so that none
/// starves. Within a class the oldest goes first; while a class is overloaded the newest does, and what has waited for more
/// than twice the target leaves (Nichols and Jacobson's CoDel, 2012, as Maurer has adapted it to servers, 2015): of those who
/// come faster than they are served some are answered in time, instead of all too late. A value that is told the time.
struct AdmissionQueue {
    struct Rules: Sendable, Equatable {
        var workers = 10
        var waiting = 1000
        var classes = [ClassRules(name: "default")]
        var targetMs = 5
        var intervalMs = 100
        /// Follow the service's latency instead of staying at `workers`.
        var isAdaptive = false
        /// The most that following may lead to.
        var mostWorkers = 40
    }

    struct ClassRules: Sendable, Equatable {
        var name: String
        /// Of what is granted, 0 to 1.
        var share = 0.0
        var deadlineMs = 30_000
    }

    enum Entry: Equatable {
        case admitted
        case waits(ticket: Int)
        case full
    }

    enum Leaving: Equatable {
        case deadline
        /// It waited too long while the class was overloaded.
        case shed
    }

    private struct Ticket {
        let number: Int
        let sinceMs: Int
    }

    private struct Line {
        var tickets: [Ticket] = []
        var first = 0
        var credit = 0.0
        /// The shortest wait that was seen in this interval, and whether the last interval's was above the target.
        var shortestMs: Int?
        var intervalStartMs = 0
        var isOverloaded = false

        var count: Int { tickets.count - first }
    }

    private(set) var rules: Rules
    private var lines: [Line]
    private(set) var inFlight = 0
    private(set) var waiting = 0
    private var last = 0
    private var gone: Set<Int> = []
    private var limit: AdaptiveLimit

    init(_ rules: Rules) {
        self.rules = rules
        lines = rules.classes.map { _ in Line() }
        limit = AdaptiveLimit(start: rules.workers, most: rules.mostWorkers)
    }

    /// How many may ask at once now.
    var workers: Int { rules.isAdaptive ? limit.value : rules.workers }
    func waiting(in index: Int) -> Int { lines[index].count }
    func isOverloaded(_ index: Int) -> Bool { lines[index].isOverloaded }

    mutating func enter(_ index: Int, nowMs: Int) -> Entry {
        if inFlight < workers, waiting == 0 {
            inFlight += 1
            return .admitted
        }
        guard waiting < rules.waiting else { return .full }
        last += 1
        waiting += 1
        if lines[index].count == 0 { lines[index].intervalStartMs = nowMs }
        lines[index].tickets.append(Ticket(number: last, sinceMs: nowMs))
        return .waits(ticket: last)
    }

    /// Whoever waited with this ticket does not any more.
    mutating func left(ticket: Int) {
        guard ticket <= last else { return }
        gone.insert(ticket)
    }

    /// One who asked has been answered.
    ///
    /// - Parameter latencyMs: how long the service took; nil when it did not answer.
    mutating func finished(latencyMs: Int?, nowMs: Int) {
        inFlight -= 1
        if let latencyMs { limit.answered(inMs: latencyMs, nowMs: nowMs) } else { limit.failed() }
    }

    /// Who may ask now, and who has to go: to be called whenever something has changed, and a few times a second.
    mutating func turn(nowMs: Int) -> (admitted: [Int], leaving: [(ticket: Int, why: Leaving)]) {
        var admitted: [Int] = []
        var leaving: [(ticket: Int, why: Leaving)] = []
        for index in lines.indices { leave(index, nowMs: nowMs, &leaving) }
        while inFlight < workers, let index = nextClass(), let ticket = take(index, nowMs: nowMs) {
            inFlight += 1
            admitted.append(ticket)
        }
        return (admitted, leaving)
    }

    private mutating func leave(_ index: Int, nowMs: Int, _ leaving: inout [(ticket: Int, why: Leaving)]) {
        judge(index, nowMs: nowMs)
        while lines[index].count > 0 {
            let ticket = lines[index].tickets[lines[index].first]
            if gone.remove(ticket.number) == nil {
                let waitedMs = nowMs - ticket.sinceMs
                if waitedMs >= rules.classes[index].deadlineMs {
                    leaving.append((ticket.number, .deadline))
                } else if lines[index].isOverloaded, waitedMs > 2 * rules.targetMs {
                    leaving.append((ticket.number, .shed))
                } else {
                    return
                }
            }
            dropFirst(index)
        }
    }

    /// The end of an interval says whether the class is overloaded: a wait that nobody in it went below is a standing queue.
    private mutating func judge(_ index: Int, nowMs: Int) {
        guard rules.targetMs > 0, nowMs - lines[index].intervalStartMs >= rules.intervalMs else { return }
        lines[index].isOverloaded = (lines[index].shortestMs ?? 0) > rules.targetMs
        (lines[index].shortestMs, lines[index].intervalStartMs) = (nil, nowMs)
    }

    private mutating func nextClass() -> Int? {
        let waiting = lines.indices.filter { lines[$0].count > 0 }
        guard let first = waiting.first else { return nil }
        for index in waiting { lines[index].credit = min(10, lines[index].credit + rules.classes[index].share) }
        // Whoever is owed the most goes first, once that is a whole turn.
        let owed = waiting.max { lines[$0].credit < lines[$1].credit } ?? first
        let chosen = lines[owed].credit >= 1 ? owed : first
        lines[chosen].credit = max(0, lines[chosen].credit - 1)
        return chosen
    }

    private mutating func take(_ index: Int, nowMs: Int) -> Int? {
        while lines[index].count > 0 {
            let ticket: Ticket
            if lines[index].isOverloaded {
                ticket = lines[index].tickets.removeLast()
                waiting -= 1
            } else {
                ticket = lines[index].tickets[lines[index].first]
                dropFirst(index)
            }
            guard gone.remove(ticket.number) == nil else { continue }
            let waitedMs = nowMs - ticket.sinceMs
            lines[index].shortestMs = min(lines[index].shortestMs ?? .max, waitedMs)
            return ticket.number
        }
        return nil
    }

    private mutating func dropFirst(_ index: Int) {
        lines[index].first += 1
        waiting -= 1
        guard lines[index].first > 256, lines[index].first * 2 > lines[index].tickets.count else { return }
        lines[index].tickets.removeFirst(lines[index].first)
        lines[index].first = 0
    }
}

/// How many requests a service stands at once, found from how long it takes: one more while its answers come about as fast as
/// the fastest did, a tenth fewer once they take more than twice as long, or fail. What counts as fastest is forgotten slowly,
/// so that no probe with a single request is needed.
struct AdaptiveLimit {
    private let most: Int
    private var exact: Double
    private var fastestMs: Double?
    private var smoothedMs: Double?
    private var changedMs = 0

    init(start: Int, most: Int) {
        (exact, self.most) = (Double(max(1, start)), max(1, most))
    }

    var value: Int { max(1, min(most, Int(exact))) }

    mutating func answered(inMs latencyMs: Int, nowMs: Int) {
        let latency = Double(max(1, latencyMs))
        let smoothed = (smoothedMs ?? latency) * 0.9 + latency * 0.1
        smoothedMs = smoothed
        // Rises by a ten-thousandth with each answer, so that a service that has become slower for good is believed.
        let fastest = min((fastestMs ?? latency) * 1.0001, smoothed)
        fastestMs = fastest
        if smoothed > 2 * fastest + 1 {
            guard nowMs - changedMs >= 100 else { return }
            (exact, changedMs) = (max(1, exact * 0.9), nowMs)
        } else {
            exact = min(Double(most), exact + 1 / exact)
        }
    }

    mutating func failed() { exact = max(1, exact * 0.98) }
}
