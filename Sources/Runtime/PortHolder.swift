import Glibc

/// Which process listens on a port of this machine, as far as /proc tells: other users' processes show no descriptors.
public enum PortHolder {
    /// `process 4711 (redis-server)`; nil when it is not found.
    public static func description(ofTCP port: UInt16) -> String? {
        var sockets: Set<String> = []
        for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
            sockets.formUnion(listening(on: port, in: (try? Files.readText(table)) ?? ""))
        }
        guard !sockets.isEmpty, let processes = try? Files.list("/proc") else { return nil }
        for process in processes where Int(process) != nil {
            let folder = "/proc/\(process)/fd"
            for descriptor in (try? Files.list(folder)) ?? [] {
                guard let target = try? Files.linkTarget(folder + "/" + descriptor), sockets.contains(target) else {
                    continue
                }
                let name = (try? Files.readText("/proc/\(process)/comm"))?.trimmingTrailingNewlines
                return "process \(process)" + (name.map { " (\($0))" } ?? "")
            }
        }
        return nil
    }

    /// Sockets in state LISTEN, as the links of descriptors name them. Lines are `sl local remote state … inode`.
    static func listening(on port: UInt16, in table: String) -> [String] {
        table.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ")
            guard fields.count > 9, fields[3] == "0A",
                let local = fields[1].split(separator: ":").last, UInt16(local, radix: 16) == port
            else { return nil }
            return "socket:[\(fields[9])]"
        }
    }
}
