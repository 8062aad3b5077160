import CLinux
import Glibc
import Network
import Runtime

/// A client that says exactly what a test tells it, message by message.
final class WireClient {
    struct Message: Equatable, CustomStringConvertible {
        let type: Character
        let body: [UInt8]

        var description: String { "\(type)(\(String(decoding: body.map { $0 == 0 ? 32 : $0 }, as: UTF8.self)))" }

        /// A field of an error.
        func field(_ letter: Character) -> String? {
            for part in body.split(separator: 0) where part.first == letter.asciiValue {
                return String(decoding: part.dropFirst(), as: UTF8.self)
            }
            return nil
        }
    }

    enum Fault: Error { case cannotConnect, closed, late }

    private let descriptor: Int32
    private var input: [UInt8] = []
    private(set) var pid: Int32 = 0
    private(set) var secret: [UInt8] = []
    private(set) var parameters: [String: String] = [:]

    /// Connects, and says nothing.
    init(connectingTo port: UInt16) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard LoopbackAddress.with(port: port, { connect(descriptor, $0, $1) }) == 0 else { throw Fault.cannotConnect }
        var patience = timeval(tv_sec: 60, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    }

    /// Logs in.
    convenience init(
        port: UInt16, user: String = "postgres", database: String = "postgres", minor: Int = 0,
        _ parameters: [String: String] = [:]
    ) throws {
        try self.init(connectingTo: port)
        send(Self.startup(user: user, database: database, minor: minor, parameters))
        try finishLogin()
    }

    deinit { hangUp() }

    private var isOpen = true

    func hangUp() {
        guard isOpen else { return }
        isOpen = false
        Glibc.close(descriptor)
    }

    static func startup(
        user: String, database: String, minor: Int = 0, _ parameters: [String: String] = [:]
    ) -> [UInt8] {
        var body = int32(3 << 16 | minor)
        for (name, value) in [("user", user), ("database", database)] + parameters.map({ ($0.key, $0.value) }) {
            body += Array(name.utf8) + [0] + Array(value.utf8) + [0]
        }
        body.append(0)
        return int32(body.count + 4) + body
    }

    @discardableResult
    func finishLogin() throws -> [Message] {
        let messages = try readToReady()
        for message in messages {
            switch message.type {
            case "K":
                pid = Int32(bitPattern: UInt32(Self.number(message.body[0..<4])))
                secret = Array(message.body[4...])
            case "E": throw Refusal(message: message)
            default: break
            }
        }
        return messages
    }

    private func note(_ parameter: Message) {
        let parts = parameter.body.split(separator: 0, omittingEmptySubsequences: false)
        parameters[String(decoding: parts[0], as: UTF8.self)] = String(decoding: parts[1], as: UTF8.self)
    }

    struct Refusal: Error { let message: Message }

    // MARK: Sending

    func send(_ bytes: [UInt8]) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }

    static func int32(_ value: Int) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * $0)) } }

    static func number(_ bytes: ArraySlice<UInt8>) -> Int { bytes.reduce(0) { $0 << 8 | Int($1) } }

    static func frame(_ type: Character, _ body: [UInt8]) -> [UInt8] {
        [type.asciiValue ?? 0] + int32(body.count + 4) + body
    }

    private static func text(_ text: String) -> [UInt8] { Array(text.utf8) + [0] }

    static func query(_ sql: String) -> [UInt8] { frame("Q", text(sql)) }
    static func parse(_ name: String, _ sql: String) -> [UInt8] { frame("P", text(name) + text(sql) + [0, 0]) }
    static func bind(_ statement: String, portal: String = "", _ values: [String] = []) -> [UInt8] {
        let count = [UInt8(values.count >> 8), UInt8(values.count & 255)]
        return frame(
            "B",
            text(portal) + text(statement) + [0, 0] + count
                + values.flatMap { int32($0.utf8.count) + Array($0.utf8) } + [0, 0])
    }
    static func describe(statement: String) -> [UInt8] { frame("D", Array("S".utf8) + text(statement)) }
    static func execute(portal: String = "") -> [UInt8] { frame("E", text(portal) + int32(0)) }
    static func close(statement: String) -> [UInt8] { frame("C", Array("S".utf8) + text(statement)) }
    static let sync = frame("S", [])
    static let flush = frame("H", [])
    static let terminate = frame("X", [])

    // MARK: Receiving

    func read() throws -> Message {
        while true {
            if input.count >= 5 {
                let size = Self.number(input[1..<5]) + 1
                if input.count >= size {
                    let message = Message(type: Character(UnicodeScalar(input[0])), body: Array(input[5..<size]))
                    input.removeFirst(size)
                    return message
                }
            }
            var chunk = [UInt8](repeating: 0, count: 65536)
            let count = recv(descriptor, &chunk, chunk.count, 0)
            guard count != 0 else { throw Fault.closed }
            guard count > 0 else { throw errno == EAGAIN ? Fault.late : Fault.closed }
            input += chunk[..<count]
        }
    }

    /// Whether something has come, or comes within so many milliseconds.
    func hasInput(within milliseconds: Int32) -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return !input.isEmpty || poll(&entry, 1, milliseconds) > 0
    }

    /// One byte that has no message around it.
    func readByte() throws -> UInt8 {
        var byte: UInt8 = 0
        guard recv(descriptor, &byte, 1, 0) == 1 else { throw Fault.closed }
        return byte
    }

    func readToReady() throws -> [Message] {
        var messages: [Message] = []
        while true {
            let message = try read()
            messages.append(message)
            if message.type == "S" { note(message) }
            if message.type == "Z" { return messages }
            if message.type == "E", message.field("V") == "FATAL" { return messages }
        }
    }

    /// Asks, and returns the first value of the first row; an error as `!` and its code.
    @discardableResult
    func ask(_ sql: String) throws -> String? {
        send(Self.query(sql))
        return Self.value(try readToReady())
    }

    static func value(_ messages: [Message]) -> String? {
        if let error = messages.first(where: { $0.type == "E" }) { return "!" + (error.field("C") ?? "") }
        guard let row = messages.first(where: { $0.type == "D" }), row.body.count >= 6 else { return nil }
        let size = Int(Int32(bitPattern: UInt32(number(row.body[2..<6]))))
        return size < 0 ? nil : String(decoding: row.body[6..<6 + size], as: UTF8.self)
    }

    /// The letters of what came.
    static func letters(_ messages: [Message]) -> String {
        String(messages.map(\.type).filter { $0 != "S" && $0 != "N" })
    }

    /// Sends and returns the letters of what came up to ReadyForQuery.
    func exchange(_ parts: [UInt8]...) throws -> String {
        send(parts.flatMap { $0 })
        return Self.letters(try readToReady())
    }

    /// Asks for this session's statement to be cancelled.
    static func cancel(port: UInt16, pid: Int32, secret: [UInt8]) throws {
        let client = try WireClient(connectingTo: port)
        client.send(int32(12 + secret.count) + int32(1234 << 16 | 5678) + int32(Int(pid)) + secret)
        // The other side closes once it has dealt with it.
        _ = try? client.read()
    }
}
