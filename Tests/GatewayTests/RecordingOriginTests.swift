import LocalServers
import Runtime
import Testing

@testable import Gateway

/// The corpus sent through a gateway to a service that judges by h11, which is somebody else's reader: whatever arrives
/// there has to be exactly what was meant.
@Suite struct RecordingOriginTests {
    /// Answers every request, and writes a line about each, and about each connection that h11 does not understand.
    private static let script = """
        import h11, json, socket, sys, threading

        log = open(sys.argv[2], "a", buffering=1)
        lock = threading.Lock()

        def note(**what):
            with lock:
                log.write(json.dumps(what) + "\\n")

        def serve(peer):
            reader = h11.Connection(h11.SERVER)
            request, body = None, b""
            try:
                while True:
                    event = reader.next_event()
                    if event is h11.NEED_DATA:
                        data = peer.recv(65536)
                        reader.receive_data(data)
                    elif isinstance(event, h11.Request):
                        request, body = event, b""
                    elif isinstance(event, h11.Data):
                        body += bytes(event.data)
                    elif isinstance(event, h11.EndOfMessage):
                        note(target=request.target.decode("latin1"), method=request.method.decode("latin1"),
                             body=body.decode("latin1"), names=[n.decode("latin1") for n, _ in request.headers])
                        peer.sendall(reader.send(h11.Response(status_code=200, headers=[("Content-Length", "2")])))
                        peer.sendall(reader.send(h11.Data(data=b"ok")))
                        peer.sendall(reader.send(h11.EndOfMessage()))
                        if reader.our_state is h11.MUST_CLOSE:
                            break
                        reader.start_next_cycle()
                    else:
                        if request is not None and reader.their_state is h11.SEND_BODY:
                            note(cut=True)
                        break
            except h11.RemoteProtocolError as error:
                note(**({"cut": True} if "peer closed" in str(error) else {"error": str(error)}))
            except OSError:
                pass
            peer.close()

        listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=256)
        while True:
            peer, _ = listener.accept()
            threading.Thread(target=serve, args=(peer,), daemon=True).start()
        """

    private struct Recorder {
        let server: LocalServer
        var port: UInt16 { server.port }
        var lines: [JSON] {
            let text = (try? Files.readText(server.folder.path + "/requests")) ?? ""
            return text.split(separator: "\n").compactMap { try? JSON.parse(Array($0.utf8)) }
        }

        static func start() async throws -> Recorder {
            let folder = try TemporaryFolder("outrigger-gateway")
            try Files.write(script, to: folder.path + "/origin.py")
            let port = FreePort.next()
            let server = try await LocalServer.start(
                TestPython.path, [folder.path + "/origin.py", "\(port)", folder.path + "/requests"], folder: folder,
                port: port
            ) { FreePort.isOpen(port) }
            return Recorder(server: server)
        }
    }

    @Test func nothingAmbiguousArrives() async throws {
        let recorder = try await Recorder.start()
        let gateway = try TestGateway(to: [recorder.port])
        var statuses: [Int] = []
        for example in Corpus.refused {
            for pieces in Self.pieces(example.text) {
                let client = try RawHTTP(port: gateway.port)
                for piece in pieces { client.send(piece) }
                client.finishSending()
                let answer = try? client.answer()
                // A line that never ended is no request at all.
                statuses.append(answer?.status ?? 0)
                #expect((400...599).contains(answer?.status ?? 400), "\(example.text.debugDescription)")
                #expect(try client.readToEnd().isEmpty, "more than one answer: \(example.text.debugDescription)")
            }
        }
        #expect(statuses.count { $0 >= 400 } > statuses.count * 9 / 10)
        let arrived = recorder.lines.filter { $0["error"] == nil && $0["cut"] == nil }
        #expect(recorder.lines.filter { $0["error"] != nil }.isEmpty, "\(recorder.lines)")
        #expect(arrived.isEmpty, "\(arrived.prefix(5))")
    }

    @Test func whatIsClearArrivesOnceAndWhole() async throws {
        let recorder = try await Recorder.start()
        let gateway = try TestGateway(to: [recorder.port])
        var wanted = 0
        for example in Corpus.accepted {
            for pieces in Self.pieces(example.text) {
                let client = try RawHTTP(port: gateway.port)
                for piece in pieces { client.send(piece) }
                for _ in 0..<example.requests {
                    #expect(try client.answer().status == 200, "\(example.text.debugDescription)")
                }
                wanted += example.requests
            }
        }
        #expect(recorder.lines.count == wanted)
        #expect(recorder.lines.allSatisfy { $0["target"] != nil })
    }

    /// Whole, byte by byte, and cut within the first line, the fields and the body.
    private static func pieces(_ text: String) -> [[[UInt8]]] {
        let bytes = Array(text.utf8)
        guard bytes.count > 3 else { return [[bytes]] }
        let cuts = [bytes.count / 3, bytes.count * 2 / 3, bytes.count - 1]
        return [[bytes], bytes.map { [$0] }] + cuts.map { [Array(bytes[..<$0]), Array(bytes[$0...])] }
    }
}
