import Metrics
import Runtime

/// What the pools count, as metrics: under the names that pgbouncer_exporter has for it, and under our own.
struct PoolMetrics: MetricSource {
    private let proxy: PostgresProxy

    init(_ proxy: PostgresProxy) { self.proxy = proxy }

    static let collector = "postgres_proxy"

    func collect(_ round: CollectionRound) async -> [Collected] {
        guard round.selection.contains(Self.collector) else { return [] }
        let snapshot = await proxy.snapshot()
        return [
            Collected(Self.collector, Self.families(snapshot)),
            // Where a real PgBouncer is watched beside it, the names are that one's.
            Collected(Self.collector, BouncerMetrics.families(snapshot), yields: true),
        ]
    }

    func collectedWhenLate(_ round: CollectionRound) -> [Collected] { [] }

    private struct PoolColumn {
        let metric: Metric
        let value: @Sendable (PoolSnapshot.Pool) -> Double

        init(_ name: String, _ help: String, _ value: @escaping @Sendable (PoolSnapshot.Pool) -> Int) {
            metric = .gauge("outrigger_postgres_pool_" + name, help)
            self.value = { Double(value($0)) }
        }
    }

    private static let poolColumns = [
        PoolColumn("clients_active", "Clients of the Postgres proxy that have a server connection.") {
            $0.clientsActive
        },
        PoolColumn("clients_idle", "Clients that need no server connection now.") { $0.clientsIdle },
        PoolColumn("clients_waiting", "Clients that wait for a server connection.") { $0.clientsWaiting },
        PoolColumn("servers_active", "Server connections that a client has.") { $0.serversActive },
        PoolColumn("servers_idle", "Server connections that are free.") { $0.serversIdle },
        PoolColumn("servers_settling", "Server connections being reset, tested or cancelled.") {
            $0.serversTested + $0.serversBeingCancelled
        },
        PoolColumn("servers_login", "Server connections that log in.") { $0.serversLogin },
    ]

    private struct Count {
        let metric: Metric
        let value: @Sendable (PoolSnapshot.Statistics) -> Double

        init(
            _ name: String, _ help: String, scale: Double = 1,
            _ value: @escaping @Sendable (PoolSnapshot.Statistics) -> Int
        ) {
            metric = .counter("outrigger_postgres_" + name, help)
            self.value = { Double(value($0)) * scale }
        }
    }

    private static let counts = [
        Count("queries_total", "Statements that the Postgres proxy has passed on.") { $0.queries },
        Count("transactions_total", "Transactions that the Postgres proxy has passed on.") { $0.transactions },
        Count("query_seconds_total", "Time that statements took at the server.", scale: 1e-6) { $0.queryMicroseconds },
        Count("transaction_seconds_total", "Time that server connections were in transactions.", scale: 1e-6) {
            $0.transactionMicroseconds
        },
        Count("waits_total", "Times that a client had to wait for a server connection.") { $0.waits },
        Count("wait_time_seconds_total", "Time that clients waited for server connections.", scale: 1e-6) {
            $0.waitMicroseconds
        },
        Count("received_bytes_total", "Bytes from clients passed on to servers.") { $0.receivedBytes },
        Count("sent_bytes_total", "Bytes from servers passed on to clients.") { $0.sentBytes },
        Count("client_parses_total", "Statements that clients prepared by protocol.") { $0.clientParses },
        Count("server_parses_total", "Statements that were prepared on server connections.") { $0.serverParses },
        Count("binds_total", "Prepared statements that clients bound.") { $0.binds },
        Count("replays_total", "Times that a client's settings were set on another server connection.") { $0.replays },
        Count("resets_total", "Times that a session was reset before it served another client.") { $0.resets },
        Count("captures_total", "Times that a server was asked for the settings that a client left there.") {
            $0.captures
        },
        Count("servers_opened_total", "Server connections that were begun.") { $0.serversOpened },
        Count("servers_refused_total", "Server connections that could not be made.") { $0.serversRefused },
        Count("servers_lost_total", "Server connections that the server has closed.") { $0.serversLost },
        Count("wait_timeouts_total", "Clients that have waited too long for a server connection.") { $0.timeouts },
    ]

    static func families(_ snapshot: PoolSnapshot) -> [Family] {
        // Pools that differ in their start-up settings only are one here: their settings are no label.
        let pools = Dictionary(grouping: snapshot.pools) { Labels(["database": $0.database, "user": $0.user]) }
            .sorted { $0.key.rendered.lexicographicallyPrecedes($1.key.rendered) }
        var families = poolColumns.map { column in
            var family = Family(column.metric)
            for (labels, members) in pools {
                family.samples.append(Sample(labels, members.reduce(0) { $0 + column.value($1) }))
            }
            return family
        }
        var longest = Family(
            .gauge("outrigger_postgres_pool_longest_wait_seconds", "How long the first in line has waited."))
        for (labels, members) in pools {
            let micros = members.map(\.longestWaitMicroseconds).max() ?? 0
            longest.samples.append(Sample(labels, Double(micros) / 1e6))
        }
        families.append(longest)
        let statistics = snapshot.statistics.sorted { ($0.database, $0.user) < ($1.database, $1.user) }
        for count in counts {
            var family = Family(count.metric)
            for entry in statistics {
                family.samples.append(
                    Sample(Labels(["database": entry.database, "user": entry.user]), count.value(entry)))
            }
            families.append(family)
        }
        return families
    }
}
