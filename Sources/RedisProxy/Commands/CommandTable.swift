import Runtime

/// The commands of Redis 7.0 and their subcommands, found by name in letters of either case without allocating.
///
/// A name of up to 24 bytes is folded to lower case into three words, which are hashed into a table eight times as large
/// as there are names and compared there.
public final class CommandTable: Sendable {
    /// Built once, on first use.
    public static let shared = CommandTable()

    public let commands: [Command]
    private let names: [PackedName]
    /// Index of a command, plus one; zero for none. Its count is a power of two.
    private let slots: [UInt16]

    init(_ families: [(Command.Family, [CommandRow])] = CommandRow.all) {
        var commands: [Command] = []
        func add(_ row: CommandRow, _ family: Command.Family, in container: Command.ID?) {
            let id = Command.ID(index: UInt16(commands.count))
            commands.append(
                Command(
                    id: id, name: row.name, container: container, arity: row.arity, keys: row.keys, traits: row.traits,
                    lane: row.lane, family: family))
            for subcommand in row.subcommands { add(subcommand, family, in: id) }
        }
        for (family, rows) in families {
            for row in rows { add(row, family, in: nil) }
        }
        let names = commands.map { PackedName(of: $0) }
        var slots = [UInt16](repeating: 0, count: 4096)
        precondition(commands.count * 8 <= slots.count)
        for (index, name) in names.enumerated() {
            var slot = name.hash & (slots.count - 1)
            while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
            slots[slot] = UInt16(index + 1)
        }
        self.commands = commands
        self.names = names
        self.slots = slots
    }

    public subscript(id: Command.ID) -> Command { commands[Int(id.index)] }

    /// The command that these words call.
    ///
    /// - Parameter words: ranges of `bytes`; the first is the name, and for those with subcommands the second another.
    /// - Returns: nil for a command that Redis 7.0 does not have; the container for a subcommand it does not have.
    public func command(_ words: [Range<Int>], in bytes: Span<UInt8>) -> Command? {
        guard let first = words.first, let command = find(bytes.extracting(first), in: nil) else { return nil }
        guard command.has(.container), words.count > 1 else { return command }
        return find(bytes.extracting(words[1]), in: command.id) ?? command
    }

    /// - Parameter container: to which the name belongs; nil for a first word.
    public func find(_ name: Span<UInt8>, in container: Command.ID?) -> Command? {
        guard let packed = PackedName(name, in: container) else { return nil }
        var slot = packed.hash & (slots.count - 1)
        while slots[slot] != 0 {
            let index = Int(slots[slot]) - 1
            if names[index] == packed { return commands[index] }
            slot = (slot + 1) & (slots.count - 1)
        }
        return nil
    }

    /// As Redis writes it: `get`, `config|get`.
    public func fullName(of command: Command) -> String {
        guard let container = command.container else { return "\(command.name)" }
        return "\(self[container].name)|\(command.name)"
    }
}

/// A name in lower case, in words that are cheap to hash and to compare.
private struct PackedName: Equatable {
    private var first: UInt64 = 0
    private var second: UInt64 = 0
    private var third: UInt64 = 0
    /// Length of the name, and the container it belongs to.
    private let rest: UInt64

    init?(_ name: Span<UInt8>, in container: Command.ID?) {
        guard name.count <= 24 else { return nil }
        rest = UInt64(name.count) | UInt64(container.map { $0.index + 1 } ?? 0) << 8
        first = Self.pack(name, 0..<min(name.count, 8))
        guard name.count > 8 else { return }
        second = Self.pack(name, 8..<min(name.count, 16))
        guard name.count > 16 else { return }
        third = Self.pack(name, 16..<name.count)
    }

    init(of command: Command) {
        let name = Array("\(command.name)".utf8)
        guard let packed = PackedName(name.span, in: command.container) else {
            preconditionFailure("a command's name of more than 24 bytes: \(command.name)")
        }
        self = packed
    }

    var hash: Int {
        let mixed = (first ^ second &* 0x9E37_79B9_7F4A_7C15 ^ third ^ rest << 32) &* 0xD6E8_FEB8_6659_FD93
        return Int(truncatingIfNeeded: mixed >> 40)
    }

    private static func pack(_ name: Span<UInt8>, _ range: Range<Int>) -> UInt64 {
        var packed: UInt64 = 0
        for index in range {
            let byte = name[index]
            let isUpper = byte &- UInt8(ascii: "A") < 26
            packed = packed << 8 | UInt64(isUpper ? byte | 0x20 : byte)
        }
        return packed
    }
}
