import LocalServers
import PostgresProxy
import Runtime
import TestTools
import Testing

/// Programs that were not told of the proxy.
@Suite(.tags(.proof)) struct PostgresProxyRealClientTests {
    private static let modes: [PoolMode] = [.session, .transaction]

    @Test(arguments: modes)
    func psqlSaysTheSameAsDirectly(_ mode: PoolMode) async throws {
        let postgres = try await LocalPostgres.start()
        try await postgres.sql("CREATE TABLE t (id int PRIMARY KEY, name text); CREATE VIEW v AS SELECT * FROM t")
        let bench = try ProxyBench.start(postgres, mode: mode)
        for script in [
            #"\d"#, #"\d t"#, #"\d+ v"#, #"\dn+"#, #"\du"#, #"\l"#, #"\df pg_catalog.lower"#,
            #"\dt pg_catalog.pg_class"#,
            "SELECT 1, NULL, 'a'", "SELECT repeat('x', 300000)", "SHOW server_version",
            "SELECT generate_series(1, 20000)",
            "BEGIN; INSERT INTO t VALUES (1, 'a') RETURNING *; ROLLBACK",
            "DO $$ BEGIN RAISE NOTICE 'so'; END $$; SELECT 2",
        ] {
            #expect(try await bench.psql(script) == bench.psql(script, directly: true), Comment(rawValue: script))
        }
        await bench.proxy.stop()
        await postgres.stop()
    }

    @Test(arguments: modes)
    func copiesInAndOut(_ mode: PoolMode) async throws {
        let postgres = try await LocalPostgres.start()
        let bench = try ProxyBench.start(postgres, mode: mode)
        try await postgres.sql("CREATE TABLE rows (id int, pad text)")
        let folder = try TemporaryFolder("outrigger-copy", owner: LocalServer.unprivilegedUser)
        let file = folder.path + "/rows"
        try Files.write((1...20_000).map { "\($0)\tx\($0)\n" }.joined(), to: file)
        _ = try await bench.psql("\\copy rows from '\(file)'")
        #expect(try await bench.psql("SELECT count(*), sum(id) FROM rows") == "20000|200010000\n")
        #expect(try await bench.psql("COPY rows TO STDOUT") == (try Files.readText(file)))
        // A broken copy leaves a session that goes on.
        try Files.write("1\tx\nno number\ty\n", to: file)
        let broken = try await bench.run(
            "psql", ["-X", "-q", "-A", "-t", "-c", "\\copy rows from '\(file)'", "-c", "SELECT 'still there'"])
        #expect(broken.contains("still there"))
        await bench.proxy.stop()
        await postgres.stop()
    }

    @Test(arguments: modes)
    func pgbenchRunsInEveryProtocol(_ mode: PoolMode) async throws {
        let postgres = try await LocalPostgres.start()
        let bench = try ProxyBench.start(postgres, mode: mode) { $0.size = 3 }
        try await bench.run("pgbench", ["-i", "-q", "-s", "1"])
        let clients = mode == .session ? "3" : "8"
        for query in ["simple", "extended", "prepared"] {
            let said = try await bench.run("pgbench", ["-n", "-M", query, "-c", clients, "-j", "2", "-t", "30"])
            #expect(said.contains("number of failed transactions: 0"), Comment(rawValue: query))
        }
        let folder = try TemporaryFolder("outrigger-pipeline", owner: LocalServer.unprivilegedUser)
        let script = folder.path + "/pipeline"
        try Files.write(
            """
            \\startpipeline
            SELECT 1;
            SELECT abalance FROM pgbench_accounts WHERE aid = 7;
            UPDATE pgbench_tellers SET tbalance = tbalance + 1 WHERE tid = 1;
            \\endpipeline

            """, to: script)
        for query in ["extended", "prepared"] {
            let said = try await bench.run("pgbench", ["-n", "-M", query, "-c", clients, "-t", "30", "-f", script])
            #expect(said.contains("number of failed transactions: 0"), Comment(rawValue: query))
        }
        // Every transaction was applied once.
        #expect(try await postgres.sql("SELECT count(*) FROM pgbench_history") == "\(3 * Int(clients)! * 30)\n")
        await bench.proxy.stop()
        await postgres.stop()
    }

    @Test(arguments: modes)
    func dumpsAndRestores(_ mode: PoolMode) async throws {
        let postgres = try await LocalPostgres.start(settings: ["wal_level = replica", "max_wal_senders = 4"])
        let bench = try ProxyBench.start(postgres, mode: mode)
        try await bench.run("pgbench", ["-i", "-q", "-s", "1"])
        let folder = try TemporaryFolder("outrigger-dump", owner: LocalServer.unprivilegedUser)
        try await bench.run("pg_dump", ["-Fc", "-f", folder.path + "/dump"])
        try await bench.run("createdb", ["copy"])
        try await bench.run("pg_restore", ["-d", "copy", folder.path + "/dump"])
        #expect(try await postgres.sql("SELECT count(*) FROM pgbench_accounts", database: "copy") == "100000\n")
        // Replication is a session of its own in every mode.
        try await bench.run("pg_basebackup", ["-D", folder.path + "/backup", "-c", "fast", "-X", "stream"])
        #expect(Files.exists(folder.path + "/backup/PG_VERSION"))
        await bench.proxy.stop()
        await postgres.stop()
    }

    @Test(arguments: modes)
    func driversOfPythonSayTheSameAsDirectly(_ mode: PoolMode) async throws {
        guard let python = Environment.current["TEST_PYTHON"] else {
            print("skipped: TEST_PYTHON is not set; make test sets it")
            return
        }
        let postgres = try await LocalPostgres.start()
        let bench = try ProxyBench.start(postgres, mode: mode) { $0.size = 2 }
        let folder = try TemporaryFolder("outrigger-drivers")
        let script = folder.path + "/drivers.py"
        try Files.write(DriverScript.text, to: script)
        func say(_ port: UInt16) async throws -> String {
            try await LocalServer.run(python, [script, "\(port)"], folder: folder)
        }
        let direct = try await say(postgres.port)
        #expect(try await say(bench.port) == direct)
        #expect(direct.contains("done"))
        let pinned = await bench.proxy.snapshot().clients.filter { !$0.pins.isEmpty }
        #expect(pinned.isEmpty)
        await bench.proxy.stop()
        await postgres.stop()
    }
}

/// What ordinary drivers do with their defaults; prints what they see, so that two runs can be compared.
enum DriverScript {
    static let text = #"""
        import asyncio, sys
        import asyncpg, psycopg, psycopg2, sqlalchemy

        port = int(sys.argv[1])
        dsn = f"host=127.0.0.1 port={port} user=postgres dbname=postgres"
        url = f"postgresql://postgres@127.0.0.1:{port}/postgres"

        def attempt(label, work):
            try:
                print(label, work())
            except Exception as error:
                print(label, type(error).__name__, str(error).splitlines()[0].replace(str(port), "PORT"))

        def with_psycopg2():
            connection = psycopg2.connect(dsn, application_name="two")
            cursor = connection.cursor()
            cursor.execute("CREATE TABLE IF NOT EXISTS two (id serial PRIMARY KEY, name text)")
            cursor.execute("TRUNCATE two RESTART IDENTITY")
            cursor.execute("INSERT INTO two (name) VALUES (%s), (%s) RETURNING id", ("a", "b"))
            print("returning", cursor.fetchall())
            connection.commit()
            cursor.execute("SHOW application_name")
            print(cursor.fetchall())
            connection.rollback()
            connection.set_session(isolation_level="SERIALIZABLE", readonly=True)
            cursor.execute("SHOW transaction_isolation")
            print(cursor.fetchall())
            attempt("read only", lambda: cursor.execute("INSERT INTO two (name) VALUES ('x')"))
            connection.rollback()
            attempt("syntax", lambda: cursor.execute("SELEC 1"))
            connection.rollback()
            cursor = connection.cursor(name="server_side")
            cursor.execute("SELECT generate_series(1, 5000)")
            print(sum(row[0] for row in cursor))
            connection.commit()
            connection.close()

        def with_psycopg():
            with psycopg.connect(dsn, autocommit=True) as connection:
                for number in range(12):
                    row = connection.execute("SELECT %s::int + 1", (number,)).fetchone()
                    print(row)
                print(connection.execute("SELECT %s", ("text",), prepare=True).fetchone())
                connection.execute("SET search_path TO pg_catalog")
                print(connection.execute("SHOW search_path").fetchone())
                connection.execute("RESET search_path")
                with connection.pipeline():
                    cursors = [connection.execute("SELECT %s::text", (str(number),)) for number in range(30)]
                    print([cursor.fetchone()[0] for cursor in cursors])
                attempt("division", lambda: connection.execute("SELECT 1 / %s", (0,)))
                with connection.transaction():
                    connection.execute("CREATE TABLE IF NOT EXISTS three (id int)")
                    connection.execute("TRUNCATE three")
                    with connection.cursor().copy("COPY three FROM STDIN") as copy:
                        for number in range(1000):
                            copy.write_row((number,))
                print(connection.execute("SELECT count(*), sum(id) FROM three").fetchone())
                with connection.cursor().copy("COPY three TO STDOUT") as copy:
                    print(sum(len(part) for part in copy))

        async def with_asyncpg():
            connection = await asyncpg.connect(url)
            print(await connection.fetchval("SELECT $1::int * 2", 21))
            statement = await connection.prepare("SELECT * FROM generate_series(1, $1)")
            print(len(await statement.fetch(100)), len(await statement.fetch(7)))
            async with connection.transaction():
                print(await connection.fetchval("SELECT 'in a transaction'"))
                try:
                    async with connection.transaction():
                        await connection.execute("SELECT 1 / 0")
                except asyncpg.DivisionByZeroError as error:
                    print(error)
                total = 0
                async for row in connection.cursor("SELECT generate_series(1, 1000) AS n"):
                    total += row["n"]
                print(total)
            try:
                await connection.fetch("SELECT pg_sleep(60)", timeout=0.2)
            except asyncio.TimeoutError:
                print("timed out")
            print(await connection.fetchval("SELECT 'after it'"))
            await connection.execute("CREATE TABLE IF NOT EXISTS four (a int, b text)")
            await connection.execute("TRUNCATE four")
            print(await connection.copy_records_to_table("four", records=[(n, str(n)) for n in range(500)]))
            await connection.reset()
            print(await connection.fetchval("SELECT count(*) FROM four"))
            await connection.close()
            pool = await asyncpg.create_pool(url, min_size=2, max_size=4)
            print(sorted(await asyncio.gather(*(pool.fetchval("SELECT $1::int", n) for n in range(40)))))
            await pool.close()

        def with_sqlalchemy():
            for driver in ("psycopg2", "psycopg"):
                engine = sqlalchemy.create_engine(url.replace("postgresql:", f"postgresql+{driver}:"), pool_pre_ping=True)
                metadata = sqlalchemy.MetaData()
                table = sqlalchemy.Table(
                    f"alchemy_{driver}", metadata, sqlalchemy.Column("id", sqlalchemy.Integer, primary_key=True),
                    sqlalchemy.Column("name", sqlalchemy.String(40)))
                metadata.drop_all(engine)
                metadata.create_all(engine)
                with engine.begin() as connection:
                    connection.execute(table.insert(), [{"name": str(number)} for number in range(50)])
                with engine.connect() as connection:
                    print(driver, connection.execute(sqlalchemy.select(sqlalchemy.func.count()).select_from(table)).scalar())
                print(sorted(sqlalchemy.inspect(engine).get_columns(table.name)[1].keys()))
                engine.dispose()

        with_psycopg2()
        with_psycopg()
        asyncio.run(with_asyncpg())
        with_sqlalchemy()
        attempt("no database", lambda: psycopg.connect(dsn.replace("dbname=postgres", "dbname=nowhere")))
        attempt("options", lambda: psycopg.connect(dsn + " options='-c work_mem=7MB -c search_path=a,b'").execute("SELECT current_setting('work_mem'), current_setting('search_path')").fetchone())
        attempt("bad option", lambda: psycopg.connect(dsn + " options='-c no_such_thing=1'"))
        print("done")

        """#
}
