import Foundation
import LocalServers
import Metrics
import Runtime
import TestTools
import Testing

@testable import Collectors

@Suite struct ProcessSourceTests {
    private static func page(_ source: ProcessSource) -> ExporterPage {
        ExporterPage(source.collectedWhenLate(CollectionRound(deadline: .after(.seconds(1)))))
    }

    @Test func thisProcessIsTold() throws {
        let before = try #require(Self.page(ProcessSource()).number("process_cpu_seconds_total"))
        let file = FileHandle(forReadingAtPath: "/dev/null")
        let opened = try #require(Self.page(ProcessSource()).number("process_open_fds"))
        try file?.close()

        let page = Self.page(ProcessSource())

        #expect(Set(page.types.keys) == Set(ProcessSource.metrics.map(\.name)))
        #expect(try #require(page.number("process_cpu_seconds_total")) >= before)
        #expect(opened > 3)
        #expect(try #require(page.number("process_max_fds")) >= opened)
        #expect(try #require(page.number("process_resident_memory_bytes")) > 1_000_000)
        #expect(
            try #require(page.number("process_virtual_memory_bytes"))
                > #require(page.number("process_resident_memory_bytes")))
        let age = Date().timeIntervalSince1970 - (try #require(page.number("process_start_time_seconds")))
        #expect(age >= -1 && age < 24 * 3600)
        #expect(page.types["process_cpu_seconds_total"] == "counter")
    }

    @Test func aNameWithSpacesAndParenthesesIsNoTrap() throws {
        let folder = try TemporaryFolder("outrigger-proc")
        try FileManager.default.createDirectory(atPath: folder.path + "/self", withIntermediateDirectories: true)
        let numbers = (4...52).map { "\($0 * 10)" }.joined(separator: " ")
        try Files.write("77 (a) b (c) S \(numbers)\n", to: folder.path + "/self/stat")
        try Files.write("cpu 1 2 3\nbtime 1700000000\n", to: folder.path + "/stat")
        try FileManager.default.createDirectory(atPath: folder.path + "/self/net", withIntermediateDirectories: true)
        try Files.write(
            "TcpExt: A B\nTcpExt: 1 2\nIpExt: InNoRoutes InOctets OutOctets\nIpExt: 5 600 70\n",
            to: folder.path + "/self/net/netstat")

        let page = Self.page(ProcessSource(root: folder.path))

        #expect(page.number("process_virtual_memory_bytes") == 230)
        #expect(page.number("process_resident_memory_bytes") == 240 * Double(Kernel.pageBytes))
        #expect(page.number("process_start_time_seconds") == 1_700_000_000 + 220 / Kernel.ticksPerSecond)
        #expect(page["process_network_receive_bytes_total"] == "600")
        #expect(page["process_network_transmit_bytes_total"] == "70")
        #expect(page["process_open_fds"] == nil)
    }

    /// Debian's redis_exporter was built with client_golang: its own process metrics have these names and types.
    @Test func theNamesAreThoseOfEveryExporter() throws {
        let ours = Self.page(ProcessSource())
        for row in try Facts.table("process-metrics") {
            let name = try #require(row["metric"])
            #expect(ours.types[name] == row["type"])
            #expect(ours.helps[name]?.isEmpty == false)
        }
    }
}
