import Runtime

/// Every setting that the program declares, found by reading an empty configuration.
enum SettingsReference {
    static func all() -> [Settings.Declaration] {
        let settings = Settings()
        do { _ = try Configuration(settings) } catch { preconditionFailure("the defaults are refused: \(error)") }
        return settings.declarations
    }
}

extension Command {
    static let help = Command(name: "help", usage: "help", summary: "Print this text.") { _ in
        var text = "Outrigger watches Postgres, Redis and a service from beside them.\n\nUsage:\n"
        for command in all { text += "  outrigger \(command.usage)\n      \(command.summary)\n" }
        text += """

            serve is what runs without a word. A setting is a flag, a variable or a key of the file, in this order:
              --web.listen-address=:9847    OUTRIGGER_WEB_LISTEN_ADDRESS=:9847    web: {listen_address: ":9847"}
            NAME_FILE in the environment names a file that holds the value of NAME.

            Settings:

            """
        for setting in SettingsReference.all() {
            let fallback = setting.fallback.map { $0.isEmpty ? "" : " (\($0))" } ?? ""
            let spelling = setting.isInFileOnly ? setting.name : "--" + flagSpelling(setting)
            text += "  \(spelling)\(fallback)\n      \(setting.help)"
            if !setting.aliases.isEmpty { text += " Also \(setting.aliases.joined(separator: ", "))." }
            text += "\n"
        }
        writeOutput(text)
        return 0
    }

    /// The table in `Sources/Sidecar/README.md`.
    static func printMarkdownReference() -> Int32 {
        var text = "| setting | default | meaning |\n|---|---|---|\n"
        for setting in SettingsReference.all() {
            let fallback = setting.fallback.map { $0.isEmpty ? "" : "`\($0)`" } ?? ""
            let aliases = setting.aliases.isEmpty ? "" : " Also `\(setting.aliases.joined(separator: "`, `"))`."
            text += "| `\(setting.name)` | \(fallback) | \(setting.help)\(aliases) |\n"
        }
        writeOutput(text)
        return 0
    }

    private static func flagSpelling(_ setting: Settings.Declaration) -> String {
        let name = String(setting.name.map { $0 == "_" ? "-" : $0 })
        return setting.kind == Bool.kind ? "[no-]" + name : name
    }
}
