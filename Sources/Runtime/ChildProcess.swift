import CLinux
import Glibc
import Synchronization

/// A program we started and answer for: it is told to end when this value goes, and it ends when we die.
public final class ChildProcess: Sendable {
    public let pid: pid_t
    public let name: String
    private let status = Mutex<Int32?>(nil)

    public enum Failure: Error, CustomStringConvertible {
        case cannotStart(program: String, reason: String)
        case stillRunning(program: String, after: Duration)

        public var description: String {
            switch self {
            case .cannotStart(let program, let reason): "start \(program): \(reason)"
            case .stillRunning(let program, let after): "wait for \(program): still running after \(after.seconds) s"
            }
        }
    }

    /// - Parameters:
    ///   - program: a path, or a name that is looked up in PATH.
    ///   - environment: added to ours; it wins.
    ///   - output: file that stdout and stderr are appended to; without one they go to /dev/null.
    ///   - user: run as this user, which only root may ask for. The child also gets SIGTERM when we die.
    public init(
        _ program: String, _ arguments: [String], environment: [String: String] = [:], output: String? = nil,
        user: String? = nil, directory: String? = nil
    ) throws(Failure) {
        var command = ["setpriv", "--pdeathsig", "TERM"]
        if let user { command += ["--reuid", user, "--regid", user, "--init-groups"] }
        command += [program] + arguments

        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output ?? "/dev/null", O_WRONLY | O_CREAT | O_APPEND, 0o644)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        if let directory { posix_spawn_file_actions_addchdir_np(&actions, directory) }

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // A group of its own: Ctrl-C on our terminal is for us, and we end the child in order. Signals that we
        // block or ignore are the child's to receive.
        var none = sigset_t()
        sigemptyset(&none)
        var all = sigset_t()
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

        let merged = Environment.current.merging(environment) { $1 }
        var child: pid_t = 0
        var failure: Int32 = 0
        withCStrings(command) { argv in
            withCStrings(merged.map { "\($0.key)=\($0.value)" }) { envp in
                ServantThread.spawner.perform {
                    failure = posix_spawnp(&child, "setpriv", &actions, &attributes, argv, envp)
                }
            }
        }
        guard failure == 0 else { throw .cannotStart(program: program, reason: String(cString: strerror(failure))) }
        pid = child
        name = program
    }

    deinit {
        guard status.withLock({ $0 }) == nil, waitpid(pid, nil, WNOHANG) == 0 else { return }
        kill(pid, SIGKILL)
        waitpid(pid, nil, 0)
    }

    public func signal(_ number: Int32) {
        // Under the lock, so that the pid cannot have been reaped and given to somebody else.
        status.withLock { if $0 == nil { kill(pid, number) } }
    }

    /// Nil while it runs; afterwards its exit code, or 128 plus the signal that ended it.
    public var exitCode: Int32? {
        status.withLock { status in
            if status == nil {
                var raw: Int32 = 0
                if waitpid(pid, &raw, WNOHANG) == pid {
                    status = raw & 0x7F == 0 ? raw >> 8 & 0xFF : 128 + raw & 0x7F
                }
            }
            return status
        }
    }

    /// Waits for its end.
    public func exited(within patience: Duration) async throws -> Int32 {
        let deadline = Deadline.after(patience)
        while !deadline.hasPassed {
            if let exitCode { return exitCode }
            try await Task.sleep(for: .milliseconds(5))
        }
        throw Failure.stillRunning(program: name, after: patience)
    }

    /// Asks it to end with `number`, and kills it when it has not done so in time.
    public func stop(_ number: Int32 = SIGTERM, within patience: Duration = .seconds(10)) async {
        signal(number)
        if (try? await exited(within: patience)) != nil { return }
        signal(SIGKILL)
        while exitCode == nil { try? await Task.sleep(for: .milliseconds(5)) }
    }
}

/// The environment of this process.
public enum Environment {
    public static var current: [String: String] {
        var variables: [String: String] = [:]
        var entry = environ
        while let text = entry.pointee {
            let line = String(cString: text)
            if let equals = line.firstIndex(of: "=") {
                variables[String(line[..<equals])] = String(line[line.index(after: equals)...])
            }
            entry += 1
        }
        return variables
    }
}

/// Calls `body` with a NULL-terminated array of C strings that lives as long as the call.
func withCStrings<Result>(_ texts: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result) -> Result {
    let copies = texts.map { strdup($0) }
    defer { copies.forEach { free($0) } }
    return body(copies + [nil])
}
