import Glibc
import Network
import Runtime

/// A plain socket to a server on loopback, and as much HTTP as a test needs to read an answer. Calls block; use it from one
/// thread.
final class RawHTTP: @unchecked Sendable {
    enum Failure: Error {
        case connect(errno: Int32)
        /// The other side has closed before the answer was whole.
        case closed(after: String)
        case silent
    }

    struct Answer {
        let status: Int
        let head: String
        let fields: [(name: String, value: String)]
        let body: [UInt8]

        var text: String { String(decoding: body, as: UTF8.self) }
        subscript(_ name: String) -> String? { fields.first { $0.name == name.lowercased() }?.value }
        func all(_ name: String) -> [String] { fields.filter { $0.name == name.lowercased() }.map(\.value) }
    }

    private var socket: Int32
    private var received: [UInt8] = []
    private var chunk = [UInt8](repeating: 0, count: 64 << 10)

    init(port: UInt16, patience: Duration = .seconds(60)) throws(Failure) {
        socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        let result = LoopbackAddress.with(port: port) { connect(socket, $0, $1) }
        guard result == 0 else { throw .connect(errno: errno) }
        var yes: Int32 = 1
        setsockopt(socket, Int32(IPPROTO_TCP), TCP_NODELAY, &yes, socklen_t(MemoryLayout<Int32>.size))
        var limit = timeval(tv_sec: patience.milliseconds / 1000, tv_usec: patience.milliseconds % 1000 * 1000)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(socket, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
        }
    }

    deinit { hangUp() }

    @discardableResult
    func send(_ bytes: [UInt8]) -> Int {
        var rest = bytes[...]
        while !rest.isEmpty {
            let sent = rest.withUnsafeBytes { Glibc.send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard sent > 0 else { break }
            rest = rest.dropFirst(sent)
        }
        return bytes.count - rest.count
    }

    @discardableResult
    func send(_ text: String) -> Int { send(Array(text.utf8)) }

    func finishSending() { shutdown(socket, Int32(SHUT_WR)) }

    func hangUp(abruptly: Bool = false) {
        guard socket >= 0 else { return }
        if abruptly {
            var option = linger(l_onoff: 1, l_linger: 0)
            setsockopt(socket, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        }
        close(socket)
        socket = -1
    }

    /// - Returns: false at the end of the connection.
    private func receive() throws(Failure) -> Bool {
        let got = chunk.withUnsafeMutableBytes { recv(socket, $0.baseAddress, $0.count, 0) }
        if got < 0, errno == EAGAIN { throw .silent }
        guard got > 0 else { return false }
        received.append(contentsOf: chunk[..<got])
        return true
    }

    /// Everything until the other side closes.
    func readToEnd() throws(Failure) -> [UInt8] {
        while try receive() {}
        defer { received = [] }
        return received
    }

    /// At least so many bytes, which are taken.
    func read(_ count: Int) throws(Failure) -> [UInt8] {
        while received.count < count {
            guard try receive() else { throw .closed(after: String(decoding: received, as: UTF8.self)) }
        }
        defer { received.removeFirst(count) }
        return Array(received[..<count])
    }

    /// Reads one answer.
    func answer(toHead: Bool = false) throws(Failure) -> Answer {
        let head = try readHead()
        let lines = head.components(separatedBy: "\r\n")
        let status = Int(lines[0].split(separator: " ").dropFirst().first ?? "") ?? 0
        let fields = lines.dropFirst().compactMap { line -> (name: String, value: String)? in
            guard let colon = line.firstIndex(of: ":") else { return nil }
            var value = line[line.index(after: colon)...]
            while value.first == " " { value.removeFirst() }
            return (line[..<colon].lowercased(), String(value))
        }
        func field(_ name: String) -> String? { fields.first { $0.name == name }?.value }
        var body: [UInt8] = []
        if toHead || status < 200 || status == 204 || status == 304 {
        } else if field("transfer-encoding") != nil {
            while true {
                let size = Int(try readLine(), radix: 16) ?? 0
                guard size > 0 else { break }
                body += try read(size)
                _ = try readLine()
            }
            while try !readLine().isEmpty {}
        } else if let length = field("content-length").flatMap({ Int($0) }) {
            body = try read(length)
        } else {
            body = try readToEnd()
        }
        return Answer(status: status, head: head, fields: fields, body: body)
    }

    private func readHead() throws(Failure) -> String {
        while true {
            if let end = received.firstRange(of: Array("\r\n\r\n".utf8)) {
                defer { received.removeFirst(end.upperBound) }
                return String(decoding: received[..<end.lowerBound], as: UTF8.self)
            }
            guard try receive() else { throw .closed(after: String(decoding: received, as: UTF8.self)) }
        }
    }

    private func readLine() throws(Failure) -> String {
        while true {
            if let end = received.firstRange(of: Array("\r\n".utf8)) {
                defer { received.removeFirst(end.upperBound) }
                return String(decoding: received[..<end.lowerBound], as: UTF8.self)
            }
            guard try receive() else { throw .closed(after: String(decoding: received, as: UTF8.self)) }
        }
    }

    /// One request on a connection of its own.
    static func get(
        _ path: String, port: UInt16, _ fields: [String] = [], method: String = "GET", body: String? = nil
    ) throws -> Answer {
        let client = try RawHTTP(port: port)
        var text = "\(method) \(path) HTTP/1.1\r\nHost: test\r\n" + fields.map { $0 + "\r\n" }.joined()
        if let body { text += "Content-Length: \(body.utf8.count)\r\n" }
        client.send(text + "\r\n" + (body ?? ""))
        return try client.answer(toHead: method == "HEAD")
    }
}

extension String {
    func components(separatedBy separator: String) -> [String] {
        var parts: [String] = []
        var rest = Array(utf8)[...]
        let mark = Array(separator.utf8)
        while let found = rest.firstRange(of: mark) {
            parts.append(String(decoding: rest[..<found.lowerBound], as: UTF8.self))
            rest = rest[found.upperBound...]
        }
        return parts + [String(decoding: rest, as: UTF8.self)]
    }
}
