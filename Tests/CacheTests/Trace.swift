import Foundation
import Runtime

/// A recorded load: keys by dense number, in the order in which they were asked for.
struct Trace: Sendable {
    let keys: [Int]
    let distinct: Int

    /// A trace of ../shared, or nil when it or `xz` is not there.
    static func load(_ name: String, requests: Int = .max) async throws -> Trace? {
        let packed = "../shared/data/traces/caffeine_\(name).trace.xz"
        guard Files.exists(packed), Files.exists("/usr/bin/xz") else {
            print("skipped: \(packed) or xz is not here")
            return nil
        }
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
    static func row(_ trace: String, _ capacity: Int) throws -> [String: Double]? {
        let path = "../shared/data/traces/hit_ratios.md"
        guard Files.exists(path) else { return nil }
        let lines = try Files.readText(path).split(separator: "\n")
        let head = cells(lines[0])
        var current = ""
        for line in lines.dropFirst(2) {
            let cells = cells(line)
            guard cells.count == head.count else { continue }
            if !cells[0].isEmpty { current = String(cells[0].prefix { $0 != " " }) }
            guard current == trace, cells[1] == String(capacity) else { continue }
            return Dictionary(uniqueKeysWithValues: zip(head, cells).dropFirst(2).map { ($0, Double($1) ?? -1) })
        }
        return nil
    }

    private static func cells(_ line: Substring) -> [String] {
        line.split(separator: "|").map { $0.trimmingCharacters(in: CharacterSet(charactersIn: " *")) }
    }
}
