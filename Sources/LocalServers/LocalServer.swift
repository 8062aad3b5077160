import Glibc
import Runtime

/// Why a throw-away server did not come up.
public enum LocalServerError: Error, CustomStringConvertible {
    case notInstalled(program: String, package: String)
    case ended(program: String, exitCode: Int32, log: String)
    case notReady(program: String, after: Duration, log: String)

    public var description: String {
        switch self {
        case .notInstalled(let program, let package): "\(program) is not installed: apt-get install \(package)"
        case .ended(let program, let code, let log): "\(program) ended with \(code): \(log)"
        case .notReady(let program, let after, let log): "\(program) not ready after \(after.seconds) s: \(log)"
        }
    }
}

/// A real server on a free loopback port with all its files in a temporary folder; both go with this value.
public final class LocalServer: Sendable {
    public let process: ChildProcess
    public let folder: TemporaryFolder
    public let port: UInt16

    public init(process: ChildProcess, folder: TemporaryFolder, port: UInt16) {
        self.process = process
        self.folder = folder
        self.port = port
    }

    /// What it wrote to stdout and stderr, the last 2,000 bytes.
    public var log: String { LocalServer.tail(folder) }

    static func tail(_ folder: TemporaryFolder) -> String {
        let bytes = (try? Files.read(folder.path + "/log")) ?? []
        return String(decoding: bytes.suffix(2000), as: UTF8.self)
    }

    /// Starts `program` and waits until `isReady` says so.
    public static func start(
        _ program: String, _ arguments: [String], folder: TemporaryFolder, port: UInt16, user: String? = nil,
        environment: [String: String] = [:], patience: Duration = .seconds(30), isReady: @Sendable () async -> Bool
    ) async throws -> LocalServer {
        let process = try ChildProcess(
            program, arguments, environment: environment, output: folder.path + "/log", user: user,
            directory: folder.path)
        let deadline = Deadline.after(patience)
        while !deadline.hasPassed {
            if let code = process.exitCode {
                throw LocalServerError.ended(program: program, exitCode: code, log: tail(folder))
            }
            if await isReady() { return LocalServer(process: process, folder: folder, port: port) }
            try await Task.sleep(for: .milliseconds(20))
        }
        await process.stop()
        throw LocalServerError.notReady(program: program, after: patience, log: tail(folder))
    }

    /// Runs a program to its end. Throws when it fails.
    @discardableResult
    public static func run(
        _ program: String, _ arguments: [String], folder: TemporaryFolder, user: String? = nil,
        environment: [String: String] = [:], patience: Duration = .seconds(120)
    ) async throws -> String {
        let output = folder.path + "/out.\(UInt64.random(in: 0...UInt64.max))"
        defer { try? Files.remove(output) }
        let process = try ChildProcess(
            program, arguments, environment: environment, output: output, user: user, directory: folder.path)
        let code = try await process.exited(within: patience)
        let text = (try? Files.readText(output)) ?? ""
        guard code == 0 else {
            throw LocalServerError.ended(program: program, exitCode: code, log: String(text.suffix(2000)))
        }
        return text
    }

    /// Servers that refuse to run as root get Debian's `postgres` user then.
    public static var unprivilegedUser: String? { getuid() == 0 ? "postgres" : nil }
}
