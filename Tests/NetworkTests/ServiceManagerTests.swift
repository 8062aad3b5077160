import Glibc
import LocalServers
import Runtime
import Testing

@testable import Network

@Suite struct ServiceManagerTests {
    /// What a manager hears.
    private final class Ear {
        let folder: TemporaryFolder
        let descriptor: Int32
        var path: String { folder.path + "/notify" }

        init() throws {
            folder = try TemporaryFolder("notify")
            descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(O_CLOEXEC), 0)
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            let bytes = Array((folder.path + "/notify").utf8)
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
            let bound = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
                }
            }
            try #require(bound == 0)
        }

        deinit { close(descriptor) }

        func next() -> String {
            var bytes = [UInt8](repeating: 0, count: 4096)
            let count = recv(descriptor, &bytes, bytes.count, 0)
            return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
        }
    }

    @Test func itIsToldInTheWordsOfItsManual() throws {
        let ear = try Ear()
        let manager = try #require(ServiceManager(environment: ["NOTIFY_SOCKET": ear.path]))
        manager.isReady()
        #expect(ear.next() == "READY=1")
        manager.says("Good;\n3 targets")
        #expect(ear.next() == "STATUS=Good; 3 targets")
        manager.isReloading()
        #expect(ear.next().hasPrefix("RELOADING=1\nMONOTONIC_USEC="))
        manager.isAlive()
        #expect(ear.next() == "WATCHDOG=1")
        manager.isStopping()
        #expect(ear.next() == "STOPPING=1")
        #expect(manager.watchInterval == nil)
    }

    @Test func itIsToldTwiceWithinTheTimeItWaits() {
        let environment = ["NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "30000000"]
        #expect(ServiceManager(environment: environment)?.watchInterval == .seconds(15))
        let another = environment.merging(["WATCHDOG_PID": "1"]) { $1 }
        #expect(ServiceManager(environment: another)?.watchInterval == nil)
        let absurd = environment.merging(["WATCHDOG_USEC": "99999999999999999999"]) { $1 }
        #expect(ServiceManager(environment: absurd)?.watchInterval == nil)
    }

    @Test(arguments: [nil, "", "relative", String(repeating: "/x", count: 90)])
    func withoutAUsableSocketThereIsNobody(_ path: String?) {
        #expect(ServiceManager(environment: path.map { ["NOTIFY_SOCKET": $0] } ?? [:]) == nil)
    }

    @Test func aPassedSocketIsTakenByItsAddressAndOnlyOnce() throws {
        let wanted = ListenAddress(host: "127.0.0.1", port: 0)
        let listening = try wanted.listen()
        let address = wanted.withPort(ListenAddress.port(of: listening))
        let passed = PassedSockets(
            environment: ["LISTEN_PID": "7", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "web"], processID: 7,
            firstDescriptor: listening)
        #expect(passed.take(ListenAddress(host: "127.0.0.1", port: address.port ^ 1)) == nil)
        #expect(passed.take(ListenAddress(host: "127.0.0.2", port: address.port)) == nil)
        #expect(passed.left == ["web"])
        #expect(passed.take(ListenAddress(host: "localhost", port: address.port)) == listening)
        #expect(passed.take(address) == nil)
        #expect(passed.left.isEmpty)
        close(listening)
    }

    @Test(arguments: [
        [:], ["LISTEN_PID": "8", "LISTEN_FDS": "1"], ["LISTEN_PID": "7", "LISTEN_FDS": "-1"],
        ["LISTEN_PID": "7", "LISTEN_FDS": "99999999999"], ["LISTEN_PID": "7", "LISTEN_FDS": "x"],
    ])
    func whatIsMeantForAnotherOrMakesNoSenseIsNotTaken(_ environment: [String: String]) {
        #expect(PassedSockets(environment: environment, processID: 7, firstDescriptor: 1000).left.isEmpty)
    }
}
