import Metrics
import Runtime
import TestTools
import Testing

@testable import Alerting

/// One process after another, each killed at a point of its telling, what they left on disk, and a consumer that knows a
/// message by its key.
private struct Lives {
    static let start = Moment(milliseconds: 1_800_000_000_000)

    /// Where in a message's life the process dies.
    enum KillPoint: CaseIterable {
        case beforeIntent, afterIntent, afterAcceptance
    }

    private let configuration: Switchboard.Configuration
    private(set) var board: Switchboard
    var now = Lives.start
    /// The journal, record by record.
    private(set) var disk: [[UInt8]] = []
    /// What the consumer heeds, as `A1` for the beginning of A at second 1 and `/A1` for its end; alerts of one message
    /// are separated by a space.
    private(set) var heard: [String] = []
    private var knownKeys: Set<String> = []
    /// Whether and where each of the next messages kills the process.
    var kills: [KillPoint?] = []
    private(set) var isDead = false
    private var answer = DeliveryOutcome.accepted

    init(sendsResolved: Bool = true, _ change: (inout Switchboard.Configuration) -> Void = { _ in }) {
        var settings = WebhookSettings(url: .text("http://x"))
        settings.sendsResolved = sendsResolved
        var configuration = Switchboard.Configuration(
            route: Route(
                receiver: "r", groupWait: .milliseconds(10), groupInterval: .seconds(1), repeatInterval: .seconds(3600)
            ), receivers: [Receiver(name: "r", webhooks: [settings])])
        change(&configuration)
        self.configuration = configuration
        board = Switchboard(configuration)
    }

    /// A new process, that knows what is on disk.
    mutating func restart(_ change: (inout Switchboard.Configuration) -> Void = { _ in }) throws {
        var configuration = configuration
        change(&configuration)
        let log = NotificationLog(try disk.map { try #require(NotificationLog.Entry(encoded: $0)) })
        disk = log.all.map(\.encoded)
        board = Switchboard(configuration, log: log)
        isDead = false
    }

    func firing(_ name: String, since second: Int) -> Alert {
        Alert(
            labels: Labels(["alertname": name]), annotations: [Label("since", "\(second)")],
            startsAt: Lives.start + .seconds(second), endsAt: now + .seconds(900), generatorURL: "http://g",
            updatedAt: now)
    }

    func ended(_ name: String, since second: Int, at end: Int) -> Alert {
        var alert = firing(name, since: second)
        alert.endsAt = Lives.start + .seconds(end)
        return alert
    }

    /// At a second, alerts are handed in, and everything that is due then or in the next second is done.
    mutating func hand(_ alerts: Alert..., at second: Int, answered answer: DeliveryOutcome = .accepted) throws {
        try hand(alerts, at: second, answered: answer)
    }

    mutating func hand(_ alerts: [Alert], at second: Int, answered answer: DeliveryOutcome = .accepted) throws {
        try run(until: second)
        self.answer = answer
        _ = board.receive(alerts, at: now)
        try run(until: second + 1)
    }

    mutating func run(until second: Int) throws {
        let end = Lives.start + .seconds(second)
        while !isDead {
            let works = board.due(at: now)
            for work in works where !isDead {
                switch work {
                case .record(let entry): disk.append(entry.encoded)
                case .gaveUp: break
                case .send(let message): try send(message)
                }
            }
            guard works.isEmpty else { continue }
            guard let next = board.nextDue, next <= end else { break }
            now = max(now, next)
        }
        now = max(now, end)
    }

    private mutating func send(_ message: Switchboard.Message) throws {
        let kill = kills.isEmpty ? nil : kills.removeFirst()
        isDead = kill != nil
        if kill == .beforeIntent { return }
        if let intent = message.intent { disk.append(intent.encoded) }
        if kill == .afterIntent { return }
        if answer == .accepted { try hear(message) }
        if kill == .afterAcceptance { return }
        if answer == .accepted, let entry = board.entry(for: message.id, at: now) { disk.append(entry.encoded) }
        _ = board.finished(message.id, answer, at: now, random: 0.5)
    }

    private mutating func hear(_ message: Switchboard.Message) throws {
        guard knownKeys.insert(try #require(message.idempotencyKey)).inserted else { return }
        let alerts = try #require(try JSON.parse(message.body)["alerts"]?.array)
        heard.append(try alerts.map(Self.summary).joined(separator: " "))
    }

    private static func summary(_ alert: JSON) throws -> String {
        let start = try #require(alert["startsAt"]?.string.flatMap { Moment($0) })
        let end = try #require(alert["endsAt"]?.string.flatMap { Moment($0) })
        let second = (start - Lives.start).milliseconds / 1000
        #expect(alert["annotations"]?["since"]?.string == "\(second)" && alert["generatorURL"]?.string == "http://g")
        let name = alert["labels"]?["alertname"]?.string ?? ""
        guard alert["status"]?.string == "resolved" else { return "\(name)\(second)" }
        #expect(end > start)
        return "/\(name)\(second)"
    }
}

@Suite struct KilledTellingTests {
    private typealias KillPoint = Lives.KillPoint

    /// A has begun at second 1 and everybody knows.
    private func told(sendsResolved: Bool = true, _ change: (inout Switchboard.Configuration) -> Void = { _ in }) throws
        -> Lives
    {
        var lives = Lives(sendsResolved: sendsResolved, change)
        try lives.hand(lives.firing("A", since: 1), at: 1)
        #expect(lives.heard == ["A1"])
        return lives
    }

    /// The next process finds it over and begun anew, as a rule without `for` does.
    @Test(arguments: KillPoint.allCases)
    private func aBeginningCutShortIsToldWithItsEndUnlessItCannotHaveBeenHeard(_ point: KillPoint) throws {
        var lives = Lives()
        lives.kills = [point]
        try lives.hand(lives.firing("A", since: 1), at: 1)
        #expect(lives.isDead)
        try lives.restart()
        try lives.hand(lives.ended("A", since: 1, at: 3), lives.firing("A", since: 5), at: 5)
        #expect(lives.heard == (point == .beforeIntent ? ["A5"] : ["A1", "/A1", "A5"]))
    }

    @Test(arguments: KillPoint.allCases)
    private func anEndCutShortIsToldBeforeTheNextBeginning(_ point: KillPoint) throws {
        var lives = try told()
        lives.kills = [point]
        try lives.hand(lives.ended("A", since: 1, at: 100), at: 100)
        #expect(lives.isDead)
        try lives.restart()
        try lives.hand(lives.firing("A", since: 105), at: 105)
        #expect(lives.heard == ["A1", "/A1", "A105"])
    }

    @Test func anEndNobodyCouldTellIsToldAtOnceByWhoeverSeesTheNextBeginning() throws {
        var lives = try told { $0.route.groupInterval = .seconds(600) }
        try lives.restart()
        try lives.hand(lives.firing("A", since: 105), at: 105)
        #expect(lives.heard == ["A1", "/A1", "A105"])
    }

    /// The missing end and the new beginning are two messages, each of which may be cut short in each way, twice.
    @Test(arguments: KillPoint.allCases, [0, 1])
    private func theTwoMessagesThatMakeUpForAMissingEndMayBeCutShort(_ point: KillPoint, _ message: Int) throws {
        for again in KillPoint.allCases {
            var lives = try told()
            lives.kills = message == 0 ? [point, again] : [nil, point, again]
            for second in [105, 107, 109] {
                try lives.restart()
                try lives.hand(lives.firing("A", since: 105), at: second)
                #expect(lives.isDead == (second < 109))
            }
            try lives.hand(lives.ended("A", since: 105, at: 200), at: 200)
            #expect(lives.heard == ["A1", "/A1", "A105", "/A105"], "\(again)")
        }
    }

    @Test func ofAnAlertThatBeganAnewAndEndedUntoldOnlyTheMissingEndIsTold() throws {
        var lives = try told()
        try lives.restart()
        try lives.hand(lives.ended("A", since: 105, at: 106), at: 107)
        try lives.hand(lives.firing("A", since: 110), at: 110)
        try lives.run(until: 300)
        #expect(lives.heard == ["A1", "/A1", "A110"])
    }

    /// As at a restart in which nothing happened: nothing is told, and from then on Alertmanager's rules hold, by which an
    /// alert that ends and begins between two tellings has gone on.
    @Test func whatGoesOnAfterARestartIsDeduplicatedByItsLabels() throws {
        var lives = try told()
        try lives.restart()
        try lives.hand(lives.firing("A", since: 1), at: 100)
        try lives.hand(lives.ended("A", since: 1, at: 110), lives.firing("A", since: 111), at: 111)
        try lives.run(until: 300)
        #expect(lives.heard == ["A1"])
    }

    @Test func whoHearsOfNoEndsHearsOnlyTheNewBeginning() throws {
        for point in KillPoint.allCases + [nil] {
            var lives = try told(sendsResolved: false)
            lives.kills = [point]
            for second in [105, 107] {
                try lives.restart()
                try lives.hand(lives.firing("A", since: 105), at: second)
            }
            #expect(lives.heard == ["A1", "A105"])
        }
    }

    @Test func othersOfTheGroupAreToldBesides() throws {
        var lives = Lives()
        try lives.hand(lives.firing("A", since: 1), lives.firing("B", since: 1), at: 1)
        try lives.restart()
        // C comes before A and B are heard of again.
        try lives.hand(lives.firing("C", since: 100), at: 100)
        try lives.hand(lives.firing("A", since: 1), lives.firing("B", since: 105), at: 160)
        #expect(lives.heard == ["A1 B1", "C100", "A1 /B1 C100", "A1 B105 C100"])
    }

    /// A message that was refused is no longer owed; the next says how things are by then.
    @Test func whatWasGivenUpIsNotRepeated() throws {
        var lives = Lives()
        try lives.hand(lives.firing("A", since: 1), at: 1, answered: .refused(status: 400, retryAfter: nil))
        try lives.run(until: 2)
        try lives.restart()
        try lives.hand(lives.ended("A", since: 1, at: 3), at: 4)
        try lives.run(until: 300)
        #expect(lives.heard == [])
    }

    /// What another process left untold stays owed, the same message each time.
    @Test func whatIsOwedStaysOwedWhileTheConsumerIsAway() throws {
        var lives = try told()
        lives.kills = [.afterAcceptance]
        try lives.hand(lives.ended("A", since: 1, at: 100), at: 100)
        try lives.restart()
        try lives.hand(lives.firing("A", since: 105), at: 105, answered: .refused(status: 400, retryAfter: nil))
        #expect(lives.heard == ["A1", "/A1"])
        try lives.restart()
        try lives.hand(lives.firing("A", since: 105), at: 120)
        #expect(lives.heard == ["A1", "/A1", "A105"])
    }

    @Test func whatIsSilencedByNowIsNotRepeated() throws {
        var lives = Lives()
        lives.kills = [.afterIntent]
        try lives.hand(lives.firing("A", since: 1), lives.firing("B", since: 1), at: 1)
        let silence = Silence(
            id: "s", matchers: [try Matcher(parsing: "alertname=A")], startsAt: Lives.start,
            endsAt: Lives.start + .seconds(9999), updatedAt: Lives.start, createdBy: "", comment: "")
        try lives.restart { $0.silences = [silence] }
        try lives.hand(lives.firing("A", since: 1), lives.firing("B", since: 1), at: 5)
        #expect(lives.heard == ["B1"])
    }

    /// A client that names no start begins anew with every restart, and nothing has ended.
    @Test func aStartThatWasMadeUpEndsNothing() throws {
        var lives = try told()
        try lives.restart()
        var alert = lives.firing("A", since: 105)
        alert.startIsAssumed = true
        try lives.hand(alert, at: 105)
        #expect(lives.heard == ["A1"])
    }

    @Test func aLogWithoutBeginningsDeduplicatesByLabels() throws {
        let lives = try told()
        let written = try #require(lives.disk.last.flatMap { NotificationLog.Entry(encoded: $0) })
        let old = NotificationLog.Entry(
            key: written.key, firing: written.firing, resolved: [], time: written.time, expiresAt: written.expiresAt)
        let text = String(decoding: old.encoded, as: UTF8.self).replacing("\"begun\":[],", with: "\"ending\":[],")
        let read = try #require(NotificationLog.Entry(encoded: Array(text.utf8)))
        #expect(!text.contains("begun") && read == old)
        var log = NotificationLog([read])
        #expect(
            log.arrears(
                for: read.key, among: [lives.firing("A", since: 105)], knowing: [:], sendsResolved: true,
                at: lives.now, mayHear: { _ in true }) == nil)
    }

    /// Whatever happens when, the consumer hears of each beginning and each end in turn, and in the end how things are.
    @Test(arguments: 0..<8) func whateverIsCutShortTheStoryIsOne(_ seed: UInt64) throws {
        var random = Seeded(seed)
        for _ in 0..<40 {
            var lives = Lives()
            /// What a ruler has on disk: the beginning of A, or its last end.
            var begun: Int?
            var end: (since: Int, at: Int)?
            var isHandedOn = true
            var second = 0
            for life in 0..<30 {
                lives.kills = (0..<3).map { _ in life < 29 ? KillPoint.allCases.randomElement(using: &random) : nil }
                for index in lives.kills.indices where Int.random(in: 0..<3, using: &random) > 0 {
                    lives.kills[index] = nil
                }
                try lives.restart()
                isHandedOn = false
                var looks = life < 29 ? Int.random(in: 1..<6, using: &random) : 10
                while looks > 0, !lives.isDead {
                    looks -= 1
                    // Longer than a group interval, so that Alertmanager, too, would tell of each.
                    second += 10
                    if looks > 2 || life < 29, Int.random(in: 0..<3, using: &random) == 0 {
                        if let since = begun {
                            end = (since, second)
                            begun = nil
                        } else {
                            begun = second
                        }
                        // Killed before it was handed on.
                        if life < 29, Int.random(in: 0..<4, using: &random) == 0 { break }
                    }
                    var alerts: [Alert] = []
                    if let end, begun == nil || !isHandedOn {
                        alerts.append(lives.ended("A", since: end.since, at: end.at))
                    }
                    if let begun { alerts.append(lives.firing("A", since: begun)) }
                    try lives.hand(alerts, at: second)
                    isHandedOn = true
                }
            }
            for (earlier, later) in zip(lives.heard, lives.heard.dropFirst()) {
                if later.hasPrefix("/") {
                    #expect(later == "/" + earlier)
                } else {
                    #expect(earlier.hasPrefix("/"), "\(lives.heard)")
                }
            }
            #expect(Set(lives.heard).count == lives.heard.count && lives.heard.count > 2)
            if let begun {
                #expect(lives.heard.last == "A\(begun)")
            } else {
                #expect(lives.heard.last?.hasPrefix("/") ?? true)
            }
        }
    }
}
