import Glibc
import Runtime
import Synchronization

/// Listening sockets that a service manager opened and passed on, so that no client is refused while the process restarts
/// (sd_listen_fds(3)). Whoever listens takes the one that is bound to its address instead of opening another; what nobody
/// takes stays open and is named in the log.
public final class PassedSockets: Sendable {
    /// Those of this process. Read from the environment once, as the processes that this one starts must not see them.
    public static let shared = PassedSockets(
        environment: Environment.current, processID: getpid(), firstDescriptor: 3)

    private struct Passed {
        let descriptor: Int32
        let name: String
        let place: Place
    }

    private enum Place: Equatable {
        case internet(host: String, port: UInt16)
        case unix(path: String)
    }

    private let passed: Mutex<[Passed]>

    /// - Parameter firstDescriptor: the passed ones follow one another from here on.
    init(environment: [String: String], processID: Int32, firstDescriptor: Int32) {
        guard environment["LISTEN_PID"] == String(processID),
            let count = environment["LISTEN_FDS"].flatMap({ Int32($0) }), (1...1024).contains(count)
        else {
            passed = Mutex([])
            return
        }
        let names = (environment["LISTEN_FDNAMES"] ?? "").split(separator: ":", omittingEmptySubsequences: false)
        var found: [Passed] = []
        for index in 0..<count {
            let descriptor = firstDescriptor + index
            guard let place = Self.place(of: descriptor) else {
                Log.warn("a passed descriptor is no listening stream socket", ["descriptor": "\(descriptor)"])
                continue
            }
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
            _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
            let name = Int(index) < names.count ? String(names[Int(index)]) : "unknown"
            found.append(Passed(descriptor: descriptor, name: name, place: place))
        }
        passed = Mutex(found)
    }

    /// The passed socket that listens at an address, which belongs to the caller from here on.
    func take(_ address: ListenAddress) -> Int32? {
        take { place in
            guard case .internet(let host, let port) = place, port == address.port else { return false }
            let isEverywhere = host == "::" || host == "0.0.0.0"
            return address.host.isEmpty ? isEverywhere : host == address.host || host == Self.digits[address.host]
        }
    }

    func take(unixPath: String) -> Int32? { take { $0 == .unix(path: unixPath) } }

    /// Names of those that nobody has taken.
    public var left: [String] { passed.withLock { $0.map(\.name) } }

    private static let digits = ["localhost": "127.0.0.1"]

    private func take(where isMeant: (Place) -> Bool) -> Int32? {
        passed.withLock { passed in
            guard let index = passed.firstIndex(where: { isMeant($0.place) }) else { return nil }
            return passed.remove(at: index).descriptor
        }
    }

    private static func place(of descriptor: Int32) -> Place? {
        var isListening: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        guard getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &isListening, &size) == 0, isListening == 1 else {
            return nil
        }
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return withUnsafeMutablePointer(to: &storage) { storage in
            storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                guard getsockname(descriptor, address, &length) == 0 else { return nil }
                guard Int32(address.pointee.sa_family) == AF_UNIX else {
                    guard case .internet(let host, let port, _)? = StreamPeer(address) else { return nil }
                    return .internet(host: host, port: port)
                }
                return address.withMemoryRebound(to: sockaddr_un.self, capacity: 1) { address in
                    let bytes = withUnsafeBytes(of: address.pointee.sun_path) { Array($0.prefix { $0 != 0 }) }
                    return .unix(path: String(decoding: bytes, as: UTF8.self))
                }
            }
        }
    }
}
