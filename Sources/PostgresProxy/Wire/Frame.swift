import Runtime

/// The head of a message after the start-up: a letter, and a length that counts itself and what follows it.
struct Frame {
    let type: UInt8
    /// Of the whole message, the letter included.
    let size: Int

    static let headBytes = 5
    /// No message of Postgres is longer.
    static let mostBytes = 0x4000_0000

    /// Reads the five bytes at `place`, which must be there. Nil for a length that no message has.
    init?(_ bytes: Span<UInt8>, at place: Int) {
        type = bytes[place]
        let length = bytes.int32(at: place + 1)
        guard length >= 4, length <= Frame.mostBytes else { return nil }
        size = length + 1
    }
}

extension Span where Element == UInt8 {
    /// Four bytes, the highest first, with a sign. They must be there.
    func int32(at place: Int) -> Int {
        let word =
            UInt32(self[place]) << 24 | UInt32(self[place + 1]) << 16 | UInt32(self[place + 2]) << 8
            | UInt32(self[place + 3])
        return Int(Int32(bitPattern: word))
    }

    func int16(at place: Int) -> Int { Int(self[place]) << 8 | Int(self[place + 1]) }

    /// Where the text that begins at `place` has its zero byte; nil when there is none before `end`.
    func zero(from place: Int, before end: Int) -> Int? {
        guard place < end else { return nil }
        let found = firstPlace(of: 0, in: place..<end)
        return found < end ? found : nil
    }

    func array(_ range: Range<Int>) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(bytes: extracting(range))
        return bytes
    }

    func text(_ range: Range<Int>) -> String { String(decoding: array(range), as: UTF8.self) }
}

/// Letters of what clients send.
enum FromClient {
    static let query = UInt8(ascii: "Q")
    static let parse = UInt8(ascii: "P")
    static let bind = UInt8(ascii: "B")
    static let describe = UInt8(ascii: "D")
    static let execute = UInt8(ascii: "E")
    static let close = UInt8(ascii: "C")
    static let sync = UInt8(ascii: "S")
    static let flush = UInt8(ascii: "H")
    static let functionCall = UInt8(ascii: "F")
    static let copyData = UInt8(ascii: "d")
    static let copyDone = UInt8(ascii: "c")
    static let copyFail = UInt8(ascii: "f")
    static let password = UInt8(ascii: "p")
    static let terminate = UInt8(ascii: "X")
}

/// Letters of what servers send.
enum FromServer {
    static let authentication = UInt8(ascii: "R")
    static let parameterStatus = UInt8(ascii: "S")
    static let backendKey = UInt8(ascii: "K")
    static let readyForQuery = UInt8(ascii: "Z")
    static let error = UInt8(ascii: "E")
    static let notice = UInt8(ascii: "N")
    static let notification = UInt8(ascii: "A")
    static let negotiate = UInt8(ascii: "v")
    static let rowDescription = UInt8(ascii: "T")
    static let dataRow = UInt8(ascii: "D")
    static let commandComplete = UInt8(ascii: "C")
    static let emptyQuery = UInt8(ascii: "I")
    static let portalSuspended = UInt8(ascii: "s")
    static let parseComplete = UInt8(ascii: "1")
    static let bindComplete = UInt8(ascii: "2")
    static let closeComplete = UInt8(ascii: "3")
    static let noData = UInt8(ascii: "n")
    static let parameters = UInt8(ascii: "t")
    static let copyIn = UInt8(ascii: "G")
    static let copyOut = UInt8(ascii: "H")
    static let copyBoth = UInt8(ascii: "W")
    static let functionResult = UInt8(ascii: "V")
}

/// How a session of Postgres stands between statements, as ReadyForQuery says.
enum TransactionStatus: UInt8 {
    case idle = 0x49
    case open = 0x54
    case failed = 0x45
}
