import Databases
import Metrics
import Runtime

/// A Postgres server that is watched: one connection for the server, one for each further database, all kept between
/// collections, and all asked at once from a thread of its own.
public actor PostgresTarget: MetricSource {
    private let configuration: Configuration
    private let address: PostgresAddress
    private let thread: BlockingThread
    private let collectors: [PostgresCollector]
    private let scrapes = Counter()
    private let commonLabels: [Label]

    private let ranking: TableRanking
    private let main: DatabaseSession
    private var others: [PostgresName: DatabaseSession] = [:]
    private var refusals: DatabaseRefusals
    private let oversized = Counter()
    private var closedOpenings = 0
    private var serverVersion = 0
    private var databases: [PostgresDatabase] = []
    private var mainDatabase: PostgresName?
    private var versionText: (session: Int, text: String)?
    private var extensions: [String: PostgresName] = [:]
    private var health: PostgresHealth

    public nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe thread.asUnownedSerialExecutor() }

    /// - Throws: when the connection string cannot be read; its words are not in the message.
    public init(_ configuration: Configuration) throws(PostgresError) {
        var address = try PostgresAddress(configuration.connection)
        for (keyword, value) in configuration.overrides { address[keyword] = value }
        self.configuration = configuration
        self.address = address
        thread = BlockingThread("postgres")
        collectors =
            PostgresCatalogue.all.filter { configuration.collectors.contains($0.name) }
            + configuration.customQueries.map(\.collector)
        ranking = TableRanking(limit: configuration.tableLimit)
        refusals = DatabaseRefusals(target: configuration.name)
        main = DatabaseSession(
            PostgresConnection(address), collectors, tables: ranking.share(), oversized: oversized)
        commonLabels = configuration.labels + (configuration.aliases ? [Label("server", address.server)] : [])
        health = PostgresHealth(target: configuration.name)
    }

    /// Asks a server once over connections of its own, which are closed afterwards.
    public static func probe(
        _ configuration: Configuration, _ round: CollectionRound
    ) async throws(PostgresError) -> [Collected] {
        let target = try PostgresTarget(configuration)
        let collected = await target.collect(round)
        await target.close()
        return collected
    }

    /// Ends all connections. The next collection opens them again.
    public func close() {
        main.connection.close()
        others.values.forEach { $0.connection.close() }
    }

    // MARK: Collecting

    public func collect(_ round: CollectionRound) -> [Collected] {
        let started = ContinuousClock.now
        scrapes.add()
        // Time to make series of the last answer, and to hand them over.
        let spare = min(.milliseconds(200), round.deadline.remaining / 10)
        let deadline = Deadline(round.deadline.instant - spare)
        var outcomes: [DatabaseSession.Outcome] = []
        let failure = askServer(round.selection, by: deadline, started, &outcomes)
        health.record(connection: failure)
        return assemble(outcomes, round.selection, failure, started)
    }

    public nonisolated func collectedWhenLate(_ round: CollectionRound) -> [Collected] {
        let labels = Labels(configuration.labels)
        var success = Family(PostgresHealth.collectorSuccess)
        for collector in collectors where round.selection.contains(collector.name) {
            success.samples.append(Sample(labels.adding([Label("collector", collector.name)]), 0))
        }
        return [
            Collected(
                PostgresHealth.collectorName,
                [
                    Family(PostgresHealth.up, 0, labels), Family(PostgresHealth.lastError, 1, labels),
                    Family(PostgresHealth.scrapes, Double(scrapes.count), labels), success,
                ])
        ]
    }

    /// Fills in what every collector brought. Returns why the server could not be asked.
    private func askServer(
        _ selection: CollectorSelection, by deadline: Deadline, _ now: ContinuousClock.Instant,
        _ outcomes: inout [DatabaseSession.Outcome]
    ) -> PostgresError? {
        main.recycle(olderThan: configuration.connectionMaxAge, at: now)
        if let failure = openMain(by: deadline, now) {
            outcomes = main.failed(failure, selection)
            return failure
        }
        followDatabases()
        let failure = ask(Array(others.keys), withMain: true, selection, by: deadline, now, &outcomes)
        let fresh = followDatabases()
        if !fresh.isEmpty { _ = ask(fresh, withMain: false, selection, by: deadline, now, &outcomes) }
        return failure
    }

    /// What can be asked depends on the server's version, which the login tells, and on its databases.
    private func openMain(by deadline: Deadline, _ now: ContinuousClock.Instant) -> PostgresError? {
        guard !main.connection.isReady else { return nil }
        let nothing = PostgresContext(
            configuration: configuration, commonLabels: [], server: address.server, tables: main.tables, now: now)
        let none = CollectorSelection(collect: [""], exclude: [])
        switch main.begin(nothing, none, own: ownQuestions, closesAtEnd: false, by: deadline) {
        case .resting(let error): return error
        case .asking(let asking):
            PostgresRound.hold([asking.conversation], by: deadline)
            _ = main.finish(asking, nothing)
            readOwnAnswers(asking)
            return asking.conversation.connectionError
        }
    }

    private func ask(
        _ names: [PostgresName], withMain: Bool, _ selection: CollectorSelection, by deadline: Deadline,
        _ now: ContinuousClock.Instant, _ outcomes: inout [DatabaseSession.Outcome]
    ) -> PostgresError? {
        if main.connection.isReady { serverVersion = main.connection.serverVersion }
        let context = context(now)
        var begun: [(session: DatabaseSession, asking: DatabaseSession.Asking)] = []
        if withMain {
            let beginning = main.begin(
                context, selection, own: ownQuestions, withTables: watchesMain, closesAtEnd: false, by: deadline)
            switch beginning {
            case .asking(let asking): begun.append((main, asking))
            case .resting(let error):
                outcomes += main.failed(error, selection)
                return error
            }
        }
        var asked: [PostgresName?] = withMain ? [nil] : []
        for name in names where !refusals.isResting(name, at: now) {
            guard let session = others[name] else { continue }
            switch session.begin(context, selection, own: [], closesAtEnd: true, by: deadline) {
            case .asking(let asking):
                begun.append((session, asking))
                asked.append(name)
            case .resting(let error): outcomes += session.failed(error, selection)
            }
        }
        // The first one is kept, and counts beside the limit.
        let atOnce = min(8, configuration.connectionLimit + (withMain ? 1 : 0))
        PostgresRound.hold(begun.map(\.asking.conversation), atOnce: atOnce, by: deadline)
        if withMain { readOwnAnswers(begun[0].asking) }
        outcomes += finish(begun, names: asked, at: now)
        return withMain ? failure(of: begun[0].asking.conversation) : nil
    }

    /// - Parameter names: of the databases, nil for the first.
    private func finish(
        _ begun: [(session: DatabaseSession, asking: DatabaseSession.Asking)], names: [PostgresName?],
        at now: ContinuousClock.Instant
    ) -> [DatabaseSession.Outcome] {
        var outcomes: [DatabaseSession.Outcome] = []
        let context = context(now)
        for (session, asking) in begun { session.weigh(asking, context.with(session.tables)) }
        for ((session, asking), name) in zip(begun, names) {
            let own = session.finish(asking, context.with(session.tables))
            let error = asking.conversation.connectionError
            if let name, let error, error.refusesDatabase {
                refusals.note(error, of: name, until: now + configuration.refusalPause)
            } else {
                if let name { refusals.forget(name, isOpen: error == nil) }
                outcomes += own
            }
        }
        return outcomes
    }

    /// A server that answered something is up, even if it did not get to the end.
    private func failure(of conversation: PostgresConversation) -> PostgresError? {
        conversation.answers.contains { $0 != nil } ? nil : conversation.connectionError
    }

    private func context(_ now: ContinuousClock.Instant) -> PostgresContext {
        PostgresContext(
            configuration: configuration, commonLabels: commonLabels, server: address.server,
            serverVersion: serverVersion, session: main.connection.openings,
            hasSeveralDatabases: configuration.looksForDatabases, databases: databases, extensions: extensions,
            tables: main.tables, now: now)
    }

    // MARK: Databases

    private static let databaseList = PostgresQuery(
        name: "databases",
        sql: """
            SELECT oid, datname, datconnlimit, datallowconn AND NOT datistemplate AND datconnlimit <> -2, \
            datname = pg_catalog.current_database() FROM pg_catalog.pg_database ORDER BY datname
            """)
    private static let versionQuery = PostgresQuery(name: "version", sql: "SELECT pg_catalog.version()")

    private static let extensionList = PostgresQuery(
        name: "extensions",
        sql: """
            SELECT e.extname, n.nspname FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace \
            WHERE e.extname IN ('pg_stat_statements', 'pg_buffercache')
            """)

    private var ownQuestions: [PostgresQuery] {
        let isKnown = versionText?.session == main.connection.openings
        return [PostgresTarget.databaseList] + (needsExtensions ? [PostgresTarget.extensionList] : [])
            + (isKnown ? [] : [PostgresTarget.versionQuery])
    }

    private var needsExtensions: Bool {
        !configuration.collectors.isDisjoint(with: ["stat_statements", "buffercache_summary"])
    }

    private func readOwnAnswers(_ asking: DatabaseSession.Asking) {
        let answers = asking.own.map { asking.conversation.answers[$0] }
        if let rows = answers[0]?.rows {
            databases = (0..<rows.count).map { row in
                let name = PostgresName(bytes: rows.bytes(row, 1) ?? [])
                if rows.number(row, 4) == 1 { mainDatabase = name }
                return PostgresDatabase(
                    oid: rows.number(row, 0) ?? 0, name: name, label: name.text,
                    connectionLimit: rows.number(row, 2) ?? 0, isOrdinary: rows.number(row, 3) == 1)
            }
        }
        if needsExtensions, let rows = answers[1]?.rows {
            extensions = [:]
            for row in 0..<rows.count {
                extensions[rows.text(row, 0) ?? ""] = PostgresName(bytes: rows.bytes(row, 1) ?? [])
            }
        }
        if answers.count > (needsExtensions ? 2 : 1), let rows = answers.last??.rows, rows.count > 0 {
            versionText = rows.text(0, 0).map { (main.connection.openings, $0) }
        }
    }

    /// Whether the tables of the database that everything else is asked in are wanted.
    private var watchesMain: Bool {
        !configuration.looksForDatabases || databases.contains { $0.name == mainDatabase && configuration.watches($0) }
    }

    /// Begins to watch databases that are new, and forgets those that are gone. Returns the new ones.
    @discardableResult
    private func followDatabases() -> [PostgresName] {
        guard configuration.looksForDatabases else { return [] }
        let wanted = databases.filter { configuration.watches($0) && $0.name != mainDatabase }
            .prefix(configuration.databaseLimit).map(\.name)
        let collectors = collectors.filter(\.isPerDatabase)
        for (name, session) in others where !wanted.contains(name) {
            closedOpenings += session.connection.openings
            session.connection.close()
            ranking.forget(session.tables)
            refusals.forget(name, isOpen: false)
            others[name] = nil
        }
        let fresh = wanted.filter { others[$0] == nil }
        for name in fresh {
            others[name] = DatabaseSession(
                PostgresConnection(address, database: name), collectors, tables: ranking.share(),
                oversized: oversized)
        }
        return fresh
    }

    // MARK: Answering

    private func assemble(
        _ outcomes: [DatabaseSession.Outcome], _ selection: CollectorSelection, _ failure: PostgresError?,
        _ started: ContinuousClock.Instant
    ) -> [Collected] {
        var families: [String: [Family]] = [:]
        var results: [String: PostgresHealth.Result] = [:]
        for outcome in outcomes {
            families[outcome.collector.name, default: []] += outcome.families
            var result = results[outcome.collector.name] ?? PostgresHealth.Result()
            result.duration += outcome.duration
            if let error = outcome.error, result.error == nil {
                result.error = error
                result.isConnectionError = outcome.isConnectionError
            }
            results[outcome.collector.name] = result
        }
        var collected: [Collected] = []
        var ordered: [(collector: String, result: PostgresHealth.Result)] = []
        for collector in collectors where selection.contains(collector.name) {
            let missing = PostgresHealth.Result(error: failure, isConnectionError: true)
            let result = results[collector.name] ?? (failure == nil ? PostgresHealth.Result() : missing)
            ordered.append((collector.name, result))
            health.record(result, of: collector.name)
            guard var own = families[collector.name] else { continue }
            if configuration.aliases { own += PostgresAliases.families(of: own) }
            collected.append(Collected(collector.name, own))
        }
        collected.append(
            Collected(PostgresHealth.collectorName, coreFamilies(ordered, failure, started)))
        return collected
    }

    private func coreFamilies(
        _ results: [(collector: String, result: PostgresHealth.Result)], _ failure: PostgresError?,
        _ started: ContinuousClock.Instant
    ) -> [Family] {
        let labels = Labels(configuration.labels)
        // A role that may not see something is no error of the scrape.
        let hasError =
            failure != nil
            || results.contains { $0.result.error.map { $0.kind != .permission && $0.kind != .missing } ?? false }
        let openings = others.values.reduce(closedOpenings + main.connection.openings) { $0 + $1.connection.openings }
        var families = [
            Family(PostgresHealth.up, failure == nil ? 1 : 0, labels),
            Family(PostgresHealth.lastDuration, (ContinuousClock.now - started).seconds, labels),
            Family(PostgresHealth.lastError, hasError ? 1 : 0, labels),
            Family(PostgresHealth.scrapes, Double(scrapes.count), labels),
            Family(PostgresHealth.connectionsOpened, Double(openings), labels),
            Family(PostgresHealth.databasesRefused, Double(refusals.count), labels),
            Family(PostgresHealth.tablesDropped, Double(ranking.dropped), labels),
            Family(PostgresHealth.answersDropped, Double(oversized.count), labels),
        ]
        health.record(tablesDropped: ranking.dropped, limit: configuration.tableLimit)
        if let openedAt = main.connection.openedAt {
            families.append(Family(PostgresHealth.connectionAge, (ContinuousClock.now - openedAt).seconds, labels))
            if let duration = main.connection.openingDuration {
                families.append(Family(PostgresHealth.connectDuration, duration.seconds, labels))
            }
        }
        if let version = versionText?.text, failure == nil {
            let short = "\(serverVersion / 10_000).\(serverVersion % 10_000).0"
            let pairs = [
                Label("server", address.server), Label("short_version", short), Label("version", version),
            ]
            families.append(Family(PostgresHealth.version, 1, labels.adding(pairs)))
        }
        for file in configuration.queryFiles {
            let pairs = [Label("filename", file.path), Label("hashsum", file.hash)]
            families.append(Family(PostgresHealth.queryFiles, file.isBroken ? 1 : 0, labels.adding(pairs)))
        }
        return families + health.families(results, aliases: configuration.aliases, configuration.labels)
    }
}
