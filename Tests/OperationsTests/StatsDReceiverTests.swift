import Glibc
import LocalServers
import Metrics
import Network
import Runtime
import Testing

@testable import Operations

/// Real sockets on loopback and in a temporary folder.
@Suite struct StatsDReceiverTests {
    /// Sends to a receiver as a client would.
    private final class Client {
        private let descriptor: Int32

        init(port: UInt16) throws {
            descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
            let result = LoopbackAddress.with(port: port) { connect(descriptor, $0, $1) }
            try #require(result == 0)
        }

        deinit { close(descriptor) }

        func send(_ packet: String) throws { try send(Array(packet.utf8)) }

        func send(_ packet: [UInt8]) throws {
            try #require(Glibc.send(descriptor, packet, packet.count, 0) == packet.count)
        }
    }

    private func until(_ isTrue: () -> Bool) async throws {
        let deadline = Deadline.after(.seconds(120))
        while !isTrue() {
            try #require(!deadline.hasPassed)
            try await Task.sleep(for: .milliseconds(2))
        }
    }

    private func udp(_ receiver: StatsDReceiver) throws -> UInt16 {
        try #require(receiver.addresses.first.flatMap { ListenAddress(setting: $0) }).port
    }

    @Test func packetsArriveByUDP() async throws {
        let configuration = OperationsConfiguration(statsd: .init(address: ListenAddress(host: "127.0.0.1", port: 0)))
        let recorder = OperationRecorder(configuration)
        let receiver = try StatsDReceiver(configuration, recorder)
        let client = try Client(port: try udp(receiver))
        for _ in 0..<500 { try client.send("hits:1|c\nhits:1|c") }
        let long = "long:1|c\n" + String(repeating: "x", count: 60_000) + "\nlong:1|c"
        try client.send(long)
        try await until { recorder.value("hits") == 1000 && recorder.value("long") == 2 }
        // Packets are counted when the batch they came in is done.
        try await until { served(receiver).contains(#"outrigger_statsd_packets_total{socket="udp"} 501"#) }
        #expect(served(receiver).contains(#"outrigger_statsd_packets_lost_total{socket="udp"} 0"#))
    }

    @Test func whatTheKernelDropsIsCounted() async throws {
        let socket = try DatagramSocket.udp(ListenAddress(host: "127.0.0.1", port: 0), receiveBuffer: 4096)
        let client = try Client(port: socket.port)
        let packet = [UInt8](repeating: UInt8(ascii: "a"), count: 1000)
        // Nobody reads, so all that does not fit is lost: `/proc/net/udp` tells the same number.
        for _ in 0..<100 { try client.send(packet) }
        let place = ":" + String(socket.port, radix: 16, uppercase: true)
        let line = try Files.readText("/proc/net/udp").split(separator: "\n").first {
            $0.split(separator: " ")[1].hasSuffix(place)
        }
        let kernel = try #require(line?.split(separator: " ").last.flatMap { Int($0) })
        #expect(kernel > 50)
        #expect(socket.drops == kernel)
        for _ in 0..<10 { try client.send(packet) }
        #expect(socket.drops == kernel + 10)
    }

    @Test func packetsArriveThroughAUnixSocketWhoseFileComesAndGoes() async throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/statsd.sock"
        let configuration = OperationsConfiguration(statsd: .init(path: path, mode: 0o722))
        let recorder = OperationRecorder(configuration)
        do {
            let receiver = try StatsDReceiver(configuration, recorder)
            var info = stat()
            #expect(stat(path, &info) == 0)
            #expect(info.st_mode & 0o777 == 0o722)
            try sendUnix("hits:3|c", to: path)
            try await until { recorder.value("hits") == 3 }
            #expect(served(receiver).contains(#"outrigger_statsd_packets_total{socket="unixgram"} 1"#))
            // A second one finds it in use.
            #expect(throws: DatagramSocket.Failure.self) { try StatsDReceiver(configuration, recorder) }
            receiver.end()
        }
        try await until { !Files.exists(path) }
    }

    @Test func aSocketFileThatADeadProcessLeftIsReplacedAndAnotherFileIsNot() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/statsd.sock"
        let left = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        #expect(try withUnixAddress(path) { bind(left, $0, $1) } == 0)
        close(left)
        #expect(Files.exists(path))
        _ = try DatagramSocket.unix(path, mode: 0o600, receiveBuffer: 65_536)
        try Files.write("precious", to: folder.path + "/file")
        #expect(throws: DatagramSocket.Failure.self) {
            try DatagramSocket.unix(folder.path + "/file", mode: 0o600, receiveBuffer: 65_536)
        }
        #expect(try Files.readText(folder.path + "/file") == "precious")
        #expect(throws: DatagramSocket.Failure.self) {
            try DatagramSocket.unix("/tmp/" + String(repeating: "x", count: 200), mode: 0o600, receiveBuffer: 65_536)
        }
    }

    /// A port in use is an error, not silence.
    @Test func aPortInUseIsRefused() throws {
        let socket = try DatagramSocket.udp(ListenAddress(host: "127.0.0.1", port: 0), receiveBuffer: 65_536)
        #expect(throws: DatagramSocket.Failure.self) {
            try DatagramSocket.udp(ListenAddress(host: "127.0.0.1", port: socket.port), receiveBuffer: 65_536)
        }
    }

    private func sendUnix(_ packet: String, to path: String) throws {
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        defer { close(descriptor) }
        try #require(try withUnixAddress(path) { connect(descriptor, $0, $1) } == 0)
        let bytes = Array(packet.utf8)
        try #require(Glibc.send(descriptor, bytes, bytes.count, 0) == bytes.count)
    }

    private func withUnixAddress(
        _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) throws -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }
}
