import Databases
import Metrics
import Runtime
import Synchronization

/// One Redis, Valkey or Sentinel that is watched.
///
/// It keeps one connection. A scrape is one round trip on it; what must be asked key by key, or depends on an answer, comes
/// after. A connection that broke while nobody used it is replaced within the scrape that finds out.
public actor RedisTarget: MetricSource {
    private let thread: BlockingThread
    private let address: RedisAddress
    private let options: RedisOptions
    private let targetLabels: Labels
    private var readers: RedisReaders
    private var session: RedisSession?
    private var exporter: RedisExporterMetrics
    private var outages: OutageLog
    private let late: Mutex<RedisExporterMetrics>

    public nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe thread.asUnownedSerialExecutor() }

    /// - Parameter name: becomes the label `target`; nil when there is no other Redis, so that series are those of
    ///   redis_exporter.
    public init(name: String? = nil, address: RedisAddress, options: RedisOptions = RedisOptions()) {
        thread = BlockingThread(name.map { "redis \($0)" } ?? "redis")
        self.address = address
        self.options = options
        targetLabels = name.map { Labels(["target": $0]) } ?? .none
        readers = RedisReaders(base: targetLabels, options: options)
        exporter = RedisExporterMetrics(labels: targetLabels)
        outages = OutageLog("redis", at: "\(address)")
        late = Mutex(exporter)
    }

    public func collect(_ round: CollectionRound) async -> [Collected] {
        let began = ContinuousClock.now
        let deadline = round.deadline.withMargin
        var harvest = RedisHarvest(selection: round.selection, began: began)
        var failure: RedisError?
        do throws(RedisError) {
            try scrape(into: &harvest, by: deadline)
        } catch {
            failure = error
            session = nil
            harvest = RedisHarvest(selection: round.selection, began: began)
            harvest.record("redis", [], error: CollectorErrorClass(error))
        }
        outages.note(failure?.description)
        exporter.record(harvest, took: .now - began, failure: failure, session: session)
        late.withLock { $0 = exporter }
        return harvest.collected + [Collected("redis", exporter.families)]
    }

    public nonisolated func collectedWhenLate(_ round: CollectionRound) -> [Collected] {
        [Collected("redis", late.withLock { $0.lateFamilies })]
    }

    private func scrape(into harvest: inout RedisHarvest, by deadline: Deadline) throws(RedisError) {
        let isReused = session != nil
        do throws(RedisError) {
            try scrapeOnce(into: &harvest, by: deadline)
        } catch {
            // All that we ask only reads, so asking twice does no harm.
            guard case .closed = error, isReused else { throw error }
            session = nil
            try scrapeOnce(into: &harvest, by: deadline)
        }
    }

    private func scrapeOnce(into harvest: inout RedisHarvest, by deadline: Deadline) throws(RedisError) {
        let session = try openSession(by: deadline)
        if options.pingOnConnect { try ping(session, by: deadline) }

        let plan = RedisPlan(
            options, session.server, harvest.selection, isClustered: exporter.isClustered,
            histogram: readers.latency.histogramCommand)
        let replies = try session.ask(plan.commands, by: deadline)
        let info = try infoText(replies[0], session, by: deadline)
        if options.appendInstanceRoleLabel { relabel(for: info) }

        let reading = read(plan, replies, info: info, into: &harvest)
        guard reading.fields > 0 else { throw .protocolBroken("INFO without a single field") }
        if reading.isClustered != exporter.isClustered {
            exporter.isClustered = reading.isClustered
            if reading.isClustered, harvest.wants("redis_cluster") {
                let reply = try session.ask([RedisPlan.clusterInfo], by: deadline)[0]
                harvest.record("redis_cluster", readers.info.readCluster(reply.bytes ?? []), reply)
            }
        }
        if plan.tellsHistograms { try completeHistograms(session, into: &harvest, by: deadline) }
        runChecks(reading, session, into: &harvest, by: deadline)
    }

    private func openSession(by deadline: Deadline) throws(RedisError) -> RedisSession {
        if let session, session.isOpen { return session }
        let opened = try RedisSession(
            to: address, clientName: options.setClientName ? "redis_exporter" : nil, tls: options.tls,
            followsKeys: options.isCluster, by: min(deadline, .after(options.connectionTimeout)))
        exporter.connects += 1
        session = opened
        return opened
    }

    private func ping(_ session: RedisSession, by deadline: Deadline) throws(RedisError) {
        let began = ContinuousClock.now
        let reply = try session.ask([RedisCommand("PING")], by: deadline)[0]
        exporter.pingTime = reply.errorText == nil ? .now - began : nil
    }

    /// Some servers that only resemble Redis have nothing for ALL.
    private func infoText(
        _ reply: RedisReply, _ session: RedisSession, by deadline: Deadline
    ) throws(RedisError) -> ArraySlice<UInt8> {
        if let text = reply.bytes, !text.isEmpty { return text }
        if let reason = reply.errorText, CollectorErrorClass(refusal: reason) == .permission {
            throw .refused(command: "INFO", reason: reason)
        }
        let plain = try session.ask([RedisCommand("INFO")], by: deadline)[0]
        if let reason = plain.errorText { throw .refused(command: "INFO", reason: reason) }
        guard let text = plain.bytes else { throw .protocolBroken("INFO is no text") }
        return text
    }

    private func relabel(for info: ArraySlice<UInt8>) {
        guard let role = info.valueOfField("role") else { return }
        let base = targetLabels.adding([Label("instance_role", role)])
        if base != readers.base { readers = RedisReaders(base: base, options: options) }
    }

    private func read(
        _ plan: RedisPlan, _ replies: [RedisReply], info: ArraySlice<UInt8>, into harvest: inout RedisHarvest
    ) -> InfoReading {
        let now = WallClock.now
        let configReplies = plan.replies(to: .config, in: replies)
        if let first = configReplies.first { harvest.record("redis_config", readers.config.read(configReplies), first) }
        let databases = readers.config.databases ?? 16
        let reading = readers.info.read(info, databases: databases, now: now)
        harvest.record("redis", reading.families, error: nil)
        for (index, question) in plan.questions.enumerated() {
            let reply = replies[index]
            switch question {
            case .info, .config: continue
            case .latencyLatest: harvest.record("redis_latency", readers.latency.latest(reply), reply)
            case .latencyHistogram:
                var usage = readers.info.usage
                readers.latency.take(reply, &usage, isRest: false)
                harvest.record("redis_latency", [], reply)
            case .slowlogLength: harvest.record("redis_slowlog", readers.slowlog.length(reply), reply)
            case .slowlogNewest: harvest.record("redis_slowlog", readers.slowlog.newest(reply), reply)
            case .commandLog(let log):
                harvest.record("redis_slowlog", readers.slowlog.commandLogLength(reply, of: log), reply)
            case .clusterInfo:
                harvest.record("redis_cluster", readers.info.readCluster(reply.bytes ?? []), reply)
            case .clients: harvest.record("redis_clients", readers.clients.read(reply, now: now), reply)
            case .modules:
                let families = readers.modules.read(reply) + readers.info.readFields(reply.bytes ?? [])
                harvest.record("redis_modules", families, reply)
            case .tile38:
                let lines = ModuleReader.tile38Lines(reply)
                harvest.record("redis_modules", readers.info.readFields(lines[...]), reply)
            }
        }
        return reading
    }

    /// Asks for the histograms of commands that were called since the last scrape, and were not before it.
    private func completeHistograms(
        _ session: RedisSession, into harvest: inout RedisHarvest, by deadline: Deadline
    ) throws(RedisError) {
        var usage = readers.info.usage
        if let rest = readers.latency.commandForTheRest(usage) {
            let reply = try session.ask([rest], by: deadline)[0]
            readers.latency.take(reply, &usage, isRest: true)
            harvest.record("redis_latency", [], reply)
        }
        harvest.record("redis_latency", readers.latency.histograms(usage), error: nil)
    }

    private func runChecks(
        _ reading: InfoReading, _ session: RedisSession, into harvest: inout RedisHarvest, by deadline: Deadline
    ) {
        var failure: CollectorErrorClass?
        for index in readers.checks.indices {
            let collector = readers.checks[index].collector
            guard harvest.wants(collector) else { continue }
            if let failure {
                harvest.record(collector, [], error: failure)
                continue
            }
            let context = CheckContext(
                session: session, info: reading, databases: readers.config.databases ?? 16, deadline: deadline,
                scanDeadline: .after(min(options.scanTime, deadline.remaining / 2)))
            do throws(RedisError) {
                let result = try readers.checks[index].run(context)
                harvest.record(collector, result.families, error: result.error)
            } catch {
                failure = CollectorErrorClass(error)
                harvest.record(collector, [], error: failure)
                Log.warn("redis check failed", ["address": "\(address)", "check": collector, "error": "\(error)"])
            }
        }
        if failure != nil { self.session = nil }
    }
}

extension Deadline {
    /// A little earlier, so that what is known by then still arrives before others stop waiting.
    var withMargin: Deadline { Deadline(instant - min(.milliseconds(50), remaining / 10)) }
}

extension ArraySlice<UInt8> {
    /// The value of a line `name:value`.
    fileprivate func valueOfField(_ name: String) -> String? {
        let text = span
        let name = Array((name + ":").utf8)
        var start = 0
        while start < text.count {
            let end = text.firstIndex(of: UInt8(ascii: "\n"), in: start..<text.count) ?? text.count
            let line = text.trimmed(start..<end)
            if text.hasPrefix(line, name) { return text.string(line.lowerBound + name.count..<line.upperBound) }
            start = end + 1
        }
        return nil
    }
}
