import LocalServers
import Runtime
import Testing

@testable import Gateway

/// Services and clients that are not ours, with the gateway between them.
@Suite struct RealServiceTests {
    private static let app = """
        import asyncio
        from starlette.applications import Starlette
        from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
        from starlette.routing import Route, WebSocketRoute

        async def home(request):
            return JSONResponse({"path": request.url.path, "bytes": len(await request.body())})

        async def upload(request):
            count = 0
            async for chunk in request.stream():
                count += len(chunk)
            return PlainTextResponse(str(count))

        async def download(request):
            async def pieces():
                for _ in range(int(request.query_params["mb"]) * 16):
                    yield b"x" * 65536
            return StreamingResponse(pieces())

        async def events(request):
            async def pieces():
                yield "data: first\\n\\n"
                await told.wait()
                yield "data: second\\n\\n"
            return StreamingResponse(pieces(), media_type="text/event-stream")

        async def tell(request):
            told.set()
            return PlainTextResponse("told")

        async def socket(socket):
            await socket.accept()
            while True:
                message = await socket.receive()
                if message["type"] == "websocket.disconnect":
                    break
                if message.get("bytes") is not None:
                    await socket.send_bytes(message["bytes"][::-1])
                else:
                    await socket.send_text(message["text"].upper())

        told = asyncio.Event()
        app = Starlette(routes=[
            Route("/", home, methods=["GET", "POST"]), Route("/upload", upload, methods=["POST"]),
            Route("/download", download), Route("/events", events), Route("/tell", tell), WebSocketRoute("/socket", socket)])
        """

    private static let client = """
        import asyncio, os, sys
        import httpx, requests, websockets

        base = "127.0.0.1:" + sys.argv[1]

        async def main():
            async with httpx.AsyncClient(timeout=120, base_url="http://" + base) as client:
                assert (await client.post("/", content=b"a" * 100000)).json() == {"path": "/", "bytes": 100000}
                async def pieces():
                    for _ in range(16 * 16):
                        yield b"y" * 65536
                assert (await client.post("/upload", content=pieces())).text == str(16 << 20)
                count = 0
                async with client.stream("GET", "/download?mb=32") as answer:
                    async for piece in answer.aiter_raw():
                        count += len(piece)
                assert count == 32 << 20, count
                # The second event comes only after the first has been seen.
                async with client.stream("GET", "/events", headers={"Accept-Encoding": "br, gzip"}) as answer:
                    lines = answer.aiter_lines()
                    assert await anext(lines) == "data: first"
                    assert (await client.get("/tell")).text == "told"
                    assert [line async for line in lines if line] == ["data: second"]
            async with websockets.connect("ws://" + base + "/socket", max_size=None) as socket:
                await socket.send("hello")
                assert await socket.recv() == "HELLO"
                data = os.urandom(1 << 20)
                await socket.send(data)
                assert await socket.recv() == data[::-1]
            session = requests.Session()
            for number in range(20):
                assert session.get("http://" + base + f"/?{number}").json()["path"] == "/"

        asyncio.run(main())
        print("all is well")
        """

    private static func service() async throws -> LocalServer {
        let folder = try TemporaryFolder("outrigger-gateway")
        try Files.write(app, to: folder.path + "/app.py")
        let port = FreePort.next()
        return try await LocalServer.start(
            TestPython.path, ["-m", "uvicorn", "app:app", "--port", "\(port)", "--log-level", "warning"],
            folder: folder,
            port: port
        ) { FreePort.isOpen(port) }
    }

    @Test func uvicornServesHttpxRequestsAndWebsockets() async throws {
        let service = try await Self.service()
        let gateway = try TestGateway(to: [service.port]) {
            $0.limits.body = 1 << 30
            $0.routes[0].compression = CompressionRules()
            $0.routes[0].cache = AnswerCacheRules()
        }
        let folder = try TemporaryFolder("outrigger-gateway")
        try Files.write(Self.client, to: folder.path + "/client.py")
        let text = try await LocalServer.run(
            TestPython.path, [folder.path + "/client.py", "\(gateway.port)"], folder: folder)
        #expect(text == "all is well\n")
        await service.process.stop()
    }

    @Test(.enabled(if: Files.exists("/usr/bin/node"), "no node on this machine"))
    func nodeServesCurl() async throws {
        let folder = try TemporaryFolder("outrigger-gateway")
        let port = FreePort.next()
        try Files.write(
            """
            require('http').createServer((request, response) => {
              let count = 0
              request.on('data', piece => count += piece.length)
              request.on('end', () => { response.write(`${request.method} ${count} `); response.end(request.headers['via']) })
            }).listen(\(port), '127.0.0.1')
            """, to: folder.path + "/service.js")
        let service = try await LocalServer.start("node", [folder.path + "/service.js"], folder: folder, port: port) {
            FreePort.isOpen(port)
        }
        let gateway = try TestGateway(to: [port]) { $0.limits.body = 1 << 30 }
        try Files.write(String(repeating: "z", count: 3_000_000), to: folder.path + "/body")
        let url = "http://127.0.0.1:\(gateway.port)/"
        for options in [
            ["--data-binary", "@body"], ["--data-binary", "@body", "-H", "Transfer-Encoding: chunked"], ["-T", "body"],
        ] {
            let text = try await LocalServer.run("curl", ["-sS"] + options + [url], folder: folder)
            #expect(text == "\(options[0] == "-T" ? "PUT" : "POST") 3000000 1.1 outrigger")
        }
        await service.process.stop()
    }

    /// Clients who send slowly keep nobody else waiting.
    @Test func othersAreServedBesideSlowClients() throws {
        let origin = try TestOrigin { _, responder in responder.answer(200, [], "ok") }
        let gateway = try TestGateway(to: [origin.port]) { $0.limits.connectionsPerClient = 1000 }
        let slow = try (0..<300).map { index in
            let client = try RawHTTP(port: gateway.port)
            client.send(
                index % 2 == 0
                    ? "GET / HTTP/1.1\r\nHost: x\r\nX-A: " : "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\na")
            return client
        }
        for _ in 0..<50 { #expect(try RawHTTP.get("/", port: gateway.port).text == "ok") }
        #expect(slow.count == 300)
    }
}
