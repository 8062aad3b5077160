import Glibc
import Runtime
import Testing

@testable import Network

@Suite struct UnixListenerTests {
    private let loop = EventLoop("test-unix")
    private let folder: TemporaryFolder
    private var path: String { folder.path + "/socket" }

    init() throws { folder = try TemporaryFolder() }

    private func mode() -> mode_t {
        var info = stat()
        lstat(path, &info)
        return info.st_mode & 0o777
    }

    @Test func aSocketIsMadeWithItsModeServesAndGoes() async throws {
        let echo = Echo()
        let listener = try UnixListener(path: path, mode: 0o660, on: loop) { echo.accept($0) }
        #expect(mode() == 0o660)
        let recorder = Recorder(to: try StreamAddress(path: path), on: loop, saying: Array("hello".utf8))
        try await until { recorder.seen.text == "hello" }
        #expect(echo.peers == [.unix(path: "")] && echo.peers[0].isLocal)
        listener.stop()
        #expect(!Files.exists(path))
        // Whoever is inside stays.
        recorder.act { $0.send(Array(" again".utf8).span) }
        try await until { recorder.seen.text == "hello again" }
    }

    @Test func whatADeadProcessLeftIsReplacedAndWhatLivesIsNot() async throws {
        #expect(leaveSocket())
        let listener = try UnixListener(path: path, on: loop) { _ in }
        #expect(mode() == 0o700)
        #expect(throws: UnixListener.Failure.inUse(path: path)) { try UnixListener(path: path, on: loop) { _ in } }
        #expect(Files.exists(path))
        listener.stop()
        try Files.write("precious", to: path)
        #expect(throws: UnixListener.Failure.occupied(path: path)) { try UnixListener(path: path, on: loop) { _ in } }
        #expect(try Files.readText(path) == "precious")
    }

    @Test func aSuccessorsSocketIsLeftAlone() async throws {
        let first = try UnixListener(path: path, on: loop) { _ in }
        unlink(path)
        let second = try UnixListener(path: path, on: loop) { _ in }
        first.stop()
        #expect(Files.exists(path))
        second.stop()
        #expect(!Files.exists(path))
    }

    @Test func aPathIsNeitherEmptyNorTooLong() throws {
        let long = folder.path + "/" + String(repeating: "x", count: 107)
        for wrong in ["", long] {
            #expect(throws: UnixListener.Failure.badPath(SocketPath.problem(of: wrong))) {
                try UnixListener(path: wrong, on: loop) { _ in }
            }
            #expect(throws: StreamAddress.Unknown.self) { try StreamAddress(path: wrong) }
        }
        #expect(throws: UnixListener.Failure.failed(operation: "listen on", path: "/none/socket", errno: ENOENT)) {
            try UnixListener(path: "/none/socket", on: loop) { _ in }
        }
    }

    /// A socket that was bound by somebody who has gone.
    private func leaveSocket() -> Bool {
        let made = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(made) }
        guard let place = SocketPath(path) else { return false }
        return withSocketAddress(place.bytes) { bind(made, $0, $1) } == 0
    }
}
