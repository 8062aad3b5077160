import Databases
import Metrics

/// What is known of one key, and the commands that find it out.
struct KeyFacts {
    let key: DatabaseKey
    let labels: Labels
    let isMissing: Bool
    private let type: String
    private(set) var memory: Double?
    var size: Double?
    private(set) var value: Double?
    /// The labels of a value that is no number.
    private(set) var text: Labels?
    private(set) var isHyperLogLog = false

    /// Longer values are told as a size only: a label is no place for a document.
    private static let valueLimitBytes = 1024
    /// What begins every HyperLogLog: <https://github.com/redis/redis/blob/7.0/src/hyperloglog.c>.
    private static let hyperLogLogMagic = Array("HYLL".utf8)
    private static let sizeCommands = [
        "list": "LLEN", "set": "SCARD", "zset": "ZCARD", "hash": "HLEN", "stream": "XLEN",
    ]

    static func type(_ key: [UInt8]) -> RedisCommand { RedisCommand([Array("TYPE".utf8), key], name: "TYPE") }

    static func memory(_ key: [UInt8]) -> RedisCommand {
        RedisCommand(["MEMORY", "USAGE"].map { Array($0.utf8) } + [key], name: "MEMORY USAGE")
    }

    init(_ key: DatabaseKey, _ labels: Labels, type: RedisReply, memory: RedisReply) {
        self.key = key
        self.labels = labels
        self.type = type.text ?? ""
        isMissing = self.type == "none"
        self.memory = memory.integer.map(Double.init)
    }

    /// What is asked once the type is known. A string is asked for its beginning, not for all of it, and a HyperLogLog is told
    /// by how it begins: `PFCOUNT` on anything else would count as an error in the server's own statistics.
    var details: [RedisCommand] {
        if type == "string" {
            let last = "\(Self.valueLimitBytes)"
            return [
                RedisCommand([Array("STRLEN".utf8), key.key], name: "STRLEN"),
                RedisCommand(
                    [Array("GETRANGE".utf8), key.key, Array("0".utf8), Array(last.utf8)], name: "GETRANGE"),
            ]
        }
        guard let command = Self.sizeCommands[type] else { return [] }
        return [RedisCommand([Array(command.utf8), key.key], name: command)]
    }

    /// - Parameter replies: to `details`.
    mutating func take(_ replies: [RedisReply], tellsValues: Bool) {
        size = replies.first?.integer.map(Double.init)
        guard replies.count > 1, let bytes = replies[1].bytes, !bytes.isEmpty else { return }
        isHyperLogLog = bytes.starts(with: Self.hyperLogLogMagic) && bytes.count >= 16
        guard tellsValues, !isHyperLogLog, bytes.count <= Self.valueLimitBytes else { return }
        let content = String(decoding: bytes, as: UTF8.self)
        if let number = Self.number(content) {
            value = number
        } else {
            text = labels.adding([Label("val", content)])
        }
    }

    /// Numbers as Go reads them: `0x10` is none.
    private static func number(_ text: String) -> Double? {
        text.utf8.contains(UInt8(ascii: "x")) || text.utf8.contains(UInt8(ascii: "X")) ? nil : Double(text)
    }
}
