import Databases
import Metrics

/// `script`: Lua scripts that return names and numbers in turn.
struct ScriptCheck: RedisCheck {
    let collector = "redis_scripts"
    private let base: Labels
    private let options: RedisOptions
    private let commands: [RedisCommand]

    init?(base: Labels, options: RedisOptions) {
        guard !options.scripts.isEmpty else { return nil }
        self.base = base
        self.options = options
        let name = options.luaScriptReadOnly ? "EVAL_RO" : "EVAL"
        commands = options.scripts.map { script in
            RedisCommand(
                [Array(name.utf8), script.body, Array("0".utf8), Array("0".utf8)], name: "EVAL " + script.name)
        }
    }

    /// What `redis_script_result` says.
    private enum Outcome: Double {
        case failed = 0
        case succeeded, empty
    }

    mutating func run(_ context: CheckContext) throws(RedisError) -> CheckResult {
        var result = CheckResult()
        var values = Family(RedisMetrics.scriptValues)
        var outcomes = Family(RedisMetrics.scriptResult)
        let replies = try context.session.ask(commands, by: context.deadline)
        for (script, reply) in zip(options.scripts, replies) {
            result.note(reply)
            let labels = base.adding([Label("filename", script.name)])
            let (outcome, samples) = read(reply, labels)
            values.samples += samples
            outcomes.samples.append(Sample(labels, outcome.rawValue))
            if outcome == .failed, result.error == nil { result.error = .other }
        }
        result.families = [values, outcomes].filter { !$0.samples.isEmpty }
        return result
    }

    /// A value that is no number fails the script, but not the values before it.
    private func read(_ reply: RedisReply, _ labels: Labels) -> (Outcome, [Sample]) {
        guard let pairs = reply.pairs else { return (.failed, []) }
        guard !pairs.isEmpty else { return (.empty, []) }
        var samples: [Sample] = []
        for (key, value) in pairs {
            guard let number = value.text.flatMap(Double.init) ?? value.integer.map(Double.init) else {
                return (.failed, samples)
            }
            samples.append(Sample(labels.adding([Label("key", key)]), number))
            // redis_exporter 1.45 knew only one script, so it had no label for its name.
            if options.aliases { samples.append(Sample(base.adding([Label("key", key)]), number)) }
        }
        return (.succeeded, samples)
    }
}
