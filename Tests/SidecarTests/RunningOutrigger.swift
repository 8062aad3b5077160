import Glibc
import LocalServers
import Runtime

/// The real binary, started as a user starts it, on a free port.
final class RunningOutrigger: Sendable {
    let process: ChildProcess
    let folder: TemporaryFolder
    let port: UInt16

    var url: String { "http://127.0.0.1:\(port)" }
    var log: String { (try? Files.readText(folder.path + "/log")) ?? "" }

    /// The binary beside the test runner.
    static var binary: String {
        var path = [CChar](repeating: 0, count: 4096)
        let length = readlink("/proc/self/exe", &path, path.count - 1)
        let runner = String(decoding: path[..<max(0, length)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return runner[..<(runner.lastIndex(of: "/") ?? runner.startIndex)] + "/outrigger"
    }

    private init(process: ChildProcess, folder: TemporaryFolder, port: UInt16) {
        self.process = process
        self.folder = folder
        self.port = port
    }

    /// Starts `outrigger serve` and waits until it is ready.
    ///
    /// - Parameters:
    ///   - yaml: configuration, written to a file.
    ///   - wrapper: a command that starts it, such as `prlimit --nofile=64:64`.
    static func start(
        _ arguments: [String] = [], yaml: String? = nil, environment: [String: String] = [:], wrapper: [String] = []
    ) async throws -> RunningOutrigger {
        let folder = try TemporaryFolder("outrigger-test")
        let port = FreePort.next()
        var words = ["serve", "--web.listen-address=127.0.0.1:\(port)"] + arguments
        if let yaml {
            try Files.write(yaml, to: folder.path + "/outrigger.yml")
            words += ["--config", folder.path + "/outrigger.yml"]
        }
        let command = wrapper + [binary] + words
        let server = try await LocalServer.start(
            command[0], Array(command.dropFirst()), folder: folder, port: port, environment: environment,
            patience: .seconds(120)
        ) { FreePort.isOpen(port) }
        return RunningOutrigger(process: server.process, folder: folder, port: port)
    }

    /// Runs a command of the binary to its end.
    static func run(_ arguments: [String], environment: [String: String] = [:]) async throws -> (
        status: Int32, output: String
    ) {
        let folder = try TemporaryFolder("outrigger-test")
        let process = try ChildProcess(binary, arguments, environment: environment, output: folder.path + "/out")
        let status = try await process.exited(within: .seconds(120))
        return (status, (try? Files.readText(folder.path + "/out")) ?? "")
    }

    struct Answer {
        let status: Int
        let head: String
        let body: String
    }

    /// Asks with curl, a client that is not ours.
    func get(_ path: String, _ options: [String] = []) async throws -> Answer {
        let text = try await LocalServer.run(
            "curl", ["-sS", "-i", "--max-time", "120", "-g"] + options + [url + path], folder: folder)
        let parts = text.split(separator: "\r\n\r\n", maxSplits: 1, omittingEmptySubsequences: false)
        let head = String(parts[0])
        let status = Int(head.dropFirst("HTTP/1.1 ".count).prefix(3)) ?? 0
        return Answer(status: status, head: head, body: parts.count > 1 ? String(parts[1]) : "")
    }

    func stop() async { await process.stop() }
}
