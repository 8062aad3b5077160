import CLinux
import Glibc
import Synchronization

/// Where the lines of the log go, without ever waiting for it: a pipe that nobody reads, or a terminal that was stopped,
/// must not stop those who write lines.
final class LogOutlet: Sendable {
    static let standardError = LogOutlet(STDERR_FILENO)

    private struct State {
        var waiting: [UInt8] = []
        var dropped = 0
        /// Of those, the ones nobody was told of.
        var untold = 0
        var isWriting = false
    }

    private enum Way: Sendable {
        /// Our own opening of it, which does not block.
        case own(Int32)
        case socket
        /// A regular file never blocks for long; what could not be opened again is asked first.
        case file, asked
    }

    private let descriptor: Int32
    private let way: Way
    private let state = Mutex(State())
    private static let mostBytes = 256 << 10

    init(_ descriptor: Int32) {
        self.descriptor = descriptor
        var info = stat()
        let kind = fstat(descriptor, &info) == 0 ? info.st_mode & S_IFMT : S_IFREG
        switch kind {
        case S_IFREG: way = .file
        case S_IFSOCK: way = .socket
        default:
            // O_NONBLOCK on the one that we were given would hold for everybody who has it, such as the shell.
            let own = open("/proc/self/fd/\(descriptor)", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
            way = own >= 0 ? .own(own) : .asked
        }
    }

    deinit { if case .own(let own) = way { close(own) } }

    var dropped: Int { state.withLock { $0.dropped } }

    func write(_ line: [UInt8]) {
        let startsWriter = state.withLock { state -> Bool in
            var line = line[...]
            if state.waiting.isEmpty { line = line.dropFirst(put(line)) }
            guard !line.isEmpty else { return false }
            guard state.waiting.count + line.count <= Self.mostBytes else {
                state.dropped += 1
                state.untold += 1
                return false
            }
            state.waiting += line
            defer { state.isWriting = true }
            return !state.isWriting
        }
        guard startsWriter else { return }
        let failure = DetachedThread.tryStart("log", stackBytes: 128 << 10) { self.writeWhatWaits() }
        if failure != 0 { state.withLock { $0.isWriting = false } }
    }

    /// Waits until nothing waits any more.
    func flush(by deadline: Deadline) {
        while !deadline.hasPassed {
            let isDone = state.withLock { state in
                state.waiting.removeFirst(put(state.waiting[...]))
                return state.waiting.isEmpty
            }
            if isDone { return }
            awaitRoom(milliseconds: min(20, deadline.pollMilliseconds))
        }
    }

    private func writeWhatWaits() {
        while true {
            awaitRoom(milliseconds: 1000)
            let isDone = state.withLock { state in
                state.waiting.removeFirst(put(state.waiting[...]))
                if state.waiting.isEmpty, state.untold > 0 {
                    state.waiting = Array(
                        "level=warn msg=\"lines were dropped: stderr took none\" count=\(state.untold)\n".utf8)
                    state.untold = 0
                }
                if state.waiting.isEmpty { state.isWriting = false }
                return state.waiting.isEmpty
            }
            if isDone { return }
        }
    }

    private func awaitRoom(milliseconds: Int32) {
        var watched = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        poll(&watched, 1, milliseconds)
    }

    /// - Returns: how many bytes are done with: all of them where there is nobody left to write to, and nowhere to say so.
    private func put(_ bytes: ArraySlice<UInt8>) -> Int {
        guard !bytes.isEmpty else { return 0 }
        let count = bytes.withUnsafeBytes { bytes in
            switch way {
            case .own(let own): return Glibc.write(own, bytes.baseAddress, bytes.count)
            case .socket:
                return send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL))
            case .file: return Glibc.write(descriptor, bytes.baseAddress, bytes.count)
            case .asked:
                var watched = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                guard poll(&watched, 1, 0) == 1 else {
                    errno = EAGAIN
                    return -1
                }
                // A pipe that has room at all takes so much without waiting.
                return Glibc.write(descriptor, bytes.baseAddress, min(bytes.count, 4096))
            }
        }
        if count >= 0 { return count }
        return errno == EAGAIN || errno == EINTR ? 0 : bytes.count
    }
}
