/// One command as it is written down in the folder `Rows`. The `CommandTable` is built from these.
struct CommandRow: Sendable {
    let name: StaticString
    let arity: Int8
    var keys = KeyRule.none
    var traits: Command.Traits = []
    var lane = Command.Lane.shared
    var subcommands: [CommandRow] = []

    /// Every command, by family.
    static let all: [(Command.Family, [CommandRow])] = [
        (.string, string), (.bitmap, bitmap), (.hyperLogLog, hyperLogLog),
        (.hash, hash), (.list, list), (.set, set), (.sortedSet, sortedSet), (.geo, geo), (.stream, stream),
        (.keyspace, keyspace), (.scripting, scripting), (.pubSub, pubSub), (.transaction, transaction),
        (.connection, connection), (.server, server), (.cluster, cluster),
    ]

    static func read(
        _ name: StaticString, _ arity: Int8, _ keys: KeyRule = .none, _ traits: Command.Traits = [],
        lane: Command.Lane = .shared
    ) -> CommandRow {
        CommandRow(name: name, arity: arity, keys: keys, traits: traits.union(.read), lane: lane)
    }

    static func write(
        _ name: StaticString, _ arity: Int8, _ keys: KeyRule = .none, _ traits: Command.Traits = [],
        lane: Command.Lane = .shared
    ) -> CommandRow {
        CommandRow(name: name, arity: arity, keys: keys, traits: traits.union(.write), lane: lane)
    }

    static func admin(
        _ name: StaticString, _ arity: Int8, _ traits: Command.Traits = [], lane: Command.Lane = .shared
    ) -> CommandRow {
        CommandRow(name: name, arity: arity, traits: traits.union(.admin), lane: lane)
    }

    /// Neither reads nor writes keys.
    static func other(
        _ name: StaticString, _ arity: Int8, _ keys: KeyRule = .none, lane: Command.Lane = .shared
    ) -> CommandRow {
        CommandRow(name: name, arity: arity, keys: keys, lane: lane)
    }

    static func container(_ name: StaticString, arity: Int8 = -2, _ subcommands: [CommandRow]) -> CommandRow {
        CommandRow(name: name, arity: arity, traits: .container, subcommands: subcommands)
    }
}
