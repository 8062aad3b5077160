import Databases
import Runtime

/// Databases of a target that do not let us in, though the server does: closed to the role, or to everybody. Each is named
/// once in the log, and tried again now and then.
struct DatabaseRefusals {
    private let target: String
    private var known: [PostgresName: ContinuousClock.Instant] = [:]

    init(target: String) { self.target = target }

    var count: Int { known.count }

    func isResting(_ name: PostgresName, at now: ContinuousClock.Instant) -> Bool {
        known[name].map { now < $0 } ?? false
    }

    mutating func note(_ error: PostgresError, of name: PostgresName, until next: ContinuousClock.Instant) {
        guard known.updateValue(next, forKey: name) == nil else { return }
        Log.warn(
            "postgres database is not watched: it lets no session in",
            ["target": target, "database": name.text, "error": error.description])
    }

    /// - Parameter isOpen: whether it let us in.
    mutating func forget(_ name: PostgresName, isOpen: Bool) {
        guard known.removeValue(forKey: name) != nil, isOpen else { return }
        Log.info("postgres database is watched", ["target": target, "database": name.text])
    }
}
