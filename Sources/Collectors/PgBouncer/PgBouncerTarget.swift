import Databases
import Metrics
import Runtime
import Synchronization

/// One PgBouncer that is watched through its admin console, on one connection that is kept. The names are those of
/// <https://github.com/prometheus-community/pgbouncer_exporter>.
public actor PgBouncerTarget: MetricSource {
    private let thread = BlockingThread("pgbouncer")
    private let address: PostgresAddress
    private let labels: Labels
    private var console: PgBouncerConsole?
    private var version: Labels?
    private var outages: OutageLog
    private let late: Mutex<CollectorHealth>

    public static let up = Metric.gauge("pgbouncer_up", "The pgbouncer scrape succeeded")
    static let versionInfo = Metric.gauge("pgbouncer_version_info", "The pgbouncer version info")

    /// Every collector that a scrape may ask for by name.
    static let collectors =
        ["pgbouncer"] + PgBouncerList.catalogue.map(\.collector) + PgBouncerTable.catalogue.map(\.collector)
        + [PgBouncerClients.collector]

    public nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe thread.asUnownedSerialExecutor() }

    /// - Parameters:
    ///   - name: becomes the label `target`; nil when there is no other PgBouncer.
    ///   - connection: a connection string that libpq reads. The database is `pgbouncer` unless it names another.
    public init(name: String? = nil, connection: String) throws(PostgresError) {
        var address = try PostgresAddress(connection)
        if address["dbname"] == nil { address["dbname"] = "pgbouncer" }
        self.address = address
        outages = OutageLog("pgbouncer", at: address.redacted)
        labels = name.map { Labels(["target": $0]) } ?? .none
        late = Mutex(CollectorHealth(target: labels))
    }

    public func collect(_ round: CollectionRound) async -> [Collected] {
        let began = ContinuousClock.now
        let deadline = round.deadline.withMargin
        var health = late.withLock { $0 }
        var collected: [Collected] = []
        var isUp = true
        do throws(PostgresError) {
            let isReused = console != nil
            do throws(PostgresError) {
                collected = try ask(round.selection, &health, by: deadline)
            } catch {
                // The console may have been restarted since the last scrape, and asking twice does no harm.
                guard isReused, error.kind == .connection else { throw error }
                console = nil
                collected = try ask(round.selection, &health, by: deadline)
            }
            health.record("pgbouncer", took: .now - began)
            outages.note(nil)
        } catch {
            isUp = false
            console = nil
            health.record("pgbouncer", took: .now - began, error: CollectorErrorClass(error))
            outages.note(error.description)
        }
        late.withLock { $0 = health }
        return collected + [Collected("pgbouncer", own(isUp: isUp, health))]
    }

    public nonisolated func collectedWhenLate(_ round: CollectionRound) -> [Collected] {
        var health = late.withLock { $0 }
        health.record("pgbouncer", took: .zero, error: .timeout)
        return [Collected("pgbouncer", [Family(Self.up, 0, labels)] + health.failed(.timeout).families)]
    }

    private func ask(
        _ selection: CollectorSelection, _ health: inout CollectorHealth, by deadline: Deadline
    ) throws(PostgresError) -> [Collected] {
        let console = try open(by: deadline)
        var collected: [Collected] = []
        for list in PgBouncerList.catalogue where selection.contains(list.collector) {
            let families = try show(list.command, list.collector, console, &health, by: deadline) {
                list.families($0, labels)
            }
            collected.append(Collected(list.collector, families))
        }
        for table in PgBouncerTable.catalogue where selection.contains(table.collector) {
            let families = try show(table.command, table.collector, console, &health, by: deadline) {
                table.families($0, labels)
            }
            collected.append(Collected(table.collector, families))
        }
        if selection.contains(PgBouncerClients.collector) {
            let families = try show(
                PgBouncerClients.command, PgBouncerClients.collector, console, &health, by: deadline
            ) { PgBouncerClients.families($0, labels) }
            collected.append(Collected(PgBouncerClients.collector, families))
        }
        return collected
    }

    /// A command that this version does not know fails its collector alone.
    private func show(
        _ command: String, _ collector: String, _ console: PgBouncerConsole, _ health: inout CollectorHealth,
        by deadline: Deadline, _ read: (PostgresRows) -> [Family]
    ) throws(PostgresError) -> [Family] {
        let began = ContinuousClock.now
        do throws(PostgresError) {
            let rows = try console.show(command, by: deadline)
            let families = rows.map(read) ?? []
            health.record(collector, took: .now - began, error: rows == nil ? .missing : nil)
            return families
        } catch {
            health.record(collector, took: .now - began, error: CollectorErrorClass(error))
            throw error
        }
    }

    private func open(by deadline: Deadline) throws(PostgresError) -> PgBouncerConsole {
        if let console, console.isOpen { return console }
        let opened = try PgBouncerConsole(to: address, by: deadline)
        // The version cannot change without a new connection.
        let rows = try opened.show("VERSION", by: deadline)
        version = rows.flatMap { $0.count > 0 ? $0.text(0, 0) : nil }.map { labels.adding([Label("version", $0)]) }
        console = opened
        return opened
    }

    private func own(isUp: Bool, _ health: CollectorHealth) -> [Family] {
        var families = [Family(Self.up, isUp ? 1 : 0, labels)]
        if isUp, let version { families.append(Family(Self.versionInfo, 1, version)) }
        return families + health.families
    }
}

extension CollectorErrorClass {
    init(_ error: PostgresError) { self = CollectorErrorClass(rawValue: error.kind.rawValue) ?? .other }
}
