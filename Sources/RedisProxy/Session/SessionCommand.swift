import Runtime

/// What a command about the client's own connection asks for. The connections to Redis are shared, so the proxy keeps that
/// state itself, where it can.
enum SessionCommand {
    /// Speak for another identity if Redis agrees to the question, which does not change a connection that does already.
    case become(Identity, question: [UInt8])
    case authenticate(AuthRequest)
    case greet(HelloRequest)
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
        case "auth":
            self.init(words.map { bytes.copy($0) }) { words throws(HelloRequest.Fault) in
                .authenticate(try AuthRequest(words))
            }
        case "hello":
            self.init(words.map { bytes.copy($0) }) { words throws(HelloRequest.Fault) in
                .greet(try HelloRequest(words))
            }
        case "quit": self = .quit
        case "reset": self = .reset
        default: self = .ofTheConnection
        }
    }

    private init(ofClient command: Command, _ words: [Range<Int>], _ bytes: Span<UInt8>) {
        switch "\(command.name)" {
        case "getname": self = .tellName
        case "setname":
            let name = bytes.copy(words[2])
            self = HelloRequest.isName(name) ? .setName(name) : .refuse(HelloRequest.badName)
        default: self = .ofTheConnection
        }
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
        self = .become(other, question: bytes.copy(0..<bytes.count))
    }

    private init(_ words: [[UInt8]], _ read: ([[UInt8]]) throws(HelloRequest.Fault) -> SessionCommand) {
        do throws(HelloRequest.Fault) { self = try read(words) } catch { self = .refuse(error.reply) }
    }
}
