import Glibc
import Runtime
import Synchronization
import Testing

@testable import Network

/// The other side goes, without having read what it was sent, so that the kernel says no more than that it has gone.
@Suite struct StreamEndTests {
    private let loop = EventLoop("test-ends")
    private let words = (0..<50_000).map { UInt8(truncatingIfNeeded: $0 ^ $0 >> 8) }

    /// A connection that is paused, and whose other side has said something and gone.
    private func left(isReadToTheEnd: Bool) async throws -> Recorder {
        let recorder = Recorder(on: loop)
        let hasAccepted = Atomic(false)
        let listener = try StreamListener(ListenAddress(host: "127.0.0.1", port: 0), on: loop) { connection in
            connection.pause()
            connection.isReadToTheEnd = isReadToTheEnd
            recorder.adopt(connection)
            connection.send { $0.append(1) }
            hasAccepted.store(true, ordering: .relaxed)
        }
        defer { listener.stop() }
        let other = try #require(connect(to: listener.address.port))
        try await until { hasAccepted.load(ordering: .relaxed) }
        #expect(words.withUnsafeBytes { write(other, $0.baseAddress, $0.count) } == words.count)
        // What it does not read makes its end a reset.
        var byte: UInt8 = 0
        #expect(recv(other, &byte, 1, Int32(MSG_PEEK)) == 1)
        close(other)
        return recorder
    }

    private func connect(to port: UInt16) -> Int32? {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        let status = LoopbackAddress.with(port: port) { Glibc.connect(descriptor, $0, $1) }
        return status == 0 ? descriptor : nil
    }

    @Test(arguments: [false, true]) func whatItHasSaidIsReadFirst(thoughSendingFails: Bool) async throws {
        let recorder = try await left(isReadToTheEnd: true)
        if thoughSendingFails {
            recorder.act { $0.send { $0 += [2, 3] } }
            recorder.act { $0.send { $0 += [4] } }
        }
        recorder.act { $0.resume() }
        try await until { recorder.seen.isClosed }
        #expect(recorder.seen.bytes == words)
    }

    @Test func whoWaitsForItHearsOfIt() async throws {
        let recorder = try await left(isReadToTheEnd: false)
        try await until { recorder.seen.isClosed }
        #expect(recorder.seen.bytes.isEmpty)
    }
}
