import Cache
import Metrics
import Network
import Runtime
import Synchronization

/// Writes that are acknowledged from a local log and brought to Redis later.
///
/// What clients write is appended to a log, one `fdatasync` for all that came meanwhile, then acknowledged, and sent to
/// Redis after `flush_interval`, or when `batch` keys wait, or at once for milestones and for those who wait. A crash at
/// any point loses nothing that was acknowledged: at the next start the log is read, and what Redis may not have is sent
/// again. Of several writes to a key only the newest is sent. Others who write the same keys past this sidecar may be
/// overwritten by what was acknowledged here before them.
///
/// What a session does, on its loop's thread:
/// ```swift
/// // A write to a key whose class is `behind`, while no command of this client that is under way touches the key:
/// if let writes = WritePlan.writes(of: command, words, in: bytes, database: 0, wallMs: Int(WallClock.nowMilliseconds)) {
///     drop(keys)                                       // from the cache: what is being fetched is old
///     let refusal = writeBehind.accept(writes, on: loop) { end in
///         drop(keys)                                   // and what was fetched until now
///         switch end {
///         case .logged: answer(status: "OK")           // in its place in the line of replies
///         case .failed(let reply): answer(error: reply)
///         }
///     }
///     if refusal != nil { forwardAfterFlush(keys) }
/// }
/// // A read, once this client's own writes are acknowledged, before the cache is asked:
/// switch writeBehind.overlay(key, wallMs: now) {
/// case .value(let bytes): answer(bulk: bytes)
/// case .absent: answerNull()
/// case .none: askCacheOrRedis()
/// }
/// // Everything else that touches such keys; for `EVAL`, `FLUSHALL`, `KEYS` and the like, `whenAllFlushed`:
/// let waits = writeBehind.whenFlushed(keys, on: loop) { end in
///     switch end {
///     case .flushed: forward()
///     case .failed(let reply): answer(error: reply)
///     }
/// }
/// if !waits { forward() }
/// ```
public final class WriteBehind: Sendable {
    /// What a client is told of a write that was accepted.
    public enum Acknowledgement: Equatable, Sendable {
        /// On disk: `+OK`.
        case logged
        /// Not on disk, and not written. The text is an error reply.
        case failed(reply: String)
    }

    /// Why a write has to be forwarded, after `whenFlushed` of its keys.
    public enum Refusal: String, Sendable {
        /// As much is pending as may be.
        case full
        /// Longer than what is kept in memory.
        case large
        /// Redis has no room: it is for Redis to say so.
        case noRoom
        case stopping
    }

    /// What a read finds.
    public enum Overlay: Equatable, Sendable {
        /// Nothing is pending.
        case none
        case value([UInt8])
        /// The newest value has expired.
        case absent
    }

    /// What those find who waited.
    public enum FlushEnd: Equatable, Sendable {
        /// Redis has what had been accepted when they began to wait.
        case flushed
        /// It cannot be brought there now. The text is an error reply.
        case failed(reply: String)
    }

    struct Reading: Sendable {
        var writes = 0
        var bytes = 0
        var age = Duration.zero
        var logBytes = 0
    }

    private let state: Mutex<WriteBehindState>
    /// Only the thread asks for it, and holds it while it waits for the disk.
    private let log: Mutex<WriteLog>
    private let logBytes = Atomic<Int>(0)
    /// Lets reads pass without a lock while nothing is pending.
    private let isIdle: Atomic<Bool>
    private let noRoom = Atomic<Bool>(false)
    private let rejected: RejectedWrites
    private let sink: any WriteSink
    private let metrics = WriteBehindMetrics()
    private let thread = WorkThread("write-behind")

    /// After a failure of the disk, what could not be written is tried again after this time.
    private static let diskRetry = Duration.seconds(1)
    private static let stopping = "ERR Outrigger is stopping"

    /// Reads the log and begins to send what it holds.
    ///
    /// - Parameters:
    ///   - folder: for the log, created where it is missing; its parent is there and belongs to this process alone.
    ///   - sink: the way to Redis.
    public init(_ folder: String, _ rules: WriteBehindRules, sink: any WriteSink) throws(FileError) {
        var replay = WriteLog.Replay()
        let log = try WriteLog(folder, segmentBytes: rules.segmentBytes, replay: &replay)
        logBytes.store(log.sizeBytes, ordering: .relaxed)
        self.log = Mutex(log)
        self.sink = sink
        rejected = RejectedWrites(path: folder + "/rejected.resp", limitBytes: 64 << 20)
        isIdle = Atomic(replay.writes.isEmpty)
        state = Mutex(
            WriteBehindState(
                pending: PendingWrites(rules.pending, replay: replay, nowMs: MonotonicClock.nowMs, wallMs: Self.wallMs))
        )
        metrics.replayed.add(replay.writes.count)
        metrics.damages.add(replay.damages)
        if !replay.writes.isEmpty {
            Log.info("write-behind log holds writes for Redis", ["folder": folder, "writes": "\(replay.writes.count)"])
        }
        thread.start { [weak self] in self?.turn() }
    }

    deinit { thread.end() }

    /// To be added to the registry.
    public var instruments: [any Instrument] {
        metrics.instruments { [weak self] in self?.reading ?? Reading() }
    }

    // MARK: Sessions

    /// Takes the writes of one command, all or none.
    ///
    /// - Parameter then: called once on `loop` unless there is a refusal; acknowledgements come in the order of the calls.
    /// - Returns: why they are not taken; nil when they are.
    public func accept(
        _ writes: [PlannedWrite], on loop: EventLoop, then: @escaping @Sendable (Acknowledgement) -> Void
    ) -> Refusal? {
        let refusal: Refusal? = state.withLock { state in
            guard !state.isStopping else { return .stopping }
            do throws(PendingWrites.Refusal) {
                let through = try state.pending.accept(writes, wallMs: Self.wallMs)
                state.acceptances.append(
                    WriteBehindState.Acceptance(through: through, writes: writes.count, loop: loop, then: then))
                isIdle.store(false, ordering: .releasing)
                return nil
            } catch {
                switch error {
                case .full: return .full
                case .large: return .large
                case .noRoom: return .noRoom
                }
            }
        }
        switch refusal {
        case nil: thread.wake()
        case .full: metrics.refuse(.full, writes.count)
        case .large: metrics.refuse(.large, writes.count)
        case .noRoom: metrics.refuse(.noRoom, writes.count)
        case .stopping: metrics.refuse(.stopping, writes.count)
        }
        return refusal
    }

    /// Whether nothing is pending. Costs next to nothing.
    public var isAllFlushed: Bool { isIdle.load(ordering: .acquiring) }

    /// Whether Redis refuses pending writes because it has no room. Deletions then take their place, what reads the keyspace
    /// as a whole reads Redis without them, and new writes are Redis' to refuse. Costs next to nothing.
    public var hasNoRoom: Bool { noRoom.load(ordering: .acquiring) }

    /// Keys under which something is pending.
    ///
    /// - Parameter database: nil for all.
    func keys(in database: Int?) -> [PendingKey] { state.withLock { $0.pending.keys(in: database) } }

    /// The newest acknowledged value of a key, as long as it is pending. Costs next to nothing while nothing is.
    public func overlay(_ key: PendingKey, wallMs: Int) -> Overlay {
        guard !isIdle.load(ordering: .acquiring) else { return .none }
        return state.withLock { $0.pending.overlay(key, wallMs) }
    }

    /// Those of several keys at one moment.
    public func overlays(_ keys: [PendingKey], wallMs: Int) -> [Overlay] {
        guard !isIdle.load(ordering: .acquiring) else { return keys.map { _ in .none } }
        return state.withLock { state in keys.map { state.pending.overlay($0, wallMs) } }
    }

    /// Has what was accepted for these keys sent to Redis at once, and waits for it; not longer than for an attempt that
    /// fails.
    ///
    /// - Parameter then: called once on `loop`.
    /// - Returns: false when nothing is pending there; then `then` is not called.
    public func whenFlushed(
        _ keys: [PendingKey], on loop: EventLoop, then: @escaping @Sendable (FlushEnd) -> Void
    ) -> Bool {
        guard !isIdle.load(ordering: .acquiring) else { return false }
        return wait(on: loop, then) { $0.wait(for: keys, nowMs: MonotonicClock.nowMs) }
    }

    /// Likewise for everything.
    public func whenAllFlushed(on loop: EventLoop, then: @escaping @Sendable (FlushEnd) -> Void) -> Bool {
        guard !isIdle.load(ordering: .acquiring) else { return false }
        return wait(on: loop, then) { $0.waitForAll(nowMs: MonotonicClock.nowMs) }
    }

    /// Somebody has reached Redis: what waits because it could not be reached need not wait any longer.
    public func redisIsBack() {
        state.withLock { $0.pending.redisIsBack(nowMs: MonotonicClock.nowMs) }
        thread.wake()
    }

    /// Takes nothing any more, sends what is pending, and ends; what is left at the deadline is in the log for the next
    /// start. Those who still wait are told that they do in vain.
    ///
    /// - Returns: how many writes are left.
    public func stop(by deadline: Deadline) async -> Int {
        await withCheckedContinuation { continuation in
            state.withLock { state in
                precondition(!state.isStopping, "stopped twice")
                state.isStopping = true
                state.stop = WriteBehindState.Stop(deadline: deadline, continuation: continuation)
                state.pending.hurryAll()
            }
            thread.wake()
        }
    }

    private func wait(
        on loop: EventLoop, _ then: @escaping @Sendable (FlushEnd) -> Void,
        _ ask: (inout PendingWrites) -> PendingWrites.Wait
    ) -> Bool {
        let answer: PendingWrites.Wait = state.withLock { state in
            guard !state.hasStopped else { return .impossible(reason: Self.stopping) }
            let answer = ask(&state.pending)
            if case .until(let id) = answer { state.waiters[id] = WriteBehindState.Waiter(loop: loop, then: then) }
            return answer
        }
        switch answer {
        case .nothing: return false
        case .until: thread.wake()
        case .impossible(let reason): loop.post { then(.failed(reply: reason)) }
        }
        return true
    }

    private var reading: Reading {
        let logBytes = logBytes.load(ordering: .relaxed)
        return state.withLock { state in
            let age = Duration.milliseconds(state.pending.ageMs(nowMs: MonotonicClock.nowMs))
            return Reading(writes: state.pending.count, bytes: state.pending.sizeBytes, age: age, logBytes: logBytes)
        }
    }

    // MARK: On the thread

    private func turn() -> Deadline? {
        sendWhatIsDue()
        keepRejections()
        writeLog()
        sendWhatIsDue()
        if endsStop() {
            thread.end()
            return nil
        }
        return state.withLock { state in
            let nowMs = MonotonicClock.nowMs
            let flight = state.pending.dueMs.map { Deadline.after(.milliseconds(max($0, nowMs) - nowMs)) }
            let disk = state.trouble == nil && !state.pending.hasRejections ? nil : Deadline.after(Self.diskRetry)
            return [flight, disk, state.stop?.deadline].compactMap { $0 }.min()
        }
    }

    private func sendWhatIsDue() {
        let commands = state.withLock { $0.pending.nextFlight(nowMs: MonotonicClock.nowMs, wallMs: Self.wallMs) }
        guard let commands else { return }
        sink.send(commands) { [weak self] replies in self?.answered(replies) }
    }

    /// On whatever thread the sink chooses.
    private func answered(_ replies: [FlushReply]) {
        let calls = state.withLock { state in
            let steps = state.pending.answered(replies, nowMs: MonotonicClock.nowMs)
            return settle(steps, &state)
        }
        post(calls)
        thread.wake()
    }

    private func writeLog() {
        let logBytes = logBytes.load(ordering: .relaxed)
        let segmentBytes = log.withLock { $0.segmentBytes }
        let batch: LogBatch? = state.withLock { state in
            guard state.pending.hasLogWork else { return nil }
            // Overwriting the same keys again and again while Redis is gone makes the log longer, but not what counts.
            let isOvergrown = logBytes > 2 * state.pending.sizeBytes + 4 * segmentBytes
            return state.pending.nextBatch(carriesAll: isOvergrown && state.trouble == nil)
        }
        guard let batch else { return }
        do throws(FileError) {
            let start = ContinuousClock.now
            try log.withLock { log throws(FileError) in try log.append(batch) }
            metrics.sync.observe((ContinuousClock.now - start).seconds)
            let calls = state.withLock { state in
                let steps = state.pending.logged(nowMs: MonotonicClock.nowMs)
                return settle(steps, &state)
            }
            post(calls)
            try trimLog()
            note(nil)
        } catch {
            note(error)
            let calls = state.withLock { state in
                let steps = state.pending.isLogging ? state.pending.logFailed() : []
                return settle(steps, &state)
            }
            post(calls)
            emptyLog()
        }
        self.logBytes.store(log.withLock { $0.sizeBytes }, ordering: .relaxed)
    }

    private func trimLog() throws(FileError) {
        let floor = state.withLock { $0.pending.floor }
        try log.withLock { log throws(FileError) in try log.trim(below: floor) }
    }

    /// A full disk takes no note that Redis has everything; but it lets the whole log be deleted, which says the same.
    private func emptyLog() {
        guard state.withLock({ $0.pending.canEmptyLog }) else { return }
        do throws(FileError) {
            try log.withLock { log throws(FileError) in try log.empty() }
            let calls = state.withLock { state in
                let steps = state.pending.logEmptied()
                return settle(steps, &state)
            }
            post(calls)
        } catch {
            note(error)
        }
    }

    private func keepRejections() {
        let rejections = state.withLock { $0.pending.takeRejections() }
        guard let first = rejections.first else { return }
        do throws(FileError) {
            let hasRoom = try rejected.keep(rejections.map(\.write))
            Log.error(
                "Redis refused acknowledged writes for good",
                [
                    "writes": "\(rejections.count)", "reply": first.reason,
                    "kept_in": hasRoom ? rejected.path : "nowhere, the file has reached its limit",
                ])
            state.withLock { $0.pending.kept(rejections) }
        } catch {
            note(error)
            state.withLock { $0.pending.notKept(rejections) }
        }
    }

    /// Logs when the disk begins to fail, and when it works again.
    private func note(_ trouble: FileError?) {
        let former = state.withLock { state in
            defer { state.trouble = trouble }
            return state.trouble
        }
        if let trouble, former == nil {
            Log.error(
                "write-behind log: the disk fails, and writes are refused as long as it does", ["error": "\(trouble)"])
        } else if trouble == nil, former != nil {
            Log.info("write-behind log: the disk works again")
        }
    }

    private func endsStop() -> Bool {
        let (stop, left, calls): (WriteBehindState.Stop?, Int, [WriteBehindState.Call]) = state.withLock { state in
            guard let stop = state.stop, state.pending.isEmpty || stop.deadline.hasPassed, state.acceptances.isEmpty
            else { return (nil, 0, []) }
            state.stop = nil
            let calls = state.takeWaiters(Array(state.waiters.keys), .failed(reply: Self.stopping))
            return (stop, state.pending.count, calls)
        }
        guard let stop else { return false }
        post(calls)
        if left == 0 { emptyLog() }
        stop.continuation.resume(returning: left)
        return true
    }

    // MARK: Telling

    /// Counts what the steps say, and tells whom to call.
    private func settle(
        _ steps: [PendingWrites.Step], _ state: inout WriteBehindState
    ) -> [WriteBehindState.Call] {
        var calls: [WriteBehindState.Call] = []
        for step in steps {
            switch step {
            case .acknowledge(let through):
                for acceptance in state.takeAcceptances(through) {
                    metrics.accepted.add(acceptance.writes)
                    calls.append((acceptance.loop, { acceptance.then(.logged) }))
                }
            case .refuse(let through):
                let trouble = state.trouble.map { "\($0)" } ?? "unknown"
                let reply = "MISCONF Outrigger cannot log the write, so it was not taken: \(trouble)"
                for acceptance in state.takeAcceptances(through) {
                    metrics.refuse(.disk, acceptance.writes)
                    calls.append((acceptance.loop, { acceptance.then(.failed(reply: reply)) }))
                }
            case .release(let ids): calls += state.takeWaiters(ids, .flushed)
            case .fail(let ids, let reason): calls += state.takeWaiters(ids, .failed(reply: reason))
            }
        }
        metrics.add(state.takeCounts())
        if noRoom.exchange(state.pending.hasNoRoom, ordering: .acquiringAndReleasing) != state.pending.hasNoRoom {
            if state.pending.hasNoRoom {
                Log.error("write-behind: Redis has no room for pending writes, and new ones are passed on to it")
            } else {
                Log.info("write-behind: Redis has room again, or what had none was deleted")
            }
        }
        isIdle.store(state.pending.isEmpty, ordering: .releasing)
        return calls
    }

    /// One wake-up for each loop, however many it has to call.
    private func post(_ calls: [WriteBehindState.Call]) {
        var byLoop: [ObjectIdentifier: (loop: EventLoop, work: [@Sendable () -> Void])] = [:]
        for call in calls { byLoop[ObjectIdentifier(call.loop), default: (call.loop, [])].work.append(call.work) }
        for (loop, work) in byLoop.values { loop.post { for each in work { each() } } }
    }

    private static var wallMs: Int { Int(WallClock.nowMilliseconds) }
}

extension PendingWrites {
    fileprivate func overlay(_ key: PendingKey, _ wallMs: Int) -> WriteBehind.Overlay {
        guard let newest = newest(key) else { return .none }
        return newest.expiry.hasPassed(wallMs: wallMs) ? .absent : .value(newest.value)
    }
}
