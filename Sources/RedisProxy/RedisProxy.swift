import Cache
import Metrics
import Network
import Operations
import Runtime
import Serving
import Synchronization

/// The Redis proxy: a listener, its loop, and whoever answers.
public final class RedisProxy: Sendable {
    private let loop = EventLoop("redis-proxy")
    private let listeners: EntranceListeners
    private let access: ProxyAccess
    private let metrics = RedisProxyMetrics()
    private let relay: Relay?
    private let cache: LocalCache?
    private let keeping: Task<Void, Never>?
    private let writeBehind: WriteBehind?
    private let hotKeys: HotKeys?
    /// Who answers without a Redis.
    private let memoryDoor: MemoryDoor?
    private let limit: ClientLimit?
    /// What the cache counts, for the registry.
    public let sources: [any MetricSource]
    /// The commands that lately took longest.
    public let slowCommands = SlowOperations()
    /// What can be switched off.
    public let features: Features

    /// Where clients connect.
    public var addresses: [String] { listeners.addresses }
    /// To be added to the registry.
    public var instruments: [any Instrument] {
        metrics.instruments + access.instruments + (writeBehind?.instruments ?? [])
            + (limit.map { ClientLimitMetrics($0, proxy: "redis_proxy").instruments } ?? [])
    }

    /// What the commands are counted as among the service's operations: one for each family.
    public static var operationNames: [String] { Command.Family.allCases.map(\.operation) }

    /// In front of a Redis. Throws when the address cannot be listened on.
    ///
    /// - Parameters:
    ///   - cache: the local level; nil to pass everything on.
    ///   - hotKeys: where to remember what is hot for the next start, and how many keys; nil for nothing.
    ///   - memory: when the local level has to give way.
    ///   - volatile: what may be kept in memory in Redis' place while it is gone.
    ///   - writeBehind: the folder of the log, and the rules; nil for no writing behind. It needs a local level.
    ///   - operations: the monitor's instrument, if it is there.
    public init(
        _ entrances: ProxyEntrances, to options: RelayOptions, cache: LocalCache?,
        hotKeys: (file: StateFile, limit: Int)? = nil,
        memory: MemoryGovernor.Rules = MemoryGovernor.Rules(), volatile: MemoryRedis.Limits = MemoryRedis.Limits(),
        writeBehind: (folder: String, rules: WriteBehindRules)? = nil, features: Features,
        operations: OperationRecorder?
    ) throws {
        (self.features, self.cache) = (features, cache)
        (access, limit, memoryDoor) = (entrances.access, entrances.entrances.limit, nil)
        let shared = SharedParts(
            metrics: metrics, features: features, slowCommands: slowCommands, operations: operations, access: access)
        let relay = Relay(loop, options, shared)
        if let cache {
            let local = LocalLevel(
                cache, freshness: Freshness(metrics.trackingIsUp), features: features, metrics: metrics)
            let answersAlone = cache.classes.contains { $0.onFailure != .fail }
            relay.use(local, answersAlone ? Fallback(local, limits: volatile, metrics: metrics) : nil)
            self.writeBehind = try writeBehind.map { try Self.writeBehind($0.folder, $0.rules, relay, local) }
            let keeper = CacheKeeper(cache, memory)
            sources = [CacheMetrics(cache, keeper: keeper)]
            let remembering = hotKeys.map { HotKeys(cache, $0.file, limit: $0.limit) }
            self.hotKeys = remembering
            keeping = Task {
                await withTaskGroup(of: Void.self) { group in
                    group.addTask { await keeper.run() }
                    if let remembering { group.addTask { await remembering.run() } }
                }
            }
        } else {
            (keeping, self.hotKeys, sources, self.writeBehind) = (nil, nil, [], nil)
        }
        self.relay = relay
        listeners = try EntranceListeners(entrances.entrances, on: loop) { relay.accept($0) }
        loop.post { [hotKeys = self.hotKeys] in relay.start(warming: hotKeys) }
    }

    /// With a Redis in memory. Throws when the address cannot be listened on.
    ///
    /// - Parameter clientBytes: what clients may have here that is not dealt with, all together.
    public init(
        _ entrances: ProxyEntrances, memory: MemoryRedis, clientBytes: Int = ClientLimits.standardBytes
    ) throws {
        features = Features()
        (access, limit) = (entrances.access, entrances.entrances.limit)
        (relay, cache, keeping, hotKeys, sources, writeBehind) = (nil, nil, nil, nil, [], nil)
        let buffers = ClientBuffers(limitBytes: clientBytes, metrics, on: loop)
        let door = MemoryDoor(memory, metrics, Lobby(access, on: loop), buffers)
        memoryDoor = door
        listeners = try EntranceListeners(entrances.entrances, on: loop) { door.accept($0) }
    }

    /// Reads the files of TLS again, for use once everything else is found to be in order. Nil without TLS.
    public func readCertificate() throws(TLSError) -> TLSServer.Fresh? { try listeners.readCertificate() }

    /// Other users, and other rules for clients, from now on. Clients of users that there are no more are sent away.
    public func use(_ rights: ClientRights) {
        access.use(rights)
        loop.post { [relay, memoryDoor] in
            relay?.dropRevoked()
            memoryDoor?.dropRevoked()
        }
    }

    /// Whether replies of Redis are kept here, which is so behind a proxy in front of a Redis.
    public var hasLocalLevel: Bool { cache != nil }

    /// Removes what has expired from the local level at once. Any thread.
    public func sweep() { cache?.tick(nowMs: MonotonicClock.nowMs) }

    /// Drops a share of the local level, what is used least first, after what has expired. Any thread.
    ///
    /// - Parameter share: of every class, 0 to 1.
    /// - Returns: the bytes that the local level takes less than before.
    public func free(share: Double) -> Int {
        guard let cache else { return 0 }
        let before = cache.memory.residentBytes
        sweep()
        cache.free(share: share)
        return max(0, before - cache.memory.residentBytes)
    }

    private static func writeBehind(
        _ folder: String, _ rules: WriteBehindRules, _ relay: Relay, _ local: LocalLevel
    ) throws(FileError) -> WriteBehind {
        try Files.createFolder(folder)
        let sink = RedisWriteSink(relay, name: try WriterName.read(in: folder))
        let writeBehind = try WriteBehind(folder, rules, sink: sink)
        relay.use(WriteGate(writeBehind, local), sink)
        return writeBehind
    }

    /// Accepts nobody any more, lets clients go once what they have sent is answered, takes no more writes before Redis has
    /// them, and brings it those that are pending.
    ///
    /// - Returns: how many are left in the log for the next start.
    public func drain(by deadline: Deadline) async -> Int {
        listeners.stop()
        async let left = writeBehind?.stop(by: deadline) ?? 0
        await withCheckedContinuation { continuation in
            let gone = Gone(continuation)
            loop.post { [loop, relay, memoryDoor] in
                relay?.drain(gone.tell)
                memoryDoor?.drain(gone.tell)
                loop.after(milliseconds: deadline.remaining.milliseconds, gone.tell)
            }
        }
        return await left
    }

    /// Accepts nobody any more, and ends the loop; clients see their connections close with the process.
    public func stop() async {
        listeners.stop()
        await hotKeys?.save()
        keeping?.cancel()
        loop.post { [relay] in relay?.end() }
        loop.end()
    }
}

/// Tells once that all clients have gone, or that there is no more time to wait for them.
private final class Gone: Sendable {
    private let waiting: Mutex<CheckedContinuation<Void, Never>?>

    init(_ waiting: CheckedContinuation<Void, Never>) { self.waiting = Mutex(waiting) }

    @Sendable func tell() { waiting.withLock { $0.take() }?.resume() }
}

/// Lets clients in to the Redis in memory. For the loop's thread.
private final class MemoryDoor: @unchecked Sendable {
    private let redis: MemoryRedis
    private let metrics: RedisProxyMetrics
    private let lobby: Lobby
    private let buffers: ClientBuffers
    private var sessions: [ObjectIdentifier: MemorySession] = [:]
    private var accepted = 0
    /// Who waits until everybody has gone.
    private var drained: (() -> Void)?

    init(_ redis: MemoryRedis, _ metrics: RedisProxyMetrics, _ lobby: Lobby, _ buffers: ClientBuffers) {
        self.buffers = buffers
        self.redis = redis
        self.lobby = lobby
        self.metrics = metrics
    }

    func accept(_ client: StreamConnection) {
        accepted += 1
        metrics.accepted.add()
        guard let admission = lobby.admit(client) else { return }
        let session = MemorySession(
            client, redis, admission, id: accepted,
            buffered: { [unowned self] session in buffers.tell(session) { Array(sessions.values) } },
            ended: { [unowned self] session in
                sessions[ObjectIdentifier(session)] = nil
                buffers.forget(session)
                metrics.clients.set(Double(sessions.count))
                noteGone()
            })
        sessions[ObjectIdentifier(session)] = session
        metrics.clients.set(Double(sessions.count))
        client.owner = session
    }

    /// Lets those who are in go once they have their replies.
    func drain(_ done: @escaping () -> Void) {
        drained = done
        for session in Array(sessions.values) { session.drain() }
        noteGone()
    }

    func dropRevoked() { for session in Array(sessions.values) { session.dropIfRevoked() } }

    private func noteGone() {
        guard sessions.isEmpty, let drained else { return }
        self.drained = nil
        drained()
    }
}
