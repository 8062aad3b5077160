import Runtime

/// What a command about the client's own connection asks for. The connections to Redis are shared, so the proxy keeps that
/// state itself, where it can.
enum SessionCommand {
    /// Speak for another identity if Redis agrees to the question, which does not change a connection that does already.
    case become(Identity, question: [UInt8], name: [UInt8]?)
    case setName([UInt8])
    case tellName
    case refuse(String)
    case quit
    case reset
    /// It tells or changes what only a connection of the client's own has.
    case ofTheConnection

    private static let table = CommandTable.shared
    private static let client = table.find("client".utf8.span, in: nil)?.id

    /// - Parameters:
    ///   - words: ranges of `bytes`, which is the whole command.
    ///   - identity: for which the client speaks now.
    init(_ command: Command, _ words: [Range<Int>], in bytes: Span<UInt8>, _ identity: Identity) {
        guard command.takes(words: words.count) else {
            let name = Self.table.fullName(of: command)
            self = .refuse("ERR wrong number of arguments for '\(name)' command")
            return
        }
        if command.container == Self.client {
            self.init(ofClient: command, words, bytes)
            return
        }
        switch "\(command.name)" {
        case "select": self.init(select: words, bytes, identity)
        case "auth": self.init(auth: words, bytes, identity)
        case "hello": self.init(hello: words, bytes, identity)
        case "quit": self = .quit
        case "reset": self = .reset
        default: self = .ofTheConnection
        }
    }

    private init(ofClient command: Command, _ words: [Range<Int>], _ bytes: Span<UInt8>) {
        switch "\(command.name)" {
        case "getname": self = .tellName
        case "setname":
            self = Self.isName(bytes.extracting(words[2])) ? .setName(bytes.copy(words[2])) : .refuse(Self.badName)
        default: self = .ofTheConnection
        }
    }

    private static let badName = "ERR Client names cannot contain spaces, newlines or special characters."

    /// Redis takes what can be seen in a list of clients.
    private static func isName(_ name: Span<UInt8>) -> Bool {
        for index in 0..<name.count where name[index] < UInt8(ascii: "!") || name[index] > UInt8(ascii: "~") {
            return false
        }
        return true
    }

    private init(select words: [Range<Int>], _ bytes: Span<UInt8>, _ identity: Identity) {
        guard let database = bytes.strictInteger(in: words[1]), database >= 0, database < 1 << 20 else {
            self = .refuse(
                bytes.strictInteger(in: words[1]) == nil
                    ? "ERR value is not an integer or out of range" : "ERR DB index is out of range")
            return
        }
        var other = identity
        other.database = database
        self = .become(other, question: bytes.copy(0..<bytes.count), name: nil)
    }

    private init(auth words: [Range<Int>], _ bytes: Span<UInt8>, _ identity: Identity) {
        guard words.count <= 3 else {
            self = .refuse("ERR syntax error")
            return
        }
        var other = identity
        other.credentials = Credentials(
            user: words.count == 3 ? bytes.copy(words[1]) : nil, password: bytes.copy(words[words.count - 1]))
        self = .become(other, question: bytes.copy(0..<bytes.count), name: nil)
    }

    /// `HELLO [version [AUTH user password] [SETNAME name]]`: the name stays here, the rest is for Redis to answer.
    private init(hello words: [Range<Int>], _ bytes: Span<UInt8>, _ identity: Identity) {
        var other = identity
        var name: [UInt8]?
        var question: [[UInt8]] = [Array("HELLO".utf8)]
        if words.count > 1 {
            guard let number = bytes.strictInteger(in: words[1]) else {
                self = .refuse("ERR Protocol version is not an integer or out of range")
                return
            }
            guard let version = RESPVersion(rawValue: number) else {
                self = .refuse("NOPROTO unsupported protocol version")
                return
            }
            other.version = version
            question.append(bytes.copy(words[1]))
        }
        var place = 2
        while place < words.count {
            if bytes.isWord("auth", words[place]), place + 2 < words.count {
                other.credentials = Credentials(
                    user: bytes.copy(words[place + 1]), password: bytes.copy(words[place + 2]))
                question += [Array("AUTH".utf8), bytes.copy(words[place + 1]), bytes.copy(words[place + 2])]
                place += 3
            } else if bytes.isWord("setname", words[place]), place + 1 < words.count {
                guard Self.isName(bytes.extracting(words[place + 1])) else {
                    self = .refuse(Self.badName)
                    return
                }
                name = bytes.copy(words[place + 1])
                place += 2
            } else {
                let option = String(decoding: bytes.copy(words[place]), as: UTF8.self)
                self = .refuse("ERR Syntax error in HELLO option '\(option)'")
                return
            }
        }
        var text: [UInt8] = []
        text.append(arrayOf: question.count)
        for word in question { text.append(bulk: word.span) }
        self = .become(other, question: text, name: name)
    }
}
