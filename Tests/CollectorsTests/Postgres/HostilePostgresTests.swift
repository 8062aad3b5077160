import Collectors
import Databases
import LocalServers
import Metrics
import Runtime
import Testing

/// Servers with users who mean harm, settings that mean well, and poolers in between: the answers stay the same.
@Suite struct HostilePostgresTests {
    private func configuration(
        _ url: String, _ change: (inout PostgresTarget.Configuration) throws -> Void = { _ in }
    ) rethrows -> PostgresTarget.Configuration {
        var configuration = PostgresTarget.Configuration(name: "test", connection: url)
        try change(&configuration)
        return configuration
    }

    private func failing(_ page: Page) -> [String] {
        page.series("pg_scrape_collector_success").filter { page.value($0) == 0 }
    }

    @Test func whatAnyUserPutIntoPublicIsNeverRun() async throws {
        let server = try await LocalPostgres.start()
        // Until version 15 everybody could create there, and databases from before still let them.
        try await server.sql(
            """
            CREATE TABLE loot (who text, what text); GRANT INSERT ON loot TO PUBLIC;
            CREATE TABLE big (id int PRIMARY KEY); INSERT INTO big SELECT generate_series(1, 10000);
            GRANT CREATE ON SCHEMA public TO PUBLIC; CREATE ROLE mallory LOGIN;
            ALTER ROLE postgres SET search_path = public, pg_catalog
            """)
        let traps = [
            ("pg_table_size(oid)", "bigint"), ("pg_indexes_size(oid)", "bigint"), ("pg_database_size(oid)", "bigint"),
            ("version()", "text"), ("current_database()", "name"), ("now()", "timestamptz"),
            ("pg_backend_pid()", "int"), ("set_config(text, text, boolean)", "text"),
            ("date_part(text, timestamptz)", "float8"), ("lower(text)", "text"), ("pg_ls_waldir()", "text"),
        ]
        var script = traps.map { signature, type in
            """
            CREATE FUNCTION public.\(signature) RETURNS \(type) LANGUAGE plpgsql AS
            $$ BEGIN INSERT INTO public.loot VALUES (session_user, '\(signature)'); RETURN NULL; END $$;
            """
        }
        script.append(
            """
            CREATE FUNCTION public.same(name, name) RETURNS boolean LANGUAGE plpgsql AS
            $$ BEGIN INSERT INTO public.loot VALUES (session_user, '='); RETURN true; END $$;
            CREATE OPERATOR public.= (LEFTARG = name, RIGHTARG = name, FUNCTION = public.same);
            CREATE VIEW public.pg_stat_activity AS SELECT public.pg_backend_pid() AS pid;
            CREATE TABLE public.pg_locks (database oid, mode text, locktype text, relation oid);
            """)
        try await server.sql(script.joined(separator: "\n"), user: "mallory")
        let target = try PostgresTarget(
            configuration(server.url()) {
                $0.sizesTTL = .zero
                $0.collectors = PostgresTarget.Configuration.knownCollectors
                $0.customQueries = [
                    try CustomQuery(
                        "own", sql: "SELECT pg_backend_pid() AS pid, count(*) AS tables FROM pg_class",
                        columns: [.init("pid", .gauge), .init("tables", .gauge)], perDatabase: true)
                ]
            })
        for _ in 0..<2 {
            let page = try await scrape(target)
            #expect(page.value("pg_up") == 1)
            #expect((page.value("own_pid") ?? 0) > 0)
            let size = #"pg_stat_user_tables_table_size_bytes{datname="postgres",relname="big",schemaname="public"}"#
            #expect((page.value(size) ?? 0) > 100_000)
            #expect((page.value(#"pg_database_size_bytes{datname="postgres"}"#) ?? 0) > 1_000_000)
        }
        #expect(try await server.sql("SELECT count(*) FROM public.loot") == "0\n")
        await target.close()
        await server.stop()
    }

    @Test func aRolesOwnSettingsChangeNoAnswer() async throws {
        let server = try await LocalPostgres.start()
        let settings = [
            "statement_timeout": "'1s'", "DateStyle": "'German, DMY'", "bytea_output": "'escape'",
            "IntervalStyle": "'sql_standard'", "extra_float_digits": "-15", "TimeZone": "'Asia/Tokyo'",
            "client_encoding": "'LATIN1'", "standard_conforming_strings": "off", "lc_numeric": "'C.UTF-8'",
            "default_transaction_isolation": "'serializable'", "default_transaction_deferrable": "on",
            "default_transaction_read_only": "on", "search_path": "'public'", "quote_all_identifiers": "on",
            "row_security": "off", "exit_on_error": "on", "jit": "on",
        ]
        let changes = settings.map { "ALTER ROLE odd SET \($0.key) = \($0.value);" }
        try await server.sql(
            "CREATE ROLE plain LOGIN IN ROLE pg_monitor; CREATE ROLE odd LOGIN IN ROLE pg_monitor;"
                + changes.joined())
        let sql = """
            SELECT 'a\\tb' AS slashes, '\\xff'::bytea::text AS bytes, ('1 day'::interval)::text AS span,
                '2026-11-21 12:00:00'::timestamptz::text AS moment, '2026-12-11'::date::text AS day,
                0.1::float8 + 0.2::float8 AS number, '2026-11-21 12:00:00'::timestamp AS local,
                '2026-11-21 12:00:00+01'::timestamptz AS global, '2026-12-11'::date AS date
            """
        let names = ["slashes", "bytes", "span", "moment", "day"]
        let values = ["number", "local", "global", "date"]
        var texts: [String] = []
        for user in ["plain", "odd"] {
            let target = try PostgresTarget(
                configuration(server.url(user: user)) {
                    $0.collectors = ["stat_bgwriter", "postmaster", "roles"]
                    $0.customQueries = [
                        try CustomQuery(
                            "facts", sql: sql,
                            columns: names.map { .init($0, .label) } + values.map { .init($0, .gauge) }),
                        try CustomQuery("fails", sql: "SELECT 1 / 0 AS n", columns: [.init("n", .gauge)]),
                        try CustomQuery(
                            "slow", sql: "SELECT 1 AS n FROM pg_sleep(1.2)", columns: [.init("n", .gauge)]),
                    ]
                })
            let page = try await scrape(target, within: .seconds(60))
            #expect(page.value("slow_n") == 1)
            #expect(page.series("facts_").count == 4)
            texts.append(
                page.text.split(separator: "\n").filter { $0.hasPrefix("facts_") || $0.hasPrefix("pg_postmaster") }
                    .joined(separator: "\n"))
            await target.close()
        }
        #expect(texts[0] == texts[1])
        await server.stop()
    }

    @Test func whoDropsADatabaseDoesNotWaitForUs() async throws {
        let server = try await LocalPostgres.start()
        for name in ["one", "two", "three"] { try await server.sql("CREATE DATABASE \(name)") }
        let target = try PostgresTarget(configuration(server.url()) { $0.discoversDatabases = true })
        #expect(try await scrape(target).value("pg_up") == 1)
        try await server.sql("DROP DATABASE one")
        #expect(try await scrape(target).value("pg_up") == 1)
        try await server.sql("ALTER DATABASE two RENAME TO second")
        let page = try await scrape(target)
        #expect(failing(page) == [])
        try await server.sql("CREATE DATABASE copy TEMPLATE three")
        await target.close()
        await server.stop()
    }

    @Test func throughAPoolerThatGivesASessionForEachTransaction() async throws {
        let server = try await LocalPostgres.start()
        try await server.sql("CREATE DATABASE app")
        let bouncer = try await LocalPgBouncer.start(before: server, settings: ["default_pool_size = 3"])
        let targets = try (0..<3).map { number in
            try PostgresTarget(
                configuration(bouncer.url(database: "app")) {
                    $0.sizesTTL = .zero
                    // Statements of one name, but not of one text.
                    $0.aliases = number == 1
                    $0.discoversDatabases = number == 2
                    $0.customQueries = [
                        try CustomQuery(
                            "own", sql: "SELECT current_setting('search_path') AS path, 1 AS n",
                            columns: [.init("path", .label), .init("n", .gauge)])
                    ]
                })
        }
        for _ in 0..<4 {
            let pages = try await withThrowingTaskGroup(of: Page.self) { group in
                for target in targets { group.addTask { try await scrape(target) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            for page in pages {
                #expect(page.value("pg_up") == 1)
                #expect(page.value("pg_exporter_last_scrape_error") == 0)
                #expect(failing(page) == [])
                #expect(page.series("own_n").count == 1)
                #expect(page.series("own_n").allSatisfy { $0.contains(#"path="pg_catalog, pg_temp""#) })
            }
        }
        // Nothing of ours stays with those who share the server's sessions.
        let left = try await LocalServer.run(
            server.programs + "/psql",
            [
                "-X", "-q", "-A", "-t", "-d", bouncer.url(database: "app"), "-c",
                "SELECT current_setting('search_path'), (SELECT count(*) FROM pg_prepared_statements)",
            ], folder: server.server.folder)
        #expect(left == "\"$user\", public|0\n")
        for target in targets { await target.close() }
        await bouncer.stop()
        await server.stop()
    }

    @Test func aDatabaseThatLetsNobodyInIsNoErrorOfTheScrape() async throws {
        let server = try await LocalPostgres.start()
        for name in ["open", "closed"] { try await server.sql("CREATE DATABASE \(name)") }
        try await server.sql(
            "REVOKE CONNECT ON DATABASE closed FROM PUBLIC; CREATE ROLE watcher LOGIN IN ROLE pg_monitor")
        let target = try PostgresTarget(configuration(server.url(user: "watcher")) { $0.discoversDatabases = true })
        for _ in 0..<3 {
            let page = try await scrape(target)
            #expect(page.value("pg_exporter_last_scrape_error") == 0)
            #expect(page.value("outrigger_postgres_databases_refused") == 1)
            #expect(failing(page) == [])
        }
        let refusals = server.server.log.split(separator: "\n").count { $0.contains("permission denied for database") }
        #expect(refusals == 1)
        await target.close()
        await server.stop()
    }

    @Test func namesAndTextsInAnyEncodingCostOnlyThemselves() async throws {
        let server = try await LocalPostgres.start()
        try await server.sql(
            "CREATE DATABASE ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'")
        try await server.sql(
            "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'")
        // The byte 0xE9 is é in Latin 1, and nothing in UTF-8.
        for name in ["ascii", "latin"] {
            try await server.sql(
                """
                SET client_encoding = 'SQL_ASCII'; CREATE TABLE plain (id int); CREATE TABLE placeholder (id int);
                UPDATE pg_class SET relname = convert_from('\\x636166e9', '\(name == "ascii" ? "SQL_ASCII" : "LATIN1")')::name
                WHERE relname = 'placeholder'
                """, database: name)
        }
        for (name, label) in [("ascii", "caf\u{FFFD}"), ("latin", "café")] {
            let target = try PostgresTarget(configuration(server.url(database: name)))
            let page = try await scrape(target)
            #expect(failing(page) == [])
            for table in ["plain", label] {
                #expect(
                    page.value(
                        "pg_stat_user_tables_table_size_bytes{datname=\"\(name)\",relname=\"\(table)\",schemaname=\"public\"}"
                    )
                        == 0)
            }
            await target.close()
        }
        await server.stop()
    }

    @Test func ofTooManyTablesTheLargestHaveAllOfTheirSeries() async throws {
        let server = try await LocalPostgres.start()
        try await server.sql("CREATE DATABASE other")
        let tables = { (range: Range<Int>) in range.map { "CREATE TABLE t\($0) (id int)" }.joined(separator: ";") }
        try await server.sql(
            tables(0..<12) + "; INSERT INTO t7 SELECT generate_series(1, 5000); INSERT INTO t9 VALUES (1)")
        try await server.sql(tables(20..<26) + "; INSERT INTO t23 SELECT generate_series(1, 900)", database: "other")
        let target = try PostgresTarget(
            configuration(server.url()) {
                $0.tableLimit = 5
                $0.discoversDatabases = true
            })
        _ = try await scrape(target)
        for _ in 0..<2 {
            let page = try await scrape(target)
            #expect(page.value("outrigger_postgres_tables_dropped") == 13)
            for family in [
                "stat_user_tables_n_live_tup", "stat_user_tables_table_size_bytes",
                "statio_user_tables_heap_blocks_hit",
            ] {
                let shown = page.series("pg_\(family){")
                #expect(shown.count == 5)
                for table in ["t7", "t9", "t23"] { #expect(shown.contains { $0.contains("relname=\"\(table)\"") }) }
            }
            let shown = Set(page.series("pg_stat_user_tables_n_live_tup").map { $0.drop { $0 != "{" } })
            #expect(shown == Set(page.series("pg_statio_user_tables_heap_blocks_hit").map { $0.drop { $0 != "{" } }))
            #expect(failing(page) == [])
        }
        await target.close()
        await server.stop()
    }

    @Test func answersThatAreTooLargeFailAlone() async throws {
        let server = try await LocalPostgres.start()
        func query(_ name: String, _ sql: String) throws -> CustomQuery {
            try CustomQuery(name, sql: sql, columns: [.init("n", .gauge)])
        }
        let target = try PostgresTarget(
            configuration(server.url()) {
                $0.answerLimit = PostgresAnswerLimit(bytes: 1 << 20, rows: 1000)
                $0.customQueries = [
                    try query("endless", "SELECT generate_series(1, 4000000000) AS n"),
                    try query("wide", "SELECT 1 AS n, repeat('x', 200000000) AS text"),
                    try query("many", "SELECT g AS n FROM generate_series(1, 1001) AS g"),
                    try query("fine", "SELECT 7 AS n"),
                ]
            })
        for _ in 0..<2 {
            let page = try await scrape(target, within: .seconds(60))
            #expect(page.value("pg_up") == 1)
            #expect(page.value("fine_n") == 7)
            for name in ["endless", "wide", "many"] {
                #expect(page.value("outrigger_collector_last_error{class=\"limit\",collector=\"\(name)\"}") == 1)
            }
            #expect(failing(page).count == 3)
            // The second time they rest.
            #expect(page.value("outrigger_postgres_answers_dropped_total") == 3)
        }
        await target.close()
        await server.stop()
    }

    @Test func extensionsAreFoundInAnySchema() async throws {
        let server = try await LocalPostgres.start(settings: ["shared_preload_libraries = 'pg_stat_statements'"])
        let target = try PostgresTarget(
            configuration(server.url()) {
                $0.collectors = ["stat_statements"]
                $0.refusalPause = .zero
            })
        let without = try await scrape(target)
        #expect(without.value(#"outrigger_collector_last_error{class="missing",collector="stat_statements"}"#) == 1)
        #expect(without.value("pg_exporter_last_scrape_error") == 0)
        try await server.sql(
            "CREATE SCHEMA \"Some \"\"where\"; CREATE EXTENSION pg_stat_statements SCHEMA \"Some \"\"where\"; SELECT 1")
        // Which extensions there are is asked together with everything else.
        _ = try await scrape(target)
        let found = try await scrape(target)
        #expect(failing(found) == [])
        #expect(!found.series("pg_stat_statements_calls_total").isEmpty)
        try await server.sql("ALTER EXTENSION pg_stat_statements SET SCHEMA public")
        _ = try await scrape(target)
        #expect(failing(try await scrape(target)) == [])
        await target.close()
        await server.stop()
    }

    @Test func aMistakeInAFileOfQueriesCostsItsQuery() async throws {
        let folder = try TemporaryFolder("outrigger-queries")
        let good = """
            good: {query: "SELECT 1 AS n", search_path: app, metrics: [{n: {usage: GAUGE}}]}
            bad: {query: "SELECT 1 AS n", metrics: [{n: {usage: GUAGE}}]}
            good_again: {query: "SELECT 1 AS n", metrics: [{n: {usage: COUNTER}}]}
            """
        try Files.write(good, to: folder.path + "/some.yaml")
        try Files.write(
            "good_too: {query: \"SELECT 1 AS n\", metrics: [{n: {usage: GAUGE}}]}\n", to: folder.path + "/all.yaml")
        try Files.write("{ no: yaml", to: folder.path + "/none.yaml")
        let paths = ["some", "all", "none", "absent"].map { "\(folder.path)/\($0).yaml" }
        let settings = Settings(environment: ["OUTRIGGER_POSTGRES_EXTEND_QUERY_PATH": paths.joined(separator: ",")])
        let configuration = try PostgresTarget.Configuration(settings, aliases: false)
        #expect(configuration.customQueries.map(\.name) == ["good", "good_again", "good_too"])
        #expect(configuration.queryFiles.map(\.path) == paths)
        #expect(configuration.queryFiles.map(\.isBroken) == [true, false, true, true])
        #expect(configuration.queryFiles.map { $0.hash.isEmpty } == [false, false, false, true])
    }
}
