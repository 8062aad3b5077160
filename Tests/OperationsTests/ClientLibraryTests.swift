import LocalServers
import Metrics
import Network
import Runtime
import Testing

@testable import Operations

/// The libraries that services use, from PyPI: `statsd` and `datadog`. `make test` installs them.
@Suite struct ClientLibraryTests {
    /// Runs a Python script that sends to a receiver, and returns what was served when `isDone` says that all is there.
    private func serve(
        _ script: String, isDone: (OperationRecorder) -> Bool
    ) async throws -> OperationRecorder? {
        guard let python = Environment.current["TEST_PYTHON"] else {
            print("skipped: TEST_PYTHON is not set; make test sets it")
            return nil
        }
        let folder = try TemporaryFolder()
        let configuration = OperationsConfiguration(
            operations: .init(tags: ["route"]),
            statsd: .init(address: ListenAddress(host: "127.0.0.1", port: 0), path: folder.path + "/dsd.sock"))
        let recorder = OperationRecorder(configuration)
        let receiver = try StatsDReceiver(configuration, recorder)
        let port = try #require(receiver.addresses.first.flatMap { ListenAddress(setting: $0) }).port
        try Files.write(script, to: folder.path + "/send.py")
        try await LocalServer.run(
            python, [folder.path + "/send.py", "\(port)", folder.path + "/dsd.sock"], folder: folder)
        let deadline = Deadline.after(.seconds(120))
        while !isDone(recorder), !deadline.hasPassed { try await Task.sleep(for: .milliseconds(5)) }
        #expect(served(recorder).allSatisfy { !$0.hasPrefix("outrigger_statsd_malformed_total") || $0.hasSuffix(" 0") })
        return recorder
    }

    @Test func pythonStatsd() async throws {
        let recorder = try await serve(
            """
            import statsd, sys
            client = statsd.StatsClient("127.0.0.1", int(sys.argv[1]), prefix="shop")
            client.incr("orders", 3)
            client.decr("stock", 2)
            client.gauge("queue", 40)
            client.gauge("queue", -15, delta=True)
            client.gauge("temperature", -4)
            client.set("users", "ann"); client.set("users", "bob"); client.set("users", "ann")
            client.timing("checkout", 320)
            with client.timer("render"): pass
            with client.pipeline() as pipe:
                for _ in range(50): pipe.incr("packed"); pipe.timing("packed_time", 10)
            client.incr("done")
            """
        ) { $0.value("shop_done") == 1 }
        guard let recorder else { return }
        #expect(recorder.value("shop_orders") == 3)
        // A counter cannot fall; what is sent to make it is counted as dropped.
        #expect(recorder.value(#"outrigger_statsd_samples_dropped_total{reason="negative"}"#) == 1)
        #expect(recorder.value("shop_queue") == 25)
        #expect(recorder.value("shop_temperature") == -4)
        #expect(recorder.value("shop_users") == 2)
        #expect(
            recorder.value(#"outrigger_operation_duration_seconds_sum{operation="shop.checkout",status="ok"}"#) == 0.32)
        #expect(recorder.value(#"outrigger_operations_total{operation="shop.render",status="ok"}"#) == 1)
        #expect(recorder.value("shop_packed") == 50)
        #expect(recorder.value(#"outrigger_operations_total{operation="shop.packed_time",status="ok"}"#) == 50)
    }

    @Test(arguments: [#"host="127.0.0.1", port=int(sys.argv[1])"#, "socket_path=sys.argv[2]"])
    func pythonDatadog(_ destination: String) async throws {
        let recorder = try await serve(
            """
            import sys
            from datadog.dogstatsd import DogStatsd
            client = DogStatsd(\(destination), constant_tags=["env:test"], disable_telemetry=True)
            client.increment("page.views", 2, tags=["page:home"])
            client.gauge("pool.size", 12.5)
            client.set("visitors", "ann"); client.set("visitors", "bob")
            client.timing("query", 40, tags=["route:list", "user:17"])
            client.histogram("upload", 0.25, tags=["status:error"])
            client.distribution("latency", 0.5)
            client.event("deployed", "version 2\\nis out", alert_type="success", tags=["a:b"])
            client.service_check("redis.up", DogStatsd.WARNING, tags=["shard:1"], message="slow")
            client.flush()
            client.increment("done")
            client.flush()
            """
        ) { $0.value(#"done{env="test"}"#) == 1 }
        guard let recorder else { return }
        #expect(recorder.value(#"page_views{env="test",page="home"}"#) == 2)
        #expect(recorder.value(#"pool_size{env="test"}"#) == 12.5)
        #expect(recorder.value(#"visitors{env="test"}"#) == 2)
        let sum = "outrigger_operation_duration_seconds_sum"
        #expect(recorder.value(#"\#(sum){operation="query",route="list",status="ok"}"#) == 0.04)
        // What has no unit is no operation.
        #expect(recorder.value(#"upload_sum{env="test",status="error"}"#) == 0.25)
        #expect(recorder.value(#"latency_sum{env="test"}"#) == 0.5)
        #expect(recorder.value(#"outrigger_operation_errors_total{operation="upload"}"#) == nil)
        #expect(recorder.value(#"outrigger_statsd_events_total{alert_type="success"}"#) == 1)
        #expect(recorder.value(#"outrigger_service_check_status{check="redis.up",env="test",shard="1"}"#) == 1)
    }
}
