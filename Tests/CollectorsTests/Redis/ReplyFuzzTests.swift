import Metrics
import TestTools
import Testing

@testable import Collectors
@testable import Databases

/// What Redis and the kernel once said, damaged, against everything that makes metrics of it. `TEST_FUZZ` sets how many of
/// each, `TEST_SEED` which.
@Suite struct CollectorFuzzTests {
    private static let rounds = Seeded.rounds(default: 300)

    private static func options() -> RedisOptions {
        var options = RedisOptions()
        options.exportClientPort = true
        options.includeConfigMetrics = true
        options.includeRDBFileSizeMetric = true
        return options
    }

    /// The whole replies in front of the first byte that is none.
    private static func replies(_ bytes: [UInt8]) -> [RedisReply] {
        let reader = RedisReplyReader(limitBytes: 1 << 20)
        let count = bytes.withUnsafeBytes { try? reader.feed($0) }
        return count == nil ? [] : reader.take()
    }

    @Test(arguments: ["info", "client-list", "config", "latency-histogram", "xinfo", "xgroups", "acl"])
    func fuzzedRepliesAreReadOrSkipped(_ name: String) throws {
        let recorded = try Facts.recording(name + ".resp")
        try #require(Self.replies(recorded).count == 1)
        var random = Seeded(fuzzing: 81)
        var readers = RedisReaders(base: .none, options: Self.options())
        var former = Self.options()
        former.exportClientPort = false
        var clients = ClientListReader(base: .none, options: former)
        var seen = 0
        for _ in 0..<Self.rounds {
            var inside = random.mutated(recorded)
            // The frame of a text is made right again, so that what is in it is read.
            if recorded.first == UInt8(ascii: "$"), let start = inside.firstIndex(of: 10) {
                let text = inside[(start + 1)...]
                inside = Array("$\(text.count)\r\n".utf8) + text + [13, 10]
            }
            for reply in Self.replies(inside) {
                seen += 1
                for _ in readers.clients.read(reply, now: 1e9) {}
                for _ in clients.read(reply, now: 1e9) {}
                for _ in readers.config.read([reply]) {}
                for _ in readers.modules.read(reply) {}
                for _ in readers.latency.latest(reply) {}
                _ = ModuleReader.tile38Lines(reply)
                _ = readers.slowlog.newest(reply)
                if let bytes = reply.bytes {
                    _ = readers.info.read(bytes, databases: 16, now: 1e9)
                    _ = readers.info.readCluster(bytes)
                    _ = RedisServer(info: String(decoding: bytes, as: UTF8.self))
                }
                var usage = readers.info.usage
                readers.latency.take(reply, &usage, isRest: false)
                for _ in readers.latency.histograms(usage) {}
            }
        }
        #expect(seen > 0)
    }

    @Test func anAgeThatIsNoNumberCostsOnlyItself() {
        var reader = ClientListReader(base: .none, options: RedisOptions())
        for age in ["nan", "inf", "-inf", "1e300", "9223372036854775808"] {
            let line = "id=1 addr=127.0.0.1:1 name=n age=\(age) idle=\(age) flags=N db=0 omem=0 cmd=get user=u resp=2\n"
            #expect(!reader.read(.bulk(Array(line.utf8)[...]), now: 1e9).isEmpty, "\(age)")
        }
    }

    private static let kernelTexts = [
        "9.15 8.65 7.33 9/194 624\n",
        "some avg10=97.99 avg60=97.12 avg300=93.48 total=3327568307\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
        "MemTotal:       24683652 kB\nMemFree:        17487852 kB\nMemAvailable:   23351200 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n",
        "   8       0 sda 103 0 4194304 3 0 0 0 0 20 0 1 0 475964 2998272\n",
        "    lo: 33937334944 14548429    0    0    0     0          0         0 33937334944 14548429    0    0    0     0 0 0\n",
        "626 (head) R 604 604 6490 0 -1 4194304 103 0 0 0 0 0 0 0 20 0 1 0 475964 2998272 383 18446744073709551615 9470 0 0\n",
        "cpu  32 5 12 99999 3 0 1 2 0 0\ncpu0 32 5 12 99999 3 0 1 2 0 0\nbtime 1700000000\n",
    ].map { Array($0.utf8) }

    @Test func fuzzedFilesOfTheKernelAreReadOrSkipped() {
        var random = Seeded(fuzzing: 82)
        for _ in 0..<Self.rounds * 4 {
            let text = String(decoding: random.mutated(random.pick(Self.kernelTexts)), as: UTF8.self)
            for file in HostFile.pressure + HostFile.resources { _ = file.read(text) }
            _ = ProcessStat(text)
            _ = KernelText.numbers(text)
            _ = KernelText.pressure(text)
            _ = KernelText.interfaces(text)
            _ = ContainerMetrics.network(text)
        }
    }
}
