import Metrics

/// Where the fields stand that say which instance this is; they become the labels of `redis_instance_info`.
struct InstanceIdentity {
    private static let names: [[UInt8]] = [
        "role", "redis_version", "redis_build_id", "redis_mode", "server_mode", "os", "maxmemory_policy", "tcp_port",
        "run_id", "process_id", "master_replid", "valkey_version", "valkey_release_stage", "availability_zone",
        "master_host", "master_port", "slave_read_only", "cluster_enabled",
    ].map { Array($0.utf8) }

    /// A place for each of the names, empty until the field was seen.
    private var values: [Range<Int>?] = Array(repeating: nil, count: names.count)

    mutating func note(_ text: Span<UInt8>, _ name: Range<Int>, _ value: Range<Int>) {
        for (index, known) in Self.names.enumerated() where text.equals(name, known) { values[index] = value }
    }

    func isReplica(_ text: Span<UInt8>) -> Bool { values[0].map { text.equals($0, Word.slave) } ?? false }

    func isClustered(_ text: Span<UInt8>) -> Bool {
        values[17].map { text.equals($0, [UInt8(ascii: "1")]) } ?? false
    }

    /// Everything that the labels are made of, to see whether they are still the same.
    func joined(_ text: Span<UInt8>) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(256)
        for value in values[..<14] {
            for index in value ?? 0..<0 { bytes.append(text[index]) }
            bytes.append(0)
        }
        return bytes
    }

    /// - Parameter former: only those that redis_exporter 1.45 had, all before `master_replid`.
    func labels(_ text: Span<UInt8>, former: Bool) -> [Label] {
        var labels: [Label] = []
        for (index, value) in values[..<(former ? 10 : 14)].enumerated() {
            guard let value else { continue }
            // Valkey may be told to call the mode by its own name.
            let name = index == 4 ? "redis_mode" : String(decoding: Self.names[index], as: UTF8.self)
            labels.append(Label(name, text.string(value)))
        }
        return labels
    }

    /// The labels of `redis_slave_info`.
    func replicaLabels(_ text: Span<UInt8>) -> [Label] {
        zip(["master_host", "master_port", "read_only"], values[14...16]).compactMap { name, value in
            value.map { Label(name, text.string($0)) }
        }
    }
}

/// A line of `# Replication` that a replica tells about its master.
enum MasterProperty {
    case host, port, linkStatus, lastIO, syncInProgress, offset

    private static let names: [(text: [UInt8], property: MasterProperty)] = [(String, MasterProperty)]([
        ("host", .host), ("port", .port), ("link_status", .linkStatus), ("last_io_seconds_ago", .lastIO),
        ("sync_in_progress", .syncInProgress),
    ]).map { (Array($0.0.utf8), $0.1) }

    private static let ownOffset = Array("slave_repl_offset".utf8)

    /// Reads `master_link_status`, `master_1_link_status` and the like.
    init?(_ text: Span<UInt8>, _ name: Range<Int>) {
        if text.equals(name, Self.ownOffset) {
            self = .offset
            return
        }
        guard text.hasPrefix(name, Word.master) else { return nil }
        var start = name.lowerBound + Word.master.count
        guard start < name.upperBound, text[start] == UInt8(ascii: "_") else { return nil }
        start += 1
        var digits = start
        while digits < name.upperBound, text[digits] >= UInt8(ascii: "0"), text[digits] <= UInt8(ascii: "9") {
            digits += 1
        }
        if digits > start, digits < name.upperBound, text[digits] == UInt8(ascii: "_") { start = digits + 1 }
        for (known, property) in Self.names where text.equals(start..<name.upperBound, known) {
            self = property
            return
        }
        return nil
    }
}

/// The master that the lines before spoke of.
struct MasterLabels {
    var host: Range<Int>?
    var labels: Labels?

    /// - Parameter place: host, line break, name of the port's field, colon, port.
    static func labels(_ place: [UInt8], _ base: Labels) -> Labels {
        let host = place.prefix { $0 != UInt8(ascii: "\r") && $0 != UInt8(ascii: "\n") }
        let port = place.suffix(from: (place.lastIndex(of: UInt8(ascii: ":")) ?? -1) + 1)
        return base.adding([
            Label("master_host", String(decoding: host, as: UTF8.self)),
            Label("master_port", String(decoding: port, as: UTF8.self)),
        ])
    }
}

/// A master that a sentinel watches.
struct SentinelWatch {
    let labels: Labels
    let statusLabels: Labels
    let isOk: Bool

    /// - Parameter place: `name=main,status=ok,address=192.0.2.1:6379`.
    init(_ place: [UInt8], _ base: Labels) {
        let text = place.span
        var pairs = Pairs(0..<place.count)
        var name = ""
        var status = ""
        var address = ""
        while let (key, value) = pairs.next(text) {
            if text.equals(key, Word.name) { name = text.string(value) }
            if text.equals(key, Word.status) { status = text.string(value) }
            if text.equals(key, Word.address) { address = text.string(value) }
        }
        labels = base.adding([Label("master_name", name), Label("master_address", address)])
        statusLabels = labels.adding([Label("master_status", status)])
        isOk = status == "ok"
    }
}

/// Fields that begin with `cluster_` become metrics whatever they are called, as in redis_exporter.
struct ClusterMetrics {
    /// Redis 7 has about 30 such fields; a server that makes up more pays with a metric made anew every time.
    private static let limit = 128
    private var known: [(name: [UInt8], metric: Metric)] = []

    mutating func metric(_ text: Span<UInt8>, _ name: Range<Int>) -> Metric {
        for entry in known where text.equals(name, entry.name) { return entry.metric }
        let bytes = text.bytes(name)
        let metric = RedisMetrics.plain(Self.sanitized(bytes), .gauge)
        if known.count < Self.limit { known.append((bytes, metric)) }
        return metric
    }

    private static func sanitized(_ name: [UInt8]) -> String {
        let plain = name.map { byte in
            let isLetter = byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "z")
            let isDigit = byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")
            return isLetter || isDigit ? byte : UInt8(ascii: "_")
        }
        return String(decoding: plain, as: UTF8.self)
    }
}
