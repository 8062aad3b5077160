import Runtime

/// What `outrigger WORD` can do. A new command is a row here and a file beside this one.
struct Command {
    let name: String
    let usage: String
    let summary: String
    /// Returns the exit status.
    let run: @Sendable (Invocation) async throws -> Int32

    static let all: [Command] = [
        .serve, .demo, .checkConfig, .checkRules, .testRules, .promqlTest, .healthcheck, .version, .help,
    ]

    /// Flags that belong to commands and are no settings.
    static let ownFlags: Set<String> = [
        "config", "effective", "help", "help_markdown", "help_man", "help_yaml", "help_completion", "version",
        "config.file",
        "lint_fatal", "delayed_name_removal",
    ]
    /// Those of them that stand alone.
    static let switches: Set<String> = [
        "effective", "help", "help_markdown", "help_man", "help_yaml", "help_completion", "version", "lint_fatal",
        "delayed_name_removal",
    ]

    static func run(_ invocation: Invocation) async throws -> Int32 {
        if invocation.has("help_markdown") { return printMarkdownReference() }
        if let page = PackagePage.allCases.first(where: { invocation.has($0.rawValue) }) { return page.print() }
        if invocation.has("help") || invocation.words.first == "-h" { return try await help.run(invocation) }
        if invocation.has("version") { return try await version.run(invocation) }
        let word = invocation.words.first ?? "serve"
        guard let command = all.first(where: { $0.name == word }) else {
            let guess = closest(to: word, among: all.map(\.name)).map { ", did you mean \($0)?" } ?? ""
            throw UsageError(description: "unknown command \(word)\(guess); outrigger --help lists them")
        }
        return try await command.run(invocation)
    }
}

extension Command {
    static let version = Command(name: "version", usage: "version", summary: "Print the version.") { _ in
        writeOutput("outrigger \(Outrigger.version)\n")
        return 0
    }
}
