import Runtime

/// The database `outrigger` (alias `pgbouncer`): what PgBouncer's console answers, with its columns, so that the exporters,
/// dashboards and habits made for it work as they are. Columns are those of PgBouncer 1.25.
///
/// Averages are over the last whole period, as there: `run` takes a sample each period.
public actor AdminConsole: Console {
    /// Who may do what.
    public struct Rights: Sendable {
        /// May do everything.
        public var admins: Set<String>
        /// May `SHOW` what tells no secrets, and nothing else.
        public var readers: Set<String>

        public init(admins: Set<String> = [], readers: Set<String> = []) {
            (self.admins, self.readers) = (admins, readers)
        }
    }

    private let rights: Rights
    private let period: Duration
    private let reload: @Sendable () async -> String?
    private var samples: [PoolSnapshot] = []

    /// - Parameters:
    ///   - period: over which averages are taken.
    ///   - reload: reads the configuration anew; what is wrong with it, or nil.
    public init(
        _ rights: Rights, period: Duration = .seconds(60), reload: @escaping @Sendable () async -> String? = { nil }
    ) {
        (self.rights, self.period, self.reload) = (rights, period, reload)
    }

    /// Takes a sample each period, until the task is cancelled.
    public func run(_ control: any PoolControl) async {
        repeat { sample(await control.snapshot()) } while (try? await Task.sleep(for: period)) != nil
    }

    func sample(_ snapshot: PoolSnapshot) { samples = samples.suffix(1) + [snapshot] }

    public nonisolated func admits(_ user: String) -> Bool {
        rights.admins.contains(user) || rights.readers.contains(user)
    }

    public func answer(_ statement: String, of user: String, _ control: any PoolControl) async -> ConsoleAnswer {
        let words = ConsoleWords(statement)
        guard let verb = words.first?.uppercased() else {
            return .failed(code: "42601", message: "invalid command '\(statement)', use SHOW HELP;")
        }
        if verb == "SHOW" { return await show(words, of: user, control) }
        // Drivers and psql set things when they connect; there is nothing to set them on.
        if ["SET", "RESET", "BEGIN", "COMMIT", "ROLLBACK", "START"].contains(verb), !words.isAssignment {
            return .done(tag: verb)
        }
        guard rights.admins.contains(user) else { return .failed(code: "42501", message: "admin access needed") }
        return await command(verb, words, control)
    }

    // MARK: Commands

    private func command(_ verb: String, _ words: ConsoleWords, _ control: any PoolControl) async -> ConsoleAnswer {
        let database = words[1]
        switch verb {
        case "PAUSE", "RESUME", "RECONNECT", "KILL", "DISABLE", "ENABLE":
            if let database, await !isKnown(database, control) {
                return .failed(code: "3D000", message: "no such database: \(database)")
            }
            return await change(verb, database, control)
        case "SUSPEND":
            await control.pause(nil)
            return .done(tag: verb)
        case "WAIT_CLOSE":
            return .failed(code: "0A000", message: "WAIT_CLOSE is not here: RECONNECT, then look at SHOW SERVERS")
        case "KILL_CLIENT":
            guard let number = words[1].flatMap({ Int32($0) }) else {
                return .failed(code: "42601", message: "KILL_CLIENT needs the id that SHOW CLIENTS tells")
            }
            guard await control.killClient(number) else {
                return .failed(code: "42704", message: "client not found: \(number)")
            }
            return .done(tag: verb)
        case "RELOAD":
            if let problem = await reload() { return .failed(code: "55000", message: "reload failed: \(problem)") }
            return .done(tag: verb)
        case "SHUTDOWN":
            // The answer has to leave before the last client is sent away.
            Task { await control.shutdown() }
            return .done(tag: verb)
        case "SET":
            return .failed(
                code: "55000",
                message: "settings change in the configuration: write \(words[1] ?? "it") there, then RELOAD")
        default: return .failed(code: "42601", message: "invalid command '\(words.text)', use SHOW HELP;")
        }
    }

    private func change(_ verb: String, _ database: String?, _ control: any PoolControl) async -> ConsoleAnswer {
        switch (verb, database) {
        case ("PAUSE", _): await control.pause(database)
        case ("RESUME", _): await control.resume(database)
        case ("RECONNECT", _): await control.reconnect(database)
        case ("KILL", _): await control.kill(database)
        case ("DISABLE", let database?): await control.disable(database)
        case ("ENABLE", let database?): await control.enable(database)
        default: return .failed(code: "42601", message: "a database is required")
        }
        return .done(tag: verb)
    }

    private func isKnown(_ database: String, _ control: any PoolControl) async -> Bool {
        let snapshot = await control.snapshot()
        // Databases are taken as they come, so one that nobody has asked for yet may be paused or disabled, too.
        return snapshot.databases.contains { $0.name == database || $0.name == "*" }
            || snapshot.pools.contains { $0.database == database }
    }

    // MARK: SHOW

    private static let secretive: Set<String> = ["CLIENTS", "SERVERS", "SOCKETS", "ACTIVE_SOCKETS", "FDS", "CONFIG"]

    private func show(_ words: ConsoleWords, of user: String, _ control: any PoolControl) async -> ConsoleAnswer {
        guard let what = words[1]?.uppercased() else { return help }
        guard !(what == "FDS" && !rights.admins.contains(user)) else {
            return .failed(code: "42501", message: "admin access needed")
        }
        let snapshot = await control.snapshot()
        let tables = ConsoleTables(snapshot, averages: Averages(samples, over: period))
        switch what {
        case "HELP": return help
        case "VERSION": return ConsoleTables.version
        case "POOLS": return tables.pools
        case "STATS": return tables.statistics(totals: true, averages: true)
        case "STATS_TOTALS": return tables.statistics(totals: true, averages: false)
        case "STATS_AVERAGES": return tables.statistics(totals: false, averages: true)
        case "TOTALS": return tables.totals
        case "CLIENTS": return tables.clients
        case "SERVERS": return tables.servers
        case "SOCKETS": return tables.sockets { _ in true }
        case "ACTIVE_SOCKETS": return tables.sockets { $0 == "active" || $0 == "waiting" }
        case "DATABASES": return tables.databases
        case "USERS": return tables.users
        case "LISTS": return tables.lists
        case "CONFIG": return tables.configuration
        case "STATE": return tables.state
        case "MEM": return tables.memory
        case "FDS": return tables.descriptors
        case "DNS_HOSTS": return .rows(["hostname", "ttl", "addrs"], [])
        case "DNS_ZONES": return .rows(["zonename", "serial", "count"], [])
        case "PEERS": return .rows(["peer_id", "host", "port", "pool_size"], [])
        case "PEER_POOLS":
            return .rows(
                ["database", "cl_active_cancel_req", "cl_waiting_cancel_req", "sv_active_cancel", "sv_login"], [])
        default:
            // Drivers ask a server for its settings.
            if let value = ConsoleTables.parameters[what.lowercased()] { return .rows([what.lowercased()], [[value]]) }
            return .failed(code: "42601", message: "invalid command '\(words.text)', use SHOW HELP;")
        }
    }

    private var help: ConsoleAnswer {
        .rows(
            ["command"],
            [
                [
                    "SHOW HELP|POOLS|STATS|STATS_TOTALS|STATS_AVERAGES|TOTALS|CLIENTS|SERVERS|SOCKETS|ACTIVE_SOCKETS"
                        + "|DATABASES|USERS|LISTS|CONFIG|FDS|MEM|STATE|VERSION|DNS_HOSTS|DNS_ZONES|PEERS|PEER_POOLS"
                ],
                ["PAUSE [db]"], ["RESUME [db]"], ["DISABLE db"], ["ENABLE db"], ["RECONNECT [db]"], ["KILL [db]"],
                ["KILL_CLIENT id"], ["SUSPEND"], ["RELOAD"], ["SHUTDOWN"],
            ])
    }
}

/// The words of a statement in the console: names may stand in quotes, and an assignment may have an equals sign.
struct ConsoleWords {
    let text: String
    private let words: [String]
    /// Whether it is a `SET name = value` of the console's, and not a session's `SET name TO value`.
    let isAssignment: Bool

    init(_ text: String) {
        self.text = text
        var (words, word, quote): ([String], String, Character?) = ([], "", nil)
        var isOpen = false
        for character in text {
            if let open = quote {
                if character == open { quote = nil } else { word.append(character) }
            } else if character == "\"" || character == "'" {
                (quote, isOpen) = (character, true)
            } else if character.isWhitespace || character == "=" || character == ";" {
                if isOpen || !word.isEmpty { words.append(word) }
                (word, isOpen) = ("", false)
                if character == "=" { words.append("=") }
            } else {
                word.append(character)
            }
        }
        if isOpen || !word.isEmpty { words.append(word) }
        self.words = words
        isAssignment =
            words.count > 2 && words[2] == "=" && ConsoleTables.parameters[words[1].lowercased()] == nil
            && !["application_name", "extra_float_digits", "search_path"].contains(words[1].lowercased())
    }

    var first: String? { words.first }

    subscript(index: Int) -> String? { words.indices.contains(index) ? words[index] : nil }
}
