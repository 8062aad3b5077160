import CLinux
import Glibc
import Runtime
import Synchronization

/// What an event loop calls when a descriptor is ready. Only ever called on the loop's thread.
public protocol LoopHandler: AnyObject {
    func ready(_ readiness: Readiness)
}

/// What a descriptor is ready for.
public struct Readiness: OptionSet, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    public static let input = Readiness(rawValue: 1)
    public static let output = Readiness(rawValue: 2)
    /// The other side has gone, or the descriptor is broken.
    public static let end = Readiness(rawValue: 4)
}

/// One thread that waits for descriptors and calls whoever they belong to. Everything of one loop happens on its thread,
/// one thing after the other, so what belongs to it needs no lock.
///
/// Writes wait until everything that was ready has been dealt with: replies to, and commands of, many clients then leave
/// in few calls.
public final class EventLoop: @unchecked Sendable {
    // All but `posted` belongs to the thread.
    private let epoll: Int32
    private let wake: Int32
    private let posted = Mutex<(work: [@Sendable () -> Void], hasEnded: Bool)>(([], false))
    /// By descriptor, which the kernel keeps small.
    private var handlers: [(handler: any LoopHandler, generation: UInt32)?] = []
    private var generation: UInt32 = 0
    private var unsent: [StreamConnection] = []
    private var timers = TimerQueue()
    private var isEnding = false
    /// Nanoseconds on the `MonotonicClock` when the loop last woke. Only for the loop's thread.
    public private(set) var nowNs = MonotonicClock.nowNs
    public var nowMs: Int { nowNs / 1_000_000 }
    /// With more, those who answer would have nothing to do until the last who ask were read; with fewer, less goes in one
    /// call.
    private static let eventsAtOnce = 16
    /// Where connections read to, one after the other.
    let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)

    /// - Parameter name: of the thread, at most 15 bytes.
    public init(_ name: String) {
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        wake = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        precondition(epoll >= 0 && wake >= 0, "epoll: \(String(cString: strerror(errno)))")
        watch(wake, for: .input, generation: 0, EPOLL_CTL_ADD)
        DetachedThread.start(name) { self.run() }
    }

    /// Runs `work` on the loop's thread, soon. Any thread may call it; after `end` nothing runs any more.
    public func post(_ work: @escaping @Sendable () -> Void) {
        let isOpen = posted.withLock { posted in
            if !posted.hasEnded { posted.work.append(work) }
            return !posted.hasEnded
        }
        guard isOpen else { return }
        // The descriptor is open as long as this loop is there: see `deinit`.
        var one: UInt64 = 1
        write(wake, &one, MemoryLayout<UInt64>.size)
    }

    /// Ends the thread after what was posted before. Descriptors are their owners'.
    public func end() { post { [self] in isEnding = true } }

    // MARK: On the thread

    /// Runs `work` on the loop's thread once so many milliseconds have passed. There is no taking back: `work` checks
    /// whether there is still something to do.
    public func after(milliseconds: Int, _ work: @escaping () -> Void) {
        timers.add(at: MonotonicClock.nowMs + milliseconds, work)
    }

    func add(_ descriptor: Int32, _ handler: any LoopHandler) {
        generation &+= 1
        while handlers.count <= descriptor { handlers.append(nil) }
        handlers[Int(descriptor)] = (handler, generation)
        watch(descriptor, for: .input, generation: generation, EPOLL_CTL_ADD)
    }

    func change(_ descriptor: Int32, to interest: Readiness) {
        guard handlers.indices.contains(Int(descriptor)), let known = handlers[Int(descriptor)] else { return }
        watch(descriptor, for: interest, generation: known.generation, EPOLL_CTL_MOD)
    }

    func remove(_ descriptor: Int32) {
        // Once the loop has ended nobody is known.
        guard handlers.indices.contains(Int(descriptor)) else { return }
        handlers[Int(descriptor)] = nil
        epoll_ctl(epoll, EPOLL_CTL_DEL, descriptor, nil)
    }

    /// Has a connection's output sent before the loop waits again.
    func sendLater(_ connection: StreamConnection) { unsent.append(connection) }

    private func watch(_ descriptor: Int32, for interest: Readiness, generation: UInt32, _ operation: Int32) {
        var event = epoll_event()
        if interest.contains(.input) { event.events |= EPOLLIN.rawValue }
        if interest.contains(.output) { event.events |= EPOLLOUT.rawValue }
        event.data.u64 = UInt64(generation) << 32 | UInt64(UInt32(bitPattern: descriptor))
        epoll_ctl(epoll, operation, descriptor, &event)
    }

    private func run() {
        var events = [epoll_event](repeating: epoll_event(), count: Self.eventsAtOnce)
        while !isEnding {
            let count = epoll_wait(epoll, &events, Int32(events.count), timers.pauseMs(nowMs: MonotonicClock.nowMs))
            nowNs = MonotonicClock.nowNs
            for index in 0..<Int(max(0, count)) { dispatch(events[index]) }
            while let work = timers.popDue(nowMs: nowMs) { work() }
            while let connection = unsent.popLast() { connection.flush() }
        }
        posted.withLock { $0 = ([], true) }
        // Handlers that go with the list may still remove themselves from it.
        let last = handlers
        handlers = []
        timers = TimerQueue()
        withExtendedLifetime(last) {}
    }

    /// Whoever posts holds the loop, so nobody writes to `wake` any more, and its number may be given to another.
    deinit {
        close(epoll)
        close(wake)
        scratch.deallocate()
    }

    private func dispatch(_ event: epoll_event) {
        let descriptor = Int32(truncatingIfNeeded: event.data.u64)
        guard descriptor != wake else { return runPosted() }
        // A descriptor that was closed and opened anew within this round has another generation.
        guard let known = handlers[Int(descriptor)], known.generation == UInt32(event.data.u64 >> 32) else { return }
        var readiness: Readiness = []
        if event.events & EPOLLIN.rawValue != 0 { readiness.insert(.input) }
        if event.events & EPOLLOUT.rawValue != 0 { readiness.insert(.output) }
        if event.events & (EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0 { readiness.insert(.end) }
        known.handler.ready(readiness)
    }

    private func runPosted() {
        var count: UInt64 = 0
        read(wake, &count, MemoryLayout<UInt64>.size)
        let work = posted.withLock { posted in
            defer { posted.work = [] }
            return posted.work
        }
        for each in work { each() }
    }
}
