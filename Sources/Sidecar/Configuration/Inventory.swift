import Alerting
import Runtime

/// What a configuration makes run, in numbers.
struct Inventory: CustomStringConvertible {
    var postgres = 0
    var pgbouncer = 0
    var redis = 0
    var rules = 0
    var ruleFiles = 0
    /// What is allowed and hardly meant.
    var warnings: [String] = []

    /// `2 Postgres, 1 Redis, 75 rules in 7 files`.
    var description: String {
        var words: [String] = []
        if postgres > 0 { words.append("\(postgres) Postgres") }
        if pgbouncer > 0 { words.append("\(pgbouncer) PgBouncer") }
        if redis > 0 { words.append("\(redis) Redis") }
        words.append("\(Self.count(rules, "rule")) in \(Self.count(ruleFiles, "file"))")
        return words.joined(separator: ", ")
    }

    private static func count(_ number: Int, _ noun: String) -> String {
        "\(number) \(noun)\(number == 1 ? "" : "s")"
    }
}

extension Configuration {
    /// Reads everything that `serve` reads before it listens: sources, rule files, certificates.
    func check() throws -> Inventory {
        _ = try TargetsPart(self)
        for settings in carrying { try settings.check() }
        return try inventory(of: Ruler.read(alerting.ruler.files))
    }

    /// - Parameter files: what `alerting.rules` names, read.
    func inventory(of files: [RuleFile]) -> Inventory {
        var inventory = Inventory(
            postgres: targets.postgres.count, pgbouncer: targets.pgbouncer.count, redis: targets.redis.count)
        inventory.ruleFiles = files.count
        inventory.rules = files.flatMap(\.groups).map(\.rules.count).reduce(0, +)
        for pattern in alerting.ruler.files where Files.matching(pattern).isEmpty {
            inventory.warnings.append("alerting.rules: \(pattern) matches no file")
        }
        return inventory
    }
}
