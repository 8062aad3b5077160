/// One `--name=value` of the command line.
public struct CommandLineFlag: Sendable, Equatable {
    /// The setting's name: `web.listen_address` for `--web.listen-address`.
    public let name: String
    /// Nil for a bare `--name`; `false` for `--no-name`.
    public let value: String?
    /// As it was written, for messages.
    public let spelling: String

    public init(name: String, value: String?, spelling: String) {
        self.name = name
        self.value = value
        self.spelling = spelling
    }

    /// Takes flags and other words apart. `--name value` is read as `--name=value` when `takesValue` says that the
    /// setting is more than a switch. After `--` everything is a word.
    public static func parse(
        _ arguments: [String], takesValue: (String) -> Bool
    ) -> (flags: [CommandLineFlag], words: [String]) {
        var flags: [CommandLineFlag] = []
        var words: [String] = []
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            if argument == "--" {
                words += rest
                break
            }
            guard argument.hasPrefix("--") else {
                words.append(argument)
                continue
            }
            let parts = argument.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let spelling = "--" + parts[0]
            var name = String(parts[0]).replacing("-", with: "_")
            if parts.count == 2 {
                flags.append(CommandLineFlag(name: name, value: String(parts[1]), spelling: spelling))
            } else if takesValue(name), let next = rest.first, !next.hasPrefix("--") {
                rest.removeFirst()
                flags.append(CommandLineFlag(name: name, value: next, spelling: spelling))
            } else if name.hasPrefix("no_") {
                name.removeFirst("no_".count)
                flags.append(CommandLineFlag(name: name, value: "false", spelling: spelling))
            } else {
                flags.append(CommandLineFlag(name: name, value: nil, spelling: spelling))
            }
        }
        return (flags, words)
    }
}
