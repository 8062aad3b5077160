import Glibc
import Synchronization

/// Lines of logfmt on stderr: `ts=… level=… msg="…" key=value`.
///
/// Lines of several threads never mix, and no call waits: what stderr does not take at once is kept, 256 KiB of it, and
/// written when it does; lines beyond that are dropped and counted. The same line is written at most once a second, and
/// says afterwards how often it was held back. Callers keep passwords out of what they pass; `Redaction` helps with
/// connection strings.
public enum Log {
    public enum Level: Int, Sendable, Comparable, CaseIterable {
        case debug, info, warn, error

        public var name: String {
            switch self {
            case .debug: "debug"
            case .info: "info"
            case .warn: "warn"
            case .error: "error"
            }
        }

        public static func < (left: Level, right: Level) -> Bool { left.rawValue < right.rawValue }
    }

    private static let threshold = Atomic<Int>(Level.info.rawValue)

    /// Lines below this level are not written.
    public static func setLevel(_ level: Level) { threshold.store(level.rawValue, ordering: .relaxed) }

    public static func debug(_ message: @autoclosure () -> String, _ fields: KeyValuePairs<String, String> = [:]) {
        write(.debug, message, fields)
    }
    public static func info(_ message: @autoclosure () -> String, _ fields: KeyValuePairs<String, String> = [:]) {
        write(.info, message, fields)
    }
    public static func warn(_ message: @autoclosure () -> String, _ fields: KeyValuePairs<String, String> = [:]) {
        write(.warn, message, fields)
    }
    public static func error(_ message: @autoclosure () -> String, _ fields: KeyValuePairs<String, String> = [:]) {
        write(.error, message, fields)
    }

    /// A line in a form of its own, such as JSON, whatever the level is.
    public static func write(line: String) {
        let bytes = Array((line + "\n").utf8)
        // There is nowhere left to report that stderr is gone.
        _ = bytes.withUnsafeBytes { Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }

    private static func write(_ level: Level, _ message: () -> String, _ fields: KeyValuePairs<String, String>) {
        guard level.rawValue >= threshold.load(ordering: .relaxed) else { return }
        var text: [UInt8] = []
        text.append(contentsOf: "level=\(level.name) msg=".utf8)
        text.append(logfmt: message())
        for (key, value) in fields {
            text.append(contentsOf: " \(key)=".utf8)
            text.append(logfmt: value)
        }
        for line in repetitions.withLock({ $0.lines(for: text, nowNs: MonotonicClock.nowNs) }) {
            LogOutlet.standardError.write(Array("ts=\(timestamp()) ".utf8) + line + [UInt8(ascii: "\n")])
        }
    }

    private static let repetitions = Mutex(LogRepetitions())

    /// Lines that were dropped because stderr took none.
    public static var dropped: Int { LogOutlet.standardError.dropped }

    /// Lines that were held back because they had been written within the second.
    public static var repeated: Int { repetitions.withLock { $0.heldBack } }

    /// Waits until what is kept is written, at most so long: before the process ends.
    public static func flush(within patience: Duration) {
        for line in repetitions.withLock({ $0.overdue() }) {
            LogOutlet.standardError.write(Array("ts=\(timestamp()) ".utf8) + line + [UInt8(ascii: "\n")])
        }
        LogOutlet.standardError.flush(by: .after(patience))
    }

    private static func timestamp() -> String {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return RFC3339.text(seconds: Int64(now.tv_sec), nanoseconds: Int(now.tv_nsec), fractionDigits: 3)
    }
}

extension Array where Element == UInt8 {
    /// A value as logfmt writes it: quoted when it is empty or holds anything but plain visible ASCII.
    fileprivate mutating func append(logfmt value: String) {
        let plain = value.utf8.allSatisfy {
            $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "=")
        }
        guard !plain || value.isEmpty else {
            append(contentsOf: value.utf8)
            return
        }
        append(UInt8(ascii: "\""))
        for byte in value.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): append(contentsOf: [UInt8(ascii: "\\"), byte])
            case UInt8(ascii: "\n"): append(contentsOf: "\\n".utf8)
            case UInt8(ascii: "\t"): append(contentsOf: "\\t".utf8)
            case 0..<0x20, 0x7F: append(contentsOf: "\\x".utf8 + Self.hex(byte))
            default: append(byte)
            }
        }
        append(UInt8(ascii: "\""))
    }

    private static func hex(_ byte: UInt8) -> [UInt8] {
        let digits = [UInt8]("0123456789abcdef".utf8)
        return [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
    }
}
