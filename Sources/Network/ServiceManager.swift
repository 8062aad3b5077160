import CLinux
import Glibc
import Runtime

/// The service manager that started this process, where one did and wants to be told how it is (`Type=notify`). What is said
/// is one datagram each to `$NOTIFY_SOCKET`; see sd_notify(3). There is no library behind it.
///
/// A message that cannot be sent is dropped: the manager notices what is missing, and nobody waits for it.
public struct ServiceManager: Sendable {
    private let socketPath: String
    /// How often the manager wants to hear `isAlive`; nil where it does not watch. Half of what it waits for.
    public let watchInterval: Duration?

    /// Nil without a manager that wants to be told.
    public init?(environment: [String: String]) {
        guard let path = environment["NOTIFY_SOCKET"], path.hasPrefix("/") || path.hasPrefix("@"),
            path.utf8.count <= 107
        else { return nil }
        socketPath = path
        let isMeant = environment["WATCHDOG_PID"].map { $0 == String(getpid()) } ?? true
        let microseconds = environment["WATCHDOG_USEC"].flatMap { Int64($0) } ?? 0
        watchInterval = isMeant && microseconds > 0 ? .microseconds(microseconds / 2) : nil
    }

    /// Everything is served.
    public func isReady() { tell("READY=1") }

    /// A configuration is being read; `isReady` says when that is over.
    public func isReloading() { tell("RELOADING=1\nMONOTONIC_USEC=\(MonotonicClock.nowNs / 1000)") }

    public func isStopping() { tell("STOPPING=1") }

    /// To be said within every `watchInterval`; else the manager ends the process and starts it anew.
    public func isAlive() { tell("WATCHDOG=1") }

    /// One line for people, as `systemctl status` shows it.
    public func says(_ status: String) {
        tell("STATUS=" + String(status.map { $0.isNewline ? " " : $0 }))
    }

    private func tell(_ message: String) {
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(O_CLOEXEC | O_NONBLOCK), 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let path = Array(socketPath.utf8)
        withUnsafeMutableBytes(of: &address.sun_path) { place in
            place.copyBytes(from: path)
            // An at sign stands for the zero byte of a name that is in no file system.
            if path[0] == UInt8(ascii: "@") { place[0] = 0 }
        }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + path.count)
        let bytes = Array(message.utf8)
        withUnsafePointer(to: &address) { address in
            address.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                _ = sendto(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL), address, length)
            }
        }
    }
}
