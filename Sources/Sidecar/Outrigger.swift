import Glibc
import Runtime

/// The program: a command, its words and its flags.
@main
enum Outrigger {
    static let version = "0.1.0"

    static func main() async {
        Signals.ignoreBrokenPipes()
        Memory.limitArenas()
        let invocation = Invocation(arguments: Array(CommandLine.arguments.dropFirst()))
        ShownArguments.hideSecrets()
        do {
            let status = try await Command.run(invocation)
            Log.flush(within: .seconds(1))
            exit(status)
        } catch let error as SettingsError {
            complain("\(error)")
            exit(2)
        } catch let error as UsageError {
            complain("\(error)")
            exit(2)
        } catch {
            complain("\(error)")
            exit(1)
        }
    }

    private static func complain(_ problem: String) {
        Log.flush(within: .seconds(1))
        writeError("outrigger: \(problem)\n")
    }
}

/// A command line that asks for something that does not exist.
struct UsageError: Error, CustomStringConvertible {
    let description: String
}

/// The command line, taken apart.
struct Invocation {
    let words: [String]
    let flags: [CommandLineFlag]

    init(arguments: [String]) {
        let declared = SettingsReference.all()
        let switches = Set(declared.filter { $0.kind == Bool.kind }.map(\.name)).union(Command.switches)
        (flags, words) = CommandLineFlag.parse(arguments) { name in
            !switches.contains(name)
                && !(name.hasPrefix("no_") && switches.contains(String(name.dropFirst("no_".count))))
        }
    }

    func has(_ flag: String) -> Bool { flags.contains { $0.name == flag } }
    func value(_ flag: String) -> String? { flags.last { $0.name == flag }?.value }

    /// The flags that are settings.
    var settingFlags: [CommandLineFlag] { flags.filter { !Command.ownFlags.contains($0.name) } }
}

func writeOutput(_ text: String) { write(text, to: STDOUT_FILENO) }
func writeError(_ text: String) { write(text, to: STDERR_FILENO) }

private func write(_ text: String, to file: Int32) {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
        let put = rest.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
        guard put > 0 else { return }
        rest = rest.dropFirst(put)
    }
}
