import Runtime

/// One command on its way through the in-memory Redis: what was asked, and the reply as far as it has come.
struct MemoryCall {
    /// With the names in front.
    let words: [[UInt8]]
    /// Milliseconds since 1970.
    let nowMs: Int
    let version: RESPVersion
    /// The database of the client's connection, which `SELECT` changes.
    var database: Int
    var reply: [UInt8] = []

    var key: [UInt8] { words[1] }

    /// Whether a word is this lower-case one, in letters of either case.
    func isWord(_ index: Int, _ word: String) -> Bool { words[index].isWord(word) }

    mutating func answer(status: String) { reply.append(status: status) }
    mutating func answer(_ value: Int) { reply.append(integer: value) }
    mutating func answer(_ condition: Bool) { reply.append(integer: condition ? 1 : 0) }
    mutating func answer(bulk bytes: [UInt8]) { reply.append(bulk: bytes.span) }
    mutating func answer(_ fault: MemoryFault) { reply.append(error: fault.text) }
    mutating func answerNull() { reply.append(nullIn: version) }

    mutating func answer(bulkOrNull bytes: [UInt8]?) {
        if let bytes { answer(bulk: bytes) } else { answerNull() }
    }

    /// A word as a whole number.
    func integer(at index: Int) throws(MemoryFault) -> Int {
        guard let value = words[index].strictInteger() else { throw .notInteger }
        return value
    }
}

/// Errors in Redis' words.
enum MemoryFault: Error {
    case syntax, wrongType, notInteger, notFloat, overflow, noSuchKey, invalidCursor, sameObject, noSuchDatabase
    case notFinite, tooLong, outOfMemory
    /// Of the command with this name.
    case invalidExpiry(String)
    case arity(String)
    case other(String)

    var text: String {
        switch self {
        case .syntax: "ERR syntax error"
        case .wrongType: "WRONGTYPE Operation against a key holding the wrong kind of value"
        case .notInteger: "ERR value is not an integer or out of range"
        case .notFloat: "ERR value is not a valid float"
        case .overflow: "ERR increment or decrement would overflow"
        case .noSuchKey: "ERR no such key"
        case .invalidCursor: "ERR invalid cursor"
        case .sameObject: "ERR source and destination objects are the same"
        case .noSuchDatabase: "ERR DB index is out of range"
        case .notFinite: "ERR increment would produce NaN or Infinity"
        case .tooLong: "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
        case .outOfMemory: "OOM command not allowed when used memory > 'maxmemory'."
        case .invalidExpiry(let name): "ERR invalid expire time in '\(name)' command"
        case .arity(let name): "ERR wrong number of arguments for '\(name)' command"
        case .other(let text): "ERR " + text
        }
    }
}
