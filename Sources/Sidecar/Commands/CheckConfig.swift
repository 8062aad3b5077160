import Runtime

extension Command {
    static let checkConfig = Command(
        name: "check-config", usage: "check-config [--effective] [--config FILE] [--SETTING=VALUE…]",
        summary: "Do all that serve does up to listening, and say what is wrong and what would run. "
            + "With --effective, print every setting with its value and where that comes from."
    ) { invocation in
        let configuration = try Configuration.load(invocation)
        if invocation.has("effective") {
            for value in configuration.values.all {
                writeOutput("\(value.name): \(Secrets.hidden(value.text, of: value.name))  # \(value.origin)\n")
            }
        }
        let inventory = try configuration.check()
        for warning in inventory.warnings { writeError("\(configuration.origin): warning: \(warning)\n") }
        writeOutput("\(configuration.origin): ok\n\(inventory)\n")
        return 0
    }
}
