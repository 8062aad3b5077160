import Glibc
import LocalServers
import RedisTesting
import Runtime
import Synchronization
import Testing

/// How the proxy is set up for a proof: one row each, and every proof runs over all of them.
///
/// `TEST_PROXY_FLAGS="--a=1 --b=2"` proves that setup instead.
struct ProxyVariant: Sendable, CustomTestStringConvertible {
    let name: String
    /// Added to `outrigger serve`.
    var flags: [String] = []
    var environment: [String: String] = [:]
    /// What is put to `/-/features/` once it runs, such as `cache=off`.
    var features: [String] = []
    /// How long values from before a foreign `SWAPDB`, of which Redis tells nobody, may still be served.
    var swapGrace: Duration = .zero
    /// Nobody else may write the keys, or empty Redis.
    var isBehind = false

    var testDescription: String { name }

    static var all: [ProxyVariant] {
        guard let flags = Environment.current["TEST_PROXY_FLAGS"] else { return standard }
        let words = flags.split(separator: " ").map { String($0) }
        let isBehind = words.contains("--cache.write=behind")
        return [ProxyVariant(name: flags, flags: words, swapGrace: .seconds(3600), isBehind: isBehind)]
    }

    /// For proofs in which all go through the proxy.
    static var allAndBehind: [ProxyVariant] {
        Environment.current["TEST_PROXY_FLAGS"] == nil ? standard + [behind] : all
    }

    /// Writes are acknowledged from the log.
    static let behind = ProxyVariant(
        name: "write behind", flags: ["--cache.write=behind", "--state.dir=state"], swapGrace: .seconds(3600),
        isBehind: true)

    /// With the local level, with one so small that it forgets all the time, and without.
    static let standard = [
        ProxyVariant(name: "local level", swapGrace: .seconds(3600)),
        ProxyVariant(name: "tiny local level", flags: ["--cache.max-bytes=64KiB"], swapGrace: .seconds(3600)),
        ProxyVariant(name: "local level off", features: ["cache=off"]),
    ]
}

/// The real binary in front of a real Redis.
final class ProxyUnderTest: Sendable {
    let outrigger: RunningOutrigger
    /// Where clients of the proxy connect.
    let port: UInt16
    private let upstream: Mutex<LocalRedis>

    /// The Redis behind it.
    var redis: LocalRedis { upstream.withLock { $0 } }

    private init(_ outrigger: RunningOutrigger, _ port: UInt16, _ redis: LocalRedis) {
        self.outrigger = outrigger
        self.port = port
        upstream = Mutex(redis)
    }

    static func start(_ variant: ProxyVariant, redis arguments: [String] = []) async throws -> ProxyUnderTest {
        let redis = try await LocalRedis.start(arguments)
        let port = FreePort.next()
        let outrigger = try await RunningOutrigger.start(
            ["--redis-proxy.listen-address=127.0.0.1:\(port)"] + variant.flags,
            environment: variant.environment.merging(["REDIS_URL": redis.url]) { $1 })
        try await untilOpen(port)
        for feature in variant.features {
            let answer = try await outrigger.get("/-/features/\(feature)", ["-X", "PUT"])
            #expect(answer.status == 200, "\(feature): \(answer.body)")
        }
        return ProxyUnderTest(outrigger, port, redis)
    }

    /// Until clients can connect there.
    static func untilOpen(_ port: UInt16) async throws {
        let deadline = Deadline.after(.seconds(60))
        while !FreePort.isOpen(port) {
            try #require(!deadline.hasPassed, "nobody listens on \(port)")
            try await Task.sleep(for: .milliseconds(2))
        }
    }

    /// Kills Redis and starts an empty one in its place.
    func restartRedis() async throws {
        let old = redis
        old.server.process.signal(SIGKILL)
        _ = try await old.server.process.exited(within: .seconds(120))
        let fresh = try await old.restarted()
        upstream.withLock { $0 = fresh }
    }

    func stop() async {
        #expect(outrigger.process.exitCode == nil, "the proxy has ended: \(outrigger.log.suffix(2000))")
        await outrigger.stop()
        await redis.stop()
    }

    /// Memory of the proxy's process.
    var residentBytes: Int {
        guard let status = try? Files.readText("/proc/\(outrigger.process.pid)/status"),
            let line = status.split(separator: "\n").first(where: { $0.hasPrefix("VmRSS:") }),
            let kibibytes = line.split(separator: " ").dropFirst().first.flatMap({ Int($0) })
        else { return 0 }
        return kibibytes << 10
    }
}

/// A thread of its own for what blocks in sockets, so that it does not hold up Swift's pool.
actor OwnThread {
    private let thread = BlockingThread("proof")
    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    func run<Result: Sendable>(_ body: @Sendable () throws -> Result) rethrows -> Result { try body() }

    /// `count` threads at once, each told its number. Throws the first error after all have ended.
    static func run<Result: Sendable>(
        _ count: Int, _ body: @escaping @Sendable (Int) throws -> Result
    ) async throws -> [Result] {
        let running = (0..<count).map { number in Task { try await OwnThread().run { try body(number) } } }
        var results: [Result] = []
        var failure: (any Error)?
        for task in running {
            do { results.append(try await task.value) } catch { failure = failure ?? error }
        }
        if let failure { throw failure }
        return results
    }
}

/// Pauses for threads of our own.
enum BlockingWait {
    static func milliseconds(_ count: Int) { usleep(UInt32(count) * 1000) }
}

/// What the environment says about the length and the dice of a proof.
enum ProofSettings {
    static func count(_ variable: String, default count: Int) -> Int {
        Environment.current[variable].flatMap { Int($0) } ?? count
    }

    /// `TEST_SEED`, or another one each time; print it.
    static var seed: UInt64 {
        Environment.current["TEST_SEED"].flatMap { UInt64($0) } ?? UInt64.random(in: 1...999_999)
    }
}

/// Bytes for people: printable ones as they are, the rest as `\r`, `\n` or `\xNN`, shortened in the middle.
func readable(_ bytes: some Collection<UInt8>, most: Int = 400) -> String {
    var text = ""
    for byte in bytes.prefix(most) {
        switch byte {
        case 13: text += "\\r"
        case 10: text += "\\n"
        case 32..<127: text += String(UnicodeScalar(byte))
        default: text += "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }
    }
    return bytes.count > most ? text + "…(\(bytes.count) bytes)" : text
}
