/// Commands as they go over the wire, one behind the other, so that a batch is one piece of memory. Keys are named as
/// `redis-benchmark` names them.
struct RedisDeck {
    let bytes: [UInt8]
    /// Where each command begins, and where the last one ends.
    let offsets: [Int]

    var count: Int { offsets.count - 1 }

    private init(_ commands: [[String]]) {
        var bytes: [UInt8] = []
        var offsets = [0]
        for words in commands {
            bytes += "*\(words.count)\r\n".utf8
            for word in words { bytes += "$\(word.utf8.count)\r\n\(word)\r\n".utf8 }
            offsets.append(bytes.count)
        }
        self.bytes = bytes
        self.offsets = offsets
    }

    /// A SET of every key of the keyspace.
    static func fill(keys: Int) -> RedisDeck { RedisDeck((0..<keys).map(set)) }

    /// A GET of every key of the keyspace.
    static func scan(keys: Int) -> RedisDeck { RedisDeck((0..<keys).map(get)) }

    /// Uniformly random keys.
    ///
    /// - Parameter writes: share of the commands that are SETs; the others are GETs.
    static func random(keys: Int, writes: Double) -> RedisDeck {
        var dice = SystemRandomNumberGenerator()
        return RedisDeck(
            (0..<1 << 16).map { _ in
                let key = Int.random(in: 0..<keys, using: &dice)
                return Double.random(in: 0..<1, using: &dice) < writes ? set(key) : get(key)
            })
    }

    static let valueBytes = 64

    private static func get(_ key: Int) -> [String] { ["GET", name(key)] }

    private static func set(_ key: Int) -> [String] {
        ["SET", name(key), String(repeating: "v", count: valueBytes)]
    }

    private static func name(_ key: Int) -> String {
        let digits = String(key)
        return "key:" + String(repeating: "0", count: 12 - digits.count) + digits
    }
}
