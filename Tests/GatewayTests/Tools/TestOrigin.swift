import LocalServers
import Network
import Runtime
import Synchronization

/// A service that answers as the test says, in this process. It reads only what a gateway may send: canonical HTTP/1.1.
final class TestOrigin: Sendable {
    struct Request: Sendable {
        /// As it came, with the head.
        let raw: String
        let method: String
        let target: String
        let fields: [(name: String, value: String)]
        let body: [UInt8]

        subscript(_ name: String) -> String? { fields.first { $0.name == name.lowercased() }?.value }
        func all(_ name: String) -> [String] { fields.filter { $0.name == name.lowercased() }.map(\.value) }
        var text: String { String(decoding: body, as: UTF8.self) }
    }

    /// What goes back.
    final class Responder: @unchecked Sendable {
        private let connection: StreamConnection

        fileprivate init(_ connection: StreamConnection) { self.connection = connection }

        /// Bytes as they are. Any thread.
        func send(_ text: String, thenClose: Bool = false) { send(Array(text.utf8), thenClose: thenClose) }

        func send(_ bytes: [UInt8], thenClose: Bool = false) {
            connection.loop.post { [self] in
                connection.send(bytes.span)
                if thenClose { connection.closeWhenSent() }
            }
        }

        func answer(_ status: Int = 200, _ fields: [String] = [], _ body: String = "") {
            send(
                "HTTP/1.1 \(status) Fine\r\n" + fields.map { $0 + "\r\n" }.joined()
                    + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
        }
    }

    typealias Handler = @Sendable (Request, Responder) -> Void

    let port: UInt16
    private let loop = EventLoop("test-origin")
    private let listener: StreamListener
    private let core: Core

    private final class Core: Sendable {
        let log = Mutex<[Request]>([])
        let accepted = Atomic<Int>(0)
        let handler: Handler
        init(_ handler: @escaping Handler) { self.handler = handler }
    }

    init(port: UInt16 = 0, _ handler: @escaping Handler) throws {
        let core = Core(handler)
        self.core = core
        listener = try StreamListener(ListenAddress(host: "127.0.0.1", port: port), on: loop) { connection in
            core.accepted.add(1, ordering: .relaxed)
            connection.owner = Connection(core)
        }
        self.port = listener.address.port
    }

    deinit { stop() }

    func stop() {
        listener.stop()
        loop.end()
    }

    var requests: [Request] { core.log.withLock { $0 } }
    var accepted: Int { core.accepted.load(ordering: .relaxed) }

    private final class Connection: StreamOwner {
        let core: Core
        init(_ core: Core) { self.core = core }

        func received(_ connection: StreamConnection) {
            connection.takeInput { input in
                var copy: [UInt8] = []
                copy.append(bytes: input)
                var taken = 0
                while let (request, length) = Self.parse(copy[taken...]) {
                    taken += length
                    core.log.withLock { $0.append(request) }
                    core.handler(request, Responder(connection))
                }
                return taken
            }
        }

        func drained(_ connection: StreamConnection) {}
        func closed(_ connection: StreamConnection) {}

        private static func parse(_ bytes: ArraySlice<UInt8>) -> (Request, Int)? {
            guard let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) else { return nil }
            let head = String(decoding: bytes[..<end.lowerBound], as: UTF8.self)
            let lines = head.components(separatedBy: "\r\n")
            let words = lines[0].split(separator: " ")
            let fields = lines.dropFirst().map { line -> (name: String, value: String) in
                let colon = line.firstIndex(of: ":") ?? line.startIndex
                return (line[..<colon].lowercased(), String(line[line.index(after: colon)...].dropFirst()))
            }
            var body: [UInt8] = []
            var place = end.upperBound
            if let length = fields.first(where: { $0.name == "content-length" }).flatMap({ Int($0.value) }) {
                guard bytes.endIndex - place >= length else { return nil }
                body = Array(bytes[place..<place + length])
                place += length
            } else if fields.contains(where: { $0.name == "transfer-encoding" }) {
                while true {
                    guard let line = bytes[place...].firstRange(of: Array("\r\n".utf8)) else { return nil }
                    let size = Int(String(decoding: bytes[place..<line.lowerBound], as: UTF8.self), radix: 16) ?? 0
                    place = line.upperBound
                    if size == 0 {
                        guard let last = bytes[(place - 2)...].firstRange(of: Array("\r\n\r\n".utf8)) else {
                            return nil
                        }
                        place = last.upperBound
                        break
                    }
                    guard bytes.endIndex - place >= size + 2 else { return nil }
                    body += bytes[place..<place + size]
                    place += size + 2
                }
            }
            let request = Request(
                raw: String(decoding: bytes[..<place], as: UTF8.self), method: String(words.first ?? ""),
                target: words.count > 1 ? String(words[1]) : "", fields: fields, body: body)
            return (request, place - bytes.startIndex)
        }
    }
}
