import LocalServers
import Runtime
import Testing

@Suite struct ServedOperationsTests {
    @Test func postedEventsAndStatsDAreServedAndPagesOfOtherSitesMayNotPost() async throws {
        let outrigger = try await RunningOutrigger.start(
            yaml: """
                operations: {buckets: [0.1, 1], tags: [route]}
                statsd:
                  listen_unixgram: dsd.sock
                  mappings: [{match: "jobs.*.done", name: jobs_done_total, labels: {queue: $1}}]

                """)
        let body = #"[{"name": "pay", "duration_ms": 250, "tags": {"route": "/pay"}}]"#
        let taken = try await outrigger.get("/v1/events", ["-X", "POST", "--data", body])
        #expect(taken.status == 200)
        #expect(taken.body == #"{"accepted":1}"#)
        let wrong = try await outrigger.get("/v1/events", ["-X", "POST", "--data", #"[{"nam": "pay"}]"#])
        #expect(wrong.status == 400)
        #expect(wrong.body == #"{"error":"unknown field","index":0,"field":"nam"}"#)
        let foreign = try await outrigger.get(
            "/v1/events", ["-X", "POST", "--data", body, "-H", "Sec-Fetch-Site: cross-site"])
        #expect(foreign.status == 403)
        try await LocalServer.run(
            "python3",
            [
                "-c",
                "import socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.sendto(b'jobs.mail.done:4|c', 'dsd.sock')",
            ], folder: outrigger.folder)
        let deadline = Deadline.after(.seconds(120))
        var metrics = ""
        while !metrics.contains(#"jobs_done_total{queue="mail"} 4"#), !deadline.hasPassed {
            metrics = try await outrigger.get("/metrics").body
        }
        #expect(metrics.contains(#"jobs_done_total{queue="mail"} 4"#))
        #expect(
            metrics.contains(
                #"outrigger_operation_duration_seconds_bucket{le="1",operation="pay",route="/pay",status="ok"} 1"#))
        #expect(metrics.contains("node_load1 "))
        await outrigger.stop()
        #expect(!Files.exists(outrigger.folder.path + "/dsd.sock"))
    }

    @Test func aClientOfStatsDCannotSayThatRedisIsUp() async throws {
        let outrigger = try await RunningOutrigger.start(
            yaml: """
                redis: {url: "redis://127.0.0.1:\(FreePort.next())"}
                statsd: {listen_unixgram: dsd.sock}
                collect: {min_age: 0s}

                """)
        try await LocalServer.run(
            "python3",
            [
                "-c",
                "import socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.sendto(b'redis_up:1|g\\nshop:1|g', 'dsd.sock')",
            ], folder: outrigger.folder)
        let deadline = Deadline.after(.seconds(120))
        var metrics = ""
        while !metrics.contains("\nshop 1\n"), !deadline.hasPassed {
            metrics = try await outrigger.get("/metrics").body
        }
        #expect(metrics.contains("\nredis_up 0\n") && !metrics.contains("redis_up 1"))
        let refused = try await outrigger.get("/metrics").body
        #expect(refused.contains("outrigger_series_name_taken_total ") && !refused.contains("_name_taken_total 0"))
        #expect(outrigger.log.contains("its name is taken"))
        await outrigger.stop()
    }
}
