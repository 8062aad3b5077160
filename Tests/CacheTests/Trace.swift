import Foundation
import Runtime
import TestTools
import Testing

/// A recorded load: keys by dense number, in the order in which they were asked for.
struct Trace: Sendable {
    let keys: [Int]
    let distinct: Int

    /// Whether there are recorded loads, and `xz` to unpack them.
    static let areThere = Facts.hasShared("traces") && Files.exists("/usr/bin/xz")
    static let absence: Comment = "needs ../shared/data/traces and xz"

    /// A trace of the data beside the repository.
    static func load(_ name: String, requests: Int = .max) async throws -> Trace {
        let packed = Facts.sharedPath("traces/caffeine_\(name).trace.xz")
        let folder = try TemporaryFolder("trace")
        let plain = folder.path + "/trace"
        let xz = try ChildProcess("xz", ["-dc", packed], output: plain)
        guard try await xz.exited(within: .seconds(60)) == 0 else { throw TraceError.unpacking(packed) }
        return Trace(bigEndian: try Data(contentsOf: URL(filePath: plain)), requests: requests)
    }

    enum TraceError: Error { case unpacking(String) }

    private init(bigEndian data: Data, requests: Int) {
        var numbers: [UInt32: Int] = [:]
        var keys: [Int] = []
        data.withUnsafeBytes { bytes in
            for index in 0..<min(requests, bytes.count / 4) {
                let word = bytes.loadUnaligned(fromByteOffset: 4 * index, as: UInt32.self).bigEndian
                let number = numbers[word] ?? numbers.count
                numbers[word] = number
                keys.append(number)
            }
        }
        self.keys = keys
        distinct = numbers.count
    }

    /// The row of the reference table for a trace and a capacity: percent by policy.
    static func row(_ trace: String, _ capacity: Int) throws -> [String: Double] {
        let rows = try Facts.table("hit-ratios")
        let row = try #require(rows.first { $0["trace"] == trace && $0["capacity"] == String(capacity) })
        return row.compactMapValues(Double.init)
    }
}
