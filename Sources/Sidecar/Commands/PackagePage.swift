import Runtime

/// What a package holds that tells of commands and settings: printed by the program, so that nothing is written twice.
/// `Sources/Packaging` puts them where they belong.
enum PackagePage: String, CaseIterable {
    /// outrigger(1), in the language of man pages.
    case man = "help_man"
    /// A configuration file with every setting, commented out at its default.
    case yaml = "help_yaml"
    /// Completion for bash.
    case completion = "help_completion"

    func print() -> Int32 {
        switch self {
        case .man: writeOutput(manual)
        case .yaml: writeOutput(file)
        case .completion: writeOutput(completion)
        }
        return 0
    }

    // MARK: The manual

    private var manual: String {
        var text = """
            .TH OUTRIGGER 1 "" "outrigger \(Outrigger.version)" "User Commands"
            .SH NAME
            outrigger \\- watches Postgres, Redis and a service from beside them, warns, and carries load
            .SH SYNOPSIS
            .B outrigger
            [\\fICOMMAND\\fR] [\\fB\\-\\-config\\fR \\fIFILE\\fR] [\\fB\\-\\-\\fISETTING\\fB=\\fIVALUE\\fR...]
            .SH COMMANDS

            """
        for command in Command.all {
            text += ".TP\n.B \(Self.escaped(command.usage))\n\(Self.escaped(command.summary))\n"
        }
        text += """
            .SH SETTINGS
            A setting is a flag, a variable or a key of the file; the flag wins over the variable, which wins over the file.

            """
        for setting in SettingsReference.all() {
            text += ".TP\n.B \(Self.escaped(setting.name))\n\(Self.escaped(setting.help))"
            if let fallback = setting.fallback, !fallback.isEmpty { text += " Default: \(Self.escaped(fallback))." }
            if !setting.aliases.isEmpty { text += " Also \(Self.escaped(setting.aliases.joined(separator: ", ")))." }
            text += "\n"
        }
        text += """
            .SH SIGNALS
            SIGHUP reads the configuration anew. SIGTERM and SIGINT finish what was begun, and end.
            .SH EXIT STATUS
            0 after a signal, 1 when it cannot run, 2 when a setting or a word is wrong.

            """
        return text
    }

    /// A backslash, a hyphen, and a dot or quote at the beginning of a line mean something to troff.
    private static func escaped(_ text: String) -> String {
        let plain = text.replacing("\\", with: "\\e").replacing("-", with: "\\-").replacing("\n", with: " ")
        return plain.hasPrefix(".") || plain.hasPrefix("'") ? "\\&" + plain : plain
    }

    // MARK: The configuration file

    private var file: String {
        var text = """
            # Outrigger's configuration. Every setting stands here at its default; remove the sign in front of a key and of the
            # keys above it to change it. `outrigger check-config --config FILE` says what is wrong; SIGHUP reads it anew.

            """
        var open: [Substring] = []
        for setting in SettingsReference.all() where !setting.name.contains("[") {
            let path = setting.name.split(separator: ".")
            let shared = zip(open, path.dropLast()).prefix { $0 == $1 }.count
            if shared == 0 { text += "\n" }
            for depth in shared..<max(shared, path.count - 1) { text += "#\(Self.indent(depth))\(path[depth]):\n" }
            open = Array(path.dropLast())
            text += Self.wrapped(setting.help, indent: path.count - 1)
            text += "#\(Self.indent(path.count - 1))\(path[path.count - 1]):"
            if let fallback = setting.fallback, !fallback.isEmpty { text += " \(Self.scalar(fallback))" }
            text += "\n"
        }
        return text
    }

    private static func indent(_ depth: Int) -> String { String(repeating: "  ", count: depth) }

    private static func wrapped(_ help: String, indent depth: Int) -> String {
        var (text, line) = ("", "")
        for word in help.split(separator: " ") {
            if !line.isEmpty, line.count + word.count > 90 {
                text += "#\(indent(depth))# \(line)\n"
                line = ""
            }
            line += line.isEmpty ? String(word) : " " + word
        }
        return text + "#\(indent(depth))# \(line)\n"
    }

    /// Quoted where YAML would read something else.
    private static func scalar(_ text: String) -> String {
        let isPlain = text.utf8.allSatisfy { byte in
            (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
                || "_./-".utf8.contains(byte)
        }
        return isPlain && !text.hasPrefix("-") ? text : "\"\(text.replacing("\"", with: "\\\""))\""
    }

    // MARK: Completion

    private var completion: String {
        let words = Command.all.map(\.name).joined(separator: " ")
        let flags = SettingsReference.all().filter { !$0.isInFileOnly }
            .map { "--" + String($0.name.map { $0 == "_" ? "-" : $0 }) }.joined(separator: " ")
        return """
            _outrigger() {
                local word=${COMP_WORDS[COMP_CWORD]}
                case $word in
                    -*) compopt -o nospace; COMPREPLY=($(compgen -S = -W "\(flags)" -- "$word")) ;;
                    *) COMPREPLY=($(compgen -W "\(words)" -- "$word") $(compgen -f -- "$word")) ;;
                esac
            }
            complete -F _outrigger outrigger

            """
    }
}
