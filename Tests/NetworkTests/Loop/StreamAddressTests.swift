import Glibc
import LocalServers
import Runtime
import Testing

@testable import Network

@Suite struct StreamAddressTests {
    private let loop = EventLoop("test-address")

    private func local(_ port: UInt16) throws -> StreamAddress { try StreamAddress(host: "127.0.0.1", port: port) }

    /// A name that stands for several addresses.
    private func name(_ ports: UInt16...) throws -> StreamAddress {
        StreamAddress(try ports.flatMap { try local($0).candidates }, description: "several")
    }

    @Test func theNextAddressIsTriedWhenOneRefuses() async throws {
        let echo = Echo()
        let listener = try StreamListener(ListenAddress(host: "127.0.0.1", port: 0), on: loop) { echo.accept($0) }
        let address = try name(FreePort.next(), FreePort.next(), listener.address.port)
        let recorder = Recorder(to: address, on: loop, saying: Array("hello".utf8))
        try await until { recorder.seen.text == "hello" }
        #expect(recorder.seen.peer == .server("several") && recorder.seen.failure == nil)
        guard case .internet("127.0.0.1", _, isLoopback: true)? = echo.peers.first else {
            Issue.record("\(echo.peers)")
            return
        }
        listener.stop()
    }

    @Test func whenAllRefuseTheConnectionClosesAndSaysWhy() async throws {
        let recorder = Recorder(to: try name(FreePort.next(), FreePort.next()), on: loop, saying: [1])
        try await until { recorder.seen.isClosed }
        #expect(recorder.seen.failure == .unreachable(errno: ECONNREFUSED))
    }

    @Test func localhostIsReachedWhicheverFamilyListens() async throws {
        let echo = Echo()
        let listener = try StreamListener(ListenAddress(host: "127.0.0.1", port: 0), on: loop) { echo.accept($0) }
        let address = try StreamAddress(host: "localhost", port: listener.address.port)
        let recorder = Recorder(to: address, on: loop, saying: Array("hello".utf8))
        try await until { recorder.seen.text == "hello" }
        listener.stop()
    }

    @Test func silenceAfterConnectingIsNoFailure() async throws {
        let echo = Echo()
        let listener = try StreamListener(ListenAddress(host: "127.0.0.1", port: 0), on: loop) { echo.accept($0) }
        let recorder = Recorder(to: try local(listener.address.port), on: loop)
        try await until { echo.peers.count == 1 }
        recorder.act { $0.send(Array("late".utf8).span) }
        try await until { recorder.seen.text == "late" }
        listener.stop()
    }
}
