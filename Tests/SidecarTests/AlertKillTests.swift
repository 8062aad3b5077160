import Alerting
import Glibc
import LocalServers
import Network
import Runtime
import Synchronization
import Testing

/// `kill -9` at random moments and in the middle of notifying, again and again: what people are told stays one story.
@Suite struct AlertKillTests {
    /// The expressions depend on nothing but the time, so what should happen is known whoever is alive.
    private static let rules = """
        groups:
        - name: steady
          interval: 100ms
          rules:
          - {alert: Pending, expr: 'vector(1)', for: 1h}
          - {alert: Steady, expr: 'vector(1)', for: 1s}
          # Gone for a second of three, which keep_firing_for spans, and a restart with it.
          - {alert: Kept, expr: 'vector(time() % 3 < bool 2) == 1', keep_firing_for: 20s}
        - name: changing
          interval: 100ms
          rules:
          # Gone for two seconds of six: less than the lives of three processes, so that many an end is seen by none of them.
          - {alert: Changing, expr: 'vector(time() % 6 < bool 4) == 1', for: 500ms}
        """

    /// - Parameter life: is named in the address, so that the receiver knows who sent what it comes to only later.
    private static func configuration(webhook: UInt16, life: Int, folder: String) -> String {
        """
        state: {dir: \(folder)/state}
        alerting:
          rules: [\(folder)/rules.yml]
          receivers: [{name: hook, webhook: {url: 'http://127.0.0.1:\(webhook)/\(life)'}}]
          route: {receiver: hook, group_by: [alertname], group_wait: 10ms, group_interval: 200ms, repeat_interval: 1h}
        """
    }

    /// One alert in one message.
    private struct Telling {
        let name: String
        let startsAt: Int64
        let isFiring: Bool
        let at: Int64
        /// Which of the processes, one after the other, sent it.
        let life: Int
        let idempotencyKey: String
    }

    @Test(.timeLimit(.minutes(40)))
    func nothingIsLostAndNothingIsToldTwice() async throws {
        let kills = Environment.current["TEST_KILLS"].flatMap { Int($0) } ?? 100
        let told = Mutex<[Telling]>([])
        /// Whom the receiver kills as soon as it has taken a message, before the sender hears of it.
        let victim = Mutex<ChildProcess?>(nil)
        let hook = try HTTPServer(try #require(ListenAddress(setting: "127.0.0.1:0"))) { request in
            let now = WallClock.nowMilliseconds
            guard let message = try? JSON.parse(request.body), let life = Int(request.path.dropFirst()) else {
                return .text("", status: 400)
            }
            for alert in message["alerts"]?.array ?? [] {
                guard let start = alert["startsAt"]?.string.flatMap({ Moment($0) }) else {
                    return .text("", status: 400)
                }
                let one = Telling(
                    name: alert["labels"]?["alertname"]?.string ?? "", startsAt: start.milliseconds,
                    isFiring: alert["status"]?.string == "firing", at: now, life: life,
                    idempotencyKey: request.header("idempotency-key") ?? "")
                told.withLock { $0.append(one) }
            }
            victim.withLock { victim in
                victim?.signal(SIGKILL)
                victim = nil
            }
            return .text("")
        }
        let folder = try TemporaryFolder("outrigger-kill")
        try Files.write(Self.rules, to: folder.path + "/rules.yml")
        let port = FreePort.next()
        func start(life: Int) throws -> ChildProcess {
            try Files.write(
                Self.configuration(webhook: hook.address.port, life: life, folder: folder.path),
                to: folder.path + "/outrigger.yml")
            return try ChildProcess(
                RunningOutrigger.binary,
                ["serve", "--web.listen-address=127.0.0.1:\(port)", "--config", folder.path + "/outrigger.yml"],
                output: folder.path + "/log", directory: folder.path)
        }

        var random = SystemRandomNumberGenerator()
        /// When `Pending` began, as it first reached the disk.
        var pendingSince: Int64?
        for life in 0..<kills {
            let process = try start(life: life)
            // Half of them are killed while they start, on a slow machine most; the others have their time after that.
            if Bool.random(using: &random) { try await listening(port, process) }
            let isAmbushed = Bool.random(using: &random)
            if isAmbushed { victim.withLock { $0 = process } }
            try await Task.sleep(for: .milliseconds(Int.random(in: 200...1300, using: &random)))
            let wasAmbushed = victim.withLock { victim in
                defer { victim = nil }
                return isAmbushed && victim == nil
            }
            try #require(wasAmbushed || process.exitCode == nil, "it ended by itself; its log is \(folder.path)/log")
            process.signal(SIGKILL)
            _ = try await process.exited(within: .seconds(120))
            pendingSince = try pendingSince ?? savedBeginning(of: "Pending", in: folder.path + "/state/alerts")
        }

        let last = try start(life: kills)
        let lastStart = WallClock.nowMilliseconds
        // A whole period of the changing alert and the time to begin.
        try await Task.sleep(for: .seconds(9))
        let deadline = Deadline.after(.seconds(6))
        var alerts = try await alerts(port)
        while isFiring("Changing", alerts) != told.withLock({ $0.last { $0.name == "Changing" }?.isFiring }) {
            try #require(!deadline.hasPassed, "what is and what was told never agree")
            try await Task.sleep(for: .milliseconds(100))
            alerts = try await self.alerts(port)
        }
        await last.stop()
        await hook.stop(within: .seconds(1))
        let stories = told.withLock { $0 }
        check(stories, alerts: alerts, pendingSince: try #require(pendingSince, "never on disk"))
        let atLast = stories.filter { $0.name == "Changing" && $0.at > lastStart }
        #expect(Set(atLast.map(\.isFiring)) == [true, false], "nothing told of the last period: \(atLast)")
    }

    /// Returns once the process listens, or has been killed.
    private func listening(_ port: UInt16, _ process: ChildProcess) async throws {
        let deadline = Deadline.after(.seconds(60))
        while !FreePort.isOpen(port), process.exitCode == nil {
            try #require(!deadline.hasPassed, "never listens")
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    /// Nil before the alerts' states are written for the first time.
    private func savedBeginning(of name: String, in path: String) throws -> Int64? {
        guard let bytes = try StateFile(path).read() else { return nil }
        let rules = (try JSON.parse(bytes)["groups"]?.array ?? []).flatMap { $0["rules"]?.array ?? [] }
        return rules.first { $0["name"]?.string == name }?["alerts"]?.array?.first?["activeAt"]?.integer
    }

    private func isFiring(_ name: String, _ alerts: [JSON]) -> Bool {
        alerts.contains { $0["labels"]?["alertname"]?.string == name && $0["state"]?.string == "firing" }
    }

    private func alerts(_ port: UInt16) async throws -> [JSON] {
        let answer = try await HTTPClient().send(
            .init(url: "http://127.0.0.1:\(port)/api/v1/alerts", deadline: .after(.seconds(5))))
        return try JSON.parse(answer.body)["data"]?["alerts"]?.array ?? []
    }

    private func check(_ told: [Telling], alerts: [JSON], pendingSince: Int64) {
        let heard = once(told)
        print("\(told.count) alerts told, \(told.count - heard.count) of them again by the next process")
        let stories = Dictionary(grouping: heard, by: \.name)
        #expect(stories["Pending"] == nil)
        for name in ["Steady", "Kept"] {
            let story = stories[name] ?? []
            #expect(story.count == 1 && story[0].isFiring, "\(name): \(story)")
        }

        let changing = stories["Changing"] ?? []
        #expect(changing.count > 4)
        for (earlier, later) in zip(changing, changing.dropFirst()) {
            if later.isFiring {
                #expect(!earlier.isFiring && later.startsAt > earlier.startsAt, "began twice: \(earlier), \(later)")
            } else {
                #expect(earlier.isFiring && later.startsAt == earlier.startsAt, "ended twice: \(earlier), \(later)")
            }
        }
        // In one stretch of time in which it is true, it begins once.
        let beginnings = changing.filter(\.isFiring).map { $0.startsAt / 6_000 }
        #expect(Set(beginnings).count == beginnings.count)

        let pending = alerts.first { $0["labels"]?["alertname"]?.string == "Pending" }
        let since = pending?["activeAt"]?.string.flatMap { Moment($0)?.milliseconds }
        #expect(pending?["state"]?.string == "pending" && since == pendingSince, "pending began anew")
        for name in ["Steady", "Kept"] { #expect(isFiring(name, alerts)) }
    }

    /// What a consumer heeds that remembers keys. One that comes again was sent by a process that did not live to write
    /// down that it had been accepted, and its successor: never by the same process, and with the same words.
    private func once(_ told: [Telling]) -> [Telling] {
        var known: [String: Telling] = [:]
        return told.filter { one in
            #expect(one.idempotencyKey.count == 32)
            guard let before = known.updateValue(one, forKey: one.idempotencyKey) else { return true }
            #expect(before.life < one.life, "told twice in one life: \(one)")
            #expect(before.name == one.name && before.startsAt == one.startsAt && before.isFiring == one.isFiring)
            return false
        }
    }
}
