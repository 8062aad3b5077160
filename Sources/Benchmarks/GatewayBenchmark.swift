import LocalServers
import Runtime

/// Requests a second and CPU a request through the gateway, nginx and HAProxy, one worker each, in front of the same nginx, by
/// wrk; they take turns.
enum GatewayBenchmark {
    private static let rounds = 5

    /// One way through one of them.
    private struct Way {
        let name: String
        let server: LocalServer
        let port: UInt16
        /// Whose CPU counts: the server with its children.
        var pid: Int32 { server.process.pid }
        var fields: [String] = []
    }

    @Sendable static func run() async throws {
        let folder = try TemporaryFolder("outrigger-bench")
        let origin = try await nginx("origin", folder) { port in
            """
            server { listen 127.0.0.1:\(port);
              location /json { default_type application/json; add_header Cache-Control max-age=3600; alias \(folder.path)/json; }
              location / { default_type text/plain; add_header Cache-Control max-age=3600; return 200 "\(String(repeating: "hello ", count: 16))"; } }
            """
        }
        let json =
            "["
            + (0..<1000).map { "{\"id\":\($0),\"name\":\"user \($0 * 7919 % 1000)\",\"ok\":true,\"score\":\($0 % 97)}" }
            .joined(separator: ",") + "]"
        try Files.write(json, to: folder.path + "/json")
        let peers = try await peers(folder, origin)
        let ours = try await ours(folder, origin)
        for (title, path, names) in [
            ("passing on", "/", ["pass"]), ("answering from memory", "/", ["cache"]),
            ("all steps, beside none", "/", ["steps"]), ("46 kB of JSON as gzip", "/json", ["gzip"]),
        ] {
            let ways = names.flatMap { name in
                ([ours[name]] + peers.map { $0[name] }).compactMap { $0 }
                    + (name == "steps" ? [ours["pass"]].compactMap { $0 } : [])
            }
            try await compare(title, path, ways, folder)
        }
        print("resident: outrigger \(ProcessUsage.residentBytes(ours["pass"]?.pid ?? 0) / 1_000_000) MB\n")
        for server in [origin] + ours.values.map(\.server) + peers.flatMap({ $0.values.map(\.server) }) {
            await server.process.stop()
        }
    }

    private static func compare(_ title: String, _ path: String, _ ways: [Way], _ folder: TemporaryFolder) async throws
    {
        var rates: [String: [Double]] = [:]
        var costs: [String: [Double]] = [:]
        for _ in 0..<rounds {
            for way in ways {
                let before = ProcessUsage.cpuNanoseconds(way.pid)
                let text = try await LocalServer.run(
                    "wrk",
                    ["-t1", "-c50", "-d2", "http://127.0.0.1:\(way.port)\(path)"] + way.fields.flatMap { ["-H", $0] },
                    folder: folder)
                let spent = ProcessUsage.cpuNanoseconds(way.pid) - before
                guard let count = number(before: " requests in", text), count > 0,
                    let rate = number(after: "Requests/sec:", text)
                else { continue }
                rates[way.name, default: []].append(rate)
                costs[way.name, default: []].append(Double(spent) / count / 1000)
            }
        }
        print("| \(title) | requests/s | CPU µs a request |\n|---|---|---|")
        for way in ways {
            guard let rate = rates[way.name], let cost = costs[way.name] else { continue }
            print(
                "| \(way.name) | \(Comparison.grouped(rate.quantile(0.5))) | \(Comparison.text(cost.quantile(0.5))) |")
        }
        print("")
    }

    private static func number(before mark: String, _ text: String) -> Double? {
        for line in text.split(separator: "\n") where line.contains(mark) {
            return line.split(separator: " ").first.flatMap { Double($0) }
        }
        return nil
    }

    private static func number(after mark: String, _ text: String) -> Double? {
        for line in text.split(separator: "\n") where line.hasPrefix(mark) {
            return line.split(separator: " ").last.flatMap { Double($0) }
        }
        return nil
    }

    // MARK: Who takes part

    private static func ours(_ folder: TemporaryFolder, _ origin: LocalServer) async throws -> [String: Way] {
        let steps = """
            input: {max_json_depth: 20}
            rate_limit: {per_minute: 100000000}
            queue: {workers: 1000}
            breaker: true
            compression: true
            """.split(separator: "\n").map { "  " + $0 }.joined(separator: "\n")
        var ways: [String: Way] = [:]
        for (name, extra, fields) in [
            ("pass", "", []), ("cache", "  cache: true", []), ("steps", steps, []),
            ("gzip", "  compression: true", ["Accept-Encoding: gzip"]),
        ] as [(String, String, [String])] {
            let (port, web) = (FreePort.next(), FreePort.next())
            let file = "\(folder.path)/\(name).yml"
            try Files.write(
                "gateway:\n  listen_address: 127.0.0.1:\(port)\n  upstream: http://127.0.0.1:\(origin.port)\n\(extra)\n",
                to: file)
            let server = try await LocalServer.start(
                Benchmarks.outrigger, ["serve", "--config", file, "--web.listen-address=127.0.0.1:\(web)"],
                folder: folder,
                port: port
            ) { FreePort.isOpen(port) }
            ways[name] = Way(name: "outrigger \(name)", server: server, port: port, fields: fields)
        }
        return ways
    }

    private static func peers(_ folder: TemporaryFolder, _ origin: LocalServer) async throws -> [[String: Way]] {
        let upstream = "upstream o { server 127.0.0.1:\(origin.port); keepalive 64; keepalive_requests 100000000; }"
        let pass =
            "proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header X-Forwarded-For $remote_addr; proxy_pass http://o;"
        var nginx: [String: Way] = [:]
        for (name, extra, fields) in [
            ("pass", "", []), ("cache", "proxy_cache z;", []),
            (
                "gzip", "gzip on; gzip_types application/json; gzip_proxied any; gzip_comp_level 6;",
                ["Accept-Encoding: gzip"]
            ),
        ] as [(String, String, [String])] {
            let server = try await Self.nginx(name, folder) { port in
                """
                proxy_cache_path \(folder.path)/cache-\(name) keys_zone=z:10m; \(upstream)
                server { listen 127.0.0.1:\(port); location / { \(extra) \(pass) } }
                """
            }
            nginx[name] = Way(name: "nginx \(name)", server: server, port: server.port, fields: fields)
        }
        let port = FreePort.next()
        try Files.write(
            """
            global
              nbthread 1
            defaults
              mode http
              timeout client 60s
              timeout server 60s
              timeout connect 3s
            frontend f
              bind 127.0.0.1:\(port)
              option forwardfor
              default_backend b
            backend b
              http-reuse always
              server s 127.0.0.1:\(origin.port)

            """, to: folder.path + "/haproxy.cfg")
        let haproxy = try await LocalServer.start(
            "haproxy", ["-f", folder.path + "/haproxy.cfg", "-db"], folder: folder, port: port
        ) { FreePort.isOpen(port) }
        return [nginx, ["pass": Way(name: "haproxy pass", server: haproxy, port: port)]]
    }

    private static func nginx(
        _ name: String, _ folder: TemporaryFolder, _ servers: (UInt16) -> String
    ) async throws -> LocalServer {
        let port = FreePort.next()
        let path = "\(folder.path)/nginx-\(name)"
        try Files.write(
            """
            worker_processes 1; daemon off; user root; pid \(path).pid; error_log \(path).err;
            events { worker_connections 4096; }
            http { access_log off; keepalive_requests 100000000; client_body_temp_path \(path)-body;
              proxy_temp_path \(path)-proxy; fastcgi_temp_path \(path)-f; uwsgi_temp_path \(path)-u; scgi_temp_path \(path)-s;
            \(servers(port)) }

            """, to: path + ".conf")
        return try await LocalServer.start("nginx", ["-c", path + ".conf"], folder: folder, port: port) {
            FreePort.isOpen(port)
        }
    }
}
