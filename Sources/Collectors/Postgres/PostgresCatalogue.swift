/// Every collector for Postgres. A new one is a row or file, and its name here.
enum PostgresCatalogue {
    static let all: [PostgresCollector] = [
        .locks,
        .database,
        .databaseWraparound,
        .statDatabase,
        .activity,
        .autovacuum,
        .longRunningTransactions,
        .processIdle,
        .replication,
        .replicationSlots,
        .statReplication,
        .walReceiver,
        .wal,
        .xlogLocation,
        .archiver,
        .backgroundWriter,
        .checkpointer,
        .bufferCacheSummary,
        .roles,
        .postmaster,
        .progressVacuum,
        .statements,
        .userTables,
        .ioUserTables,
        .ioUserIndexes,
        .settings,
    ]

    static let names: Set<String> = Set(all.map(\.name))
    static let onByDefault: Set<String> = Set(all.filter(\.isOnByDefault).map(\.name))
}
