/// Which lines of the log were written within the last second: the same line again is held back, and counted.
struct LogRepetitions {
    private struct Writing {
        var atNs: Int
        var heldBack = 0
    }

    /// By the line without its time. Bounded: what finds no place is written.
    private var latest: [[UInt8]: Writing] = [:]
    private var sweptNs = Int.min / 2
    /// Lines held back ever.
    private(set) var heldBack = 0

    private static let pauseNs = 1_000_000_000
    private static let mostLines = 512

    /// - Returns: what is to be written now: the line, unless it is held back, and others whose second is over and that
    ///   were held back meanwhile.
    mutating func lines(for line: [UInt8], nowNs: Int) -> [[UInt8]] {
        var lines = sweep(nowNs: nowNs, but: line)
        if let known = latest[line], nowNs - known.atNs < Self.pauseNs {
            latest[line]?.heldBack += 1
            heldBack += 1
            return lines
        }
        let before = latest.removeValue(forKey: line)
        if latest.count < Self.mostLines { latest[line] = Writing(atNs: nowNs) }
        lines.append(Self.line(line, heldBack: before?.heldBack ?? 0))
        return lines
    }

    /// Those that were held back and were not written since.
    mutating func overdue() -> [[UInt8]] {
        defer { latest = [:] }
        return latest.filter { $0.value.heldBack > 0 }.map { Self.line($0.key, heldBack: $0.value.heldBack) }
    }

    private mutating func sweep(nowNs: Int, but own: [UInt8]) -> [[UInt8]] {
        guard nowNs - sweptNs >= Self.pauseNs else { return [] }
        sweptNs = nowNs
        var told: [[UInt8]] = []
        for (line, writing) in latest where line != own && nowNs - writing.atNs >= Self.pauseNs {
            if writing.heldBack > 0 { told.append(Self.line(line, heldBack: writing.heldBack)) }
            latest[line] = nil
        }
        return told
    }

    private static func line(_ line: [UInt8], heldBack: Int) -> [UInt8] {
        heldBack == 0 ? line : line + Array(" repeated=\(heldBack)".utf8)
    }
}
