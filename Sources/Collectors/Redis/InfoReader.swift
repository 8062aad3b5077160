import Metrics
import Runtime

/// What one INFO told, besides its families, about how to go on.
struct InfoReading {
    var families: [Family] = []
    var isReplica = false
    var isClustered = false
    var hasSentinel = false
    /// Databases that hold keys.
    var databasesInUse: [Int] = []
    /// Lines with a colon, so fields: a text without any is no INFO.
    var fields = 0
}

/// Turns the text of INFO into families, in one pass over its bytes.
///
/// Label sets are kept from reading to reading, and with them their rendered bytes. The format is the one of
/// <https://redis.io/docs/latest/commands/info/>; what cannot be understood is skipped, line by line.
struct InfoReader {
    private let base: Labels
    private let options: RedisOptions
    private let index = InfoFieldIndex.shared
    /// What each field of the catalogue becomes under these options.
    private let served: [InfoField.Served?]

    private var commands = Memo<CommandLabels>()
    private var errors = Memo<Labels>()
    private var databases = Memo<Labels>()
    private var replicas = Memo<Labels>()
    private var masters = Memo<Labels>()
    private var watched = Memo<SentinelWatch>()
    private var clusterMetrics = ClusterMetrics()
    private var ioThreads = Memo<Labels>()
    private var instances = Memo<Labels>()
    private var emptyDatabases: [Labels] = []

    /// Calls and time of every command of the last reading.
    private(set) var usage = CommandUsage()

    /// - Parameter base: labels of every series.
    init(base: Labels, options: RedisOptions) {
        self.base = base
        self.options = options
        served = InfoField.catalogue.map { $0.served(options) }
    }

    private enum Section {
        case server, replication, commands, latencies, errors, keyspace, sentinel, ignored, other

        private static let names: [(text: [UInt8], section: Section)] = [(String, Section)]([
            ("Server", .server), ("Replication", .replication), ("Commandstats", .commands),
            ("Latencystats", .latencies), ("Errorstats", .errors), ("Keyspace", .keyspace), ("Sentinel", .sentinel),
            // Valkey repeats CLUSTER INFO here, which is asked for by itself.
            ("Cluster Info", .ignored),
        ]).map { (Array($0.0.utf8), $0.1) }

        init(_ text: Span<UInt8>, _ range: Range<Int>) {
            for (name, section) in Section.names where text.equals(range, name) {
                self = section
                return
            }
            self = .other
        }
    }

    /// Series under construction that share a name.
    private struct Parts {
        var families: [Family] = []
        var calls = Family(RedisMetrics.commandsTotal)
        var durations = Family(RedisMetrics.commandsDurationSecondsTotal)
        var rejected = Family(RedisMetrics.commandsRejectedCallsTotal)
        var failed = Family(RedisMetrics.commandsFailedCallsTotal)
        var percentiles = Family(RedisMetrics.latencyPercentilesUsec)
        var errors = Family(RedisMetrics.errorsTotal)
        var keys = Family(RedisMetrics.dbKeys)
        var expiring = Family(RedisMetrics.dbKeysExpiring)
        var ttls = Family(RedisMetrics.dbAvgTTLSeconds)
        var cached = Family(RedisMetrics.dbKeysCached)
        var offsets = Family(RedisMetrics.connectedSlaveOffsetBytes)
        var lags = Family(RedisMetrics.connectedSlaveLagSeconds)
        var ioThreads = Family(InfoReader.ioThreadSeconds)
        var statuses = Family(RedisMetrics.sentinelMasterStatus)
        var slaves = Family(RedisMetrics.sentinelMasterSlaves)
        var sentinels = Family(RedisMetrics.sentinelMasterSentinels)

        var all: [Family] {
            families
                + [
                    calls, durations, rejected, failed, percentiles, errors, keys, expiring, ttls, cached, offsets,
                    lags,
                    ioThreads, statuses, slaves, sentinels,
                ].filter { !$0.samples.isEmpty }
        }
    }

    static let ioThreadSeconds = RedisMetrics.plain("active_time_io_thread_seconds_total", .counter)

    /// - Parameters:
    ///   - databases: how many the server has; those without keys are told as empty.
    ///   - now: seconds since 1970.
    mutating func read(_ info: ArraySlice<UInt8>, databases count: Int, now: Double) -> InfoReading {
        beginMemos()
        defer { endMemos() }
        let text = info.span
        var reading = InfoReading()
        var parts = Parts()
        parts.families.reserveCapacity(192)
        var identity = InstanceIdentity()
        var master = MasterLabels()
        var section = Section.other

        var start = 0
        while start < text.count {
            let lineEnd = text.firstIndex(of: UInt8(ascii: "\n"), in: start..<text.count) ?? text.count
            let line = text.trimmed(start..<lineEnd)
            start = lineEnd + 1
            guard !line.isEmpty else { continue }
            if text[line.lowerBound] == UInt8(ascii: "#") {
                section = Section(text, text.trimmed(line.lowerBound + 1..<line.upperBound))
                if section == .sentinel { reading.hasSentinel = true }
                continue
            }
            guard let colon = text.firstIndex(of: UInt8(ascii: ":"), in: line) else { continue }
            let name = line.lowerBound..<colon
            let value = colon + 1..<line.upperBound
            reading.fields += 1

            switch section {
            case .commands: readCommand(text, name, value, &parts)
            case .latencies: readPercentiles(text, name, value, &parts)
            case .errors: readError(text, name, value, &parts)
            case .keyspace: readDatabase(text, name, value, &parts, &reading)
            case .sentinel where readSentinelMaster(text, name, value, &parts): continue
            case .replication where readReplication(text, name, value, &parts, &master, &identity): continue
            case .ignored: continue
            default:
                identity.note(text, name, value)
                if section == .server, text.equals(name, Word.uptime), let uptime = text.number(value) {
                    parts.families.append(
                        Family(RedisMetrics.startTimeSeconds, now.rounded(.down) - uptime, base))
                }
                readField(text, name, value, &parts)
            }
        }

        reading.isReplica = identity.isReplica(text)
        reading.isClustered = identity.isClustered(text)
        addInstance(text, identity, &parts)
        if reading.isReplica { addReplicaInfo(text, identity, &parts) }
        addEmptyDatabases(reading.isClustered ? min(count, 1) : count, reading, &parts)
        reading.families = parts.all
        return reading
    }

    /// CLUSTER INFO has the same lines without sections.
    mutating func readCluster(_ info: ArraySlice<UInt8>) -> [Family] { readFields(info) }

    /// Lines that are nothing but fields: `INFO MODULES`.
    mutating func readFields(_ info: ArraySlice<UInt8>) -> [Family] {
        let text = info.span
        var parts = Parts()
        var start = 0
        while start < text.count {
            let lineEnd = text.firstIndex(of: UInt8(ascii: "\n"), in: start..<text.count) ?? text.count
            let line = text.trimmed(start..<lineEnd)
            start = lineEnd + 1
            guard let colon = text.firstIndex(of: UInt8(ascii: ":"), in: line) else { continue }
            readField(text, line.lowerBound..<colon, colon + 1..<line.upperBound, &parts)
        }
        return parts.families
    }

    // MARK: Lines

    private mutating func readField(_ text: Span<UInt8>, _ name: Range<Int>, _ value: Range<Int>, _ parts: inout Parts)
    {
        if let place = index.place(text, name) {
            guard let field = served[place], let number = Self.number(text, value) else { return }
            parts.families.append(Family(field.metric, number / field.divisor, base))
            if let alias = field.alias { parts.families.append(Family(alias, number / field.divisor, base)) }
        } else if text.hasPrefix(name, Word.cluster) {
            guard let number = Self.number(text, value) else { return }
            parts.families.append(Family(clusterMetrics.metric(text, name), number, base))
        } else if text.hasPrefix(name, Word.ioThread) {
            guard let number = Self.number(text, value) else { return }
            let labels = ioThreads.value(text, name) { [base] name in
                base.adding([Label("thread", String(decoding: name.dropFirst(Word.ioThread.count), as: UTF8.self))])
            }
            parts.ioThreads.samples.append(Sample(labels, number))
        }
    }

    /// `ok` and `true` count as 1, `err`, `fail` and `false` as 0.
    private static func number(_ text: Span<UInt8>, _ value: Range<Int>) -> Double? {
        if let number = text.number(value) { return number }
        for word in Word.good where text.equals(value, word) { return 1 }
        for word in Word.bad where text.equals(value, word) { return 0 }
        return nil
    }

    /// `cmdstat_get:calls=21,usec=175,usec_per_call=8.33,rejected_calls=0,failed_calls=0`; the last two since Redis 6.2.
    private mutating func readCommand(
        _ text: Span<UInt8>, _ name: Range<Int>, _ value: Range<Int>, _ parts: inout Parts
    ) {
        guard text.hasPrefix(name, Word.cmdstat) else { return }
        var calls: Double?
        var microseconds: Double?
        var rejected: Double?
        var failed: Double?
        var pairs = Pairs(value)
        while let (key, value) = pairs.next(text) {
            if text.equals(key, Word.calls) { calls = text.number(value) }
            if text.equals(key, Word.usec) { microseconds = text.number(value) }
            if text.equals(key, Word.rejectedCalls) { rejected = text.number(value) }
            if text.equals(key, Word.failedCalls) { failed = text.number(value) }
        }
        guard let calls, let microseconds else { return }
        let labels = commands.value(text, name.lowerBound + Word.cmdstat.count..<name.upperBound) { [base] name in
            CommandLabels(name, base)
        }
        usage.add(labels, calls: calls, microseconds: microseconds)
        parts.calls.samples.append(Sample(labels.cmd, calls))
        parts.durations.samples.append(Sample(labels.cmd, microseconds / 1e6))
        guard let rejected, let failed else { return }
        parts.rejected.samples.append(Sample(labels.cmd, rejected))
        parts.failed.samples.append(Sample(labels.cmd, failed))
    }

    /// `latency_percentiles_usec_get:p50=0.001,p99=1.003,p99.9=3.007`.
    private mutating func readPercentiles(
        _ text: Span<UInt8>, _ name: Range<Int>, _ value: Range<Int>, _ parts: inout Parts
    ) {
        guard text.hasPrefix(name, Word.percentiles) else { return }
        let command = name.lowerBound + Word.percentiles.count..<name.upperBound
        guard let (labels, calls, microseconds) = usage.find(text, command) else { return }
        var pairs = Pairs(value)
        while let (key, value) = pairs.next(text) {
            guard key.count > 1, let number = text.number(value),
                let quantile = labels.percentile(text, key.lowerBound + 1..<key.upperBound)
            else { continue }
            parts.percentiles.samples.append(Sample(quantile, number))
        }
        parts.percentiles.samples.append(Sample(labels.cmd, microseconds, .sum))
        parts.percentiles.samples.append(Sample(labels.cmd, calls, .count))
    }

    /// `errorstat_WRONGTYPE:count=3`.
    private mutating func readError(_ text: Span<UInt8>, _ name: Range<Int>, _ value: Range<Int>, _ parts: inout Parts)
    {
        var pairs = Pairs(value)
        guard text.hasPrefix(name, Word.errorstat), let (key, value) = pairs.next(text), text.equals(key, Word.count),
            let count = text.number(value)
        else { return }
        let labels = errors.value(text, name) { [base] name in
            base.adding([Label("err", String(decoding: name.dropFirst(Word.errorstat.count), as: UTF8.self))])
        }
        parts.errors.samples.append(Sample(labels, count))
    }

    /// `db0:keys=1,expires=0,avg_ttl=0`, and `cached_keys=` in KeyDB.
    private mutating func readDatabase(
        _ text: Span<UInt8>, _ name: Range<Int>, _ value: Range<Int>, _ parts: inout Parts, _ reading: inout InfoReading
    ) {
        guard text.hasPrefix(name, Word.database) else { return }
        var keys: Double?
        var expiring: Double?
        var ttl: Double?
        var cached: Double?
        var pairs = Pairs(value)
        while let (key, value) = pairs.next(text) {
            if text.equals(key, Word.keys) { keys = text.number(value) }
            if text.equals(key, Word.expires) { expiring = text.number(value) }
            if text.equals(key, Word.averageTTL) { ttl = text.number(value) }
            if text.equals(key, Word.cachedKeys) { cached = text.number(value) }
        }
        guard let keys, let expiring else { return }
        let labels = databases.value(text, name) { [base] name in
            base.adding([Label("db", String(decoding: name, as: UTF8.self))])
        }
        parts.keys.samples.append(Sample(labels, keys))
        parts.expiring.samples.append(Sample(labels, expiring))
        if let ttl { parts.ttls.samples.append(Sample(labels, ttl / 1000)) }
        if let cached { parts.cached.samples.append(Sample(labels, cached)) }
        if let number = text.number(name.lowerBound + Word.database.count..<name.upperBound) {
            reading.databasesInUse.append(Int(exactly: number) ?? 0)
        }
    }

    /// `slave0:ip=10.1.0.2,port=6379,state=online,offset=1751844676,lag=0` on a master; on a replica the master's place
    /// and link, which KeyDB numbers because there may be several: `master_1_host:…`. False for all else.
    private mutating func readReplication(
        _ text: Span<UInt8>, _ name: Range<Int>, _ value: Range<Int>, _ parts: inout Parts,
        _ master: inout MasterLabels,
        _ identity: inout InstanceIdentity
    ) -> Bool {
        if let property = MasterProperty(text, name) {
            switch property {
            case .host:
                master.host = value
                identity.note(text, name, value)
            case .port:
                identity.note(text, name, value)
                guard let host = master.host, host.lowerBound < value.upperBound else { return true }
                // Host and port stand in lines that follow each other, so that one piece of text names both.
                master.labels = masters.value(text, host.lowerBound..<value.upperBound) { [base] place in
                    MasterLabels.labels(place, base)
                }
            case .linkStatus:
                let isUp: Double = text.equals(value, Word.up) ? 1 : 0
                parts.families.append(Family(RedisMetrics.masterLinkUp, isUp, master.labels ?? base))
            case .lastIO:
                let seconds = text.number(value) ?? 0
                parts.families.append(Family(RedisMetrics.masterLastIOSecondsAgo, seconds, master.labels ?? base))
            case .syncInProgress:
                let isRunning = text.number(value) ?? 0
                parts.families.append(Family(RedisMetrics.masterSyncInProgress, isRunning, master.labels ?? base))
            case .offset:
                let offset = text.number(value) ?? 0
                parts.families.append(Family(RedisMetrics.slaveReplOffset, offset, master.labels ?? base))
            }
            return true
        }
        return readReplica(text, name, value, &parts)
    }

    private mutating func readReplica(
        _ text: Span<UInt8>, _ name: Range<Int>, _ value: Range<Int>, _ parts: inout Parts
    ) -> Bool {
        guard text.isNumbered(name, Word.slave) else { return false }
        var place = value.lowerBound..<value.lowerBound
        var offset: Double?
        var lag: Double?
        var pairs = Pairs(value)
        while let (key, value) = pairs.next(text) {
            if text.equals(key, Word.offset) {
                offset = text.number(value)
            } else if text.equals(key, Word.lag) {
                lag = text.number(value)
            } else if offset == nil {
                place = place.lowerBound..<value.upperBound
            }
        }
        guard let offset else { return false }
        let labels = replicas.value(text, place) { [base] place in
            let text = place.span
            var pairs = Pairs(0..<place.count)
            var labels: [Label] = []
            while let (key, value) = pairs.next(text) {
                if text.equals(key, Word.ip) { labels.append(Label("slave_ip", text.string(value))) }
                if text.equals(key, Word.port) { labels.append(Label("slave_port", text.string(value))) }
                if text.equals(key, Word.state) { labels.append(Label("slave_state", text.string(value))) }
            }
            return base.adding(labels)
        }
        parts.offsets.samples.append(Sample(labels, offset))
        // Redis before 3.0 tells no lag.
        if let lag, lag > -1 { parts.lags.samples.append(Sample(labels, lag)) }
        return true
    }

    /// `master0:name=main,status=ok,address=192.0.2.1:6379,slaves=1,sentinels=3`.
    private mutating func readSentinelMaster(
        _ text: Span<UInt8>, _ name: Range<Int>, _ value: Range<Int>, _ parts: inout Parts
    ) -> Bool {
        guard text.isNumbered(name, Word.master) else { return false }
        var slaves: Double?
        var sentinels: Double?
        var place = value.lowerBound..<value.lowerBound
        var pairs = Pairs(value)
        while let (key, value) = pairs.next(text) {
            if text.equals(key, Word.slaves) {
                slaves = text.number(value)
            } else if text.equals(key, Word.sentinels) {
                sentinels = text.number(value)
            } else if slaves == nil {
                place = place.lowerBound..<value.upperBound
            }
        }
        guard let slaves, let sentinels else { return false }
        let watch = watched.value(text, place) { [base] place in SentinelWatch(place, base) }
        parts.statuses.samples.append(Sample(watch.statusLabels, watch.isOk ? 1 : 0))
        parts.slaves.samples.append(Sample(watch.labels, slaves))
        parts.sentinels.samples.append(Sample(watch.labels, sentinels))
        return true
    }

    // MARK: After the last line

    private mutating func addInstance(_ text: Span<UInt8>, _ identity: InstanceIdentity, _ parts: inout Parts) {
        let key = identity.joined(text)
        let labels = instances.value(key.span, 0..<key.count) { [base, options] _ in
            base.adding(identity.labels(text, former: options.aliases))
        }
        parts.families.append(Family(RedisMetrics.instanceInfo, 1, labels))
    }

    private func addReplicaInfo(_ text: Span<UInt8>, _ identity: InstanceIdentity, _ parts: inout Parts) {
        parts.families.append(Family(RedisMetrics.slaveInfo, 1, base.adding(identity.replicaLabels(text))))
    }

    private mutating func addEmptyDatabases(_ count: Int, _ reading: InfoReading, _ parts: inout Parts) {
        guard options.includeMetricsForEmptyDatabases, !reading.hasSentinel else { return }
        while emptyDatabases.count < count {
            emptyDatabases.append(base.adding([Label("db", "db\(emptyDatabases.count)")]))
        }
        for number in 0..<count where !reading.databasesInUse.contains(number) {
            parts.keys.samples.append(Sample(emptyDatabases[number], 0))
            parts.expiring.samples.append(Sample(emptyDatabases[number], 0))
        }
    }

    private mutating func beginMemos() {
        usage.removeAll()
        commands.begin()
        errors.begin()
        databases.begin()
        replicas.begin()
        masters.begin()
        watched.begin()
        ioThreads.begin()
        instances.begin()
    }

    private mutating func endMemos() {
        commands.end()
        errors.end()
        databases.end()
        replicas.end()
        masters.end()
        watched.end()
        ioThreads.end()
        instances.end()
    }
}
