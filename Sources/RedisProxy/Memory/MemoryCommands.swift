/// A command that the in-memory Redis has, by its full name.
struct MemoryCommand: Sendable {
    typealias Handler = @Sendable (inout MemoryStore, inout MemoryCall) throws(MemoryFault) -> Void

    let name: String
    let handler: Handler

    init(_ name: String, _ handler: @escaping Handler) {
        self.name = name
        self.handler = handler
    }
}

/// The commands of the in-memory Redis: one row each.
enum MemoryCommands {
    typealias Handler = MemoryCommand.Handler

    static let all = strings + hashes + keyspace + server

    /// The handler, if the command exists and has the right number of words.
    static func handler(for call: MemoryCall) throws(MemoryFault) -> (Command, Handler) {
        let table = CommandTable.shared
        let name = call.words[0]
        guard let command = table.find(name.span, in: nil) else { throw unknown(call) }
        guard command.has(.container), call.words.count > 1 else { return try checked(command, call) }
        let second = call.words[1]
        guard let subcommand = table.find(second.span, in: command.id) else {
            throw .other(
                "unknown subcommand '\(text(call.words[1].prefix(128)))'. Try \("\(command.name)".uppercased()) HELP.")
        }
        return try checked(subcommand, call)
    }

    private static func checked(_ command: Command, _ call: MemoryCall) throws(MemoryFault) -> (Command, Handler) {
        let name = CommandTable.shared.fullName(of: command)
        guard command.takes(words: call.words.count) else { throw .arity(name) }
        guard let handler = handlers[Int(command.id.index)] else {
            throw .other("'\(name)' needs a Redis behind Outrigger, which serves strings and hashes from memory here")
        }
        return (command, handler)
    }

    private static let handlers: [Handler?] = {
        let named = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0.handler) })
        return CommandTable.shared.commands.map { named[CommandTable.shared.fullName(of: $0)] }
    }()

    private static func unknown(_ call: MemoryCall) -> MemoryFault {
        var arguments = ""
        for word in call.words.dropFirst() where arguments.utf8.count < 128 {
            arguments += "'" + text(word.prefix(128 - arguments.utf8.count)) + "' "
        }
        return .other("unknown command '\(text(call.words[0].prefix(128)))', with args beginning with: \(arguments)")
    }

    private static func text(_ bytes: ArraySlice<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }
}
