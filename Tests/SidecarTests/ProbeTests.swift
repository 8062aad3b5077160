import LocalServers
import Runtime
import Testing

@Suite struct ProbeTests {
    @Test func onlyAllowedTargetsAreAskedAndOnlyWithConfiguredCredentials() async throws {
        let postgres = try await LocalPostgres.start()
        try await postgres.sql("CREATE ROLE watcher LOGIN PASSWORD 'hidden'; GRANT pg_monitor TO watcher")
        let redis = try await LocalRedis.start(["--requirepass", "hidden"])
        try Files.write(
            #"{"redis://127.0.0.1:\#(redis.port)": "hidden"}"#, to: redis.server.folder.path + "/passwords.json")
        let outrigger = try await RunningOutrigger.start(
            yaml: """
                redis: {check_single_keys: never}
                probe:
                  targets: ["127.0.0.1:\(postgres.port)", "127.0.0.1:\(redis.port)"]
                  redis_password_file: \(redis.server.folder.path)/passwords.json
                  auth_modules:
                    watcher: {type: userpass, userpass: {username: watcher, password: hidden}, options: {sslmode: disable}}
                """)
        let probe = try await outrigger.get("/probe?target=127.0.0.1:\(postgres.port)/postgres&auth_module=watcher")
        #expect(probe.status == 200)
        #expect(probe.body.contains("pg_up 1\n"))
        #expect(!probe.body.contains("\nprocess_"))
        let narrow = try await outrigger.get(
            "/probe?target=127.0.0.1:\(postgres.port)/postgres&auth_module=watcher&collect[]=locks")
        #expect(narrow.body.contains("pg_locks_count{"))
        #expect(!narrow.body.contains("pg_settings_"))
        let scrape = try await outrigger.get("/scrape?target=redis://:wrong@127.0.0.1:\(redis.port)")
        #expect(scrape.body.contains("redis_up 1\n"))
        #expect(scrape.body.contains("redis_key_size{db=\"db0\",key=\"never\"}"))
        let looking = try await outrigger.get(
            "/scrape?target=127.0.0.1:\(redis.port)&check-single-keys=db2%3Da&count-keys=*&unknown=x")
        #expect(looking.body.contains("redis_key_size{db=\"db2\",key=\"a\"} 0\n"))
        #expect(!looking.body.contains("key=\"never\""), "the request's list does not stand in place of the settings'")
        #expect(looking.body.contains("redis_keys_count{db=\"db0\",key=\"*\"} 0\n"))

        for path in [
            "/probe?target=127.0.0.1:1", "/probe?target=host%3D127.0.0.1%20port%3D1",
            "/probe?target=host%3D127.0.0.1,127.0.0.1%20port%3D\(postgres.port)", "/scrape?target=127.0.0.1:1",
        ] {
            #expect(try await outrigger.get(path).status == 403, "\(path)")
        }
        #expect(try await outrigger.get("/probe").status == 400)
        #expect(try await outrigger.get("/scrape").status == 400)
        let bad = try await outrigger.get("/scrape?target=127.0.0.1:\(redis.port)&check-keys=a%3Db%3Dc")
        #expect(bad.status == 400)
        #expect(try await outrigger.get("/probe?target=127.0.0.1:\(postgres.port)&auth_module=nobody").status == 400)
        await outrigger.stop()
        await postgres.stop()
        await redis.stop()
    }

    @Test func nobodyIsAskedByDefault() async throws {
        let outrigger = try await RunningOutrigger.start()
        #expect(try await outrigger.get("/probe?target=127.0.0.1:5432").status == 403)
        #expect(try await outrigger.get("/scrape?target=127.0.0.1:6379").status == 403)
        await outrigger.stop()
    }
}
