import Network
import Runtime

/// What answers clients that log in to the database `outrigger`, or `pgbouncer`.
public protocol Console: Sendable {
    /// Whether a user may log in to it; the proxy has checked that it is that user.
    func admits(_ user: String) -> Bool
    /// Answers one statement, without its semicolon.
    func answer(_ statement: String, of user: String, _ control: any PoolControl) async -> ConsoleAnswer
}

/// What a statement in the console is answered with.
public enum ConsoleAnswer: Sendable {
    /// Rows of text; nil is NULL.
    case rows([String], [[String?]])
    /// Done, and nothing to show.
    case done(tag: String)
    case failed(code: String, message: String)

    func write(to bytes: inout [UInt8], tag: String, describing: Bool = true) {
        switch self {
        case .rows(let columns, let rows):
            if describing { Self.describe(columns, areNumbersTold: true, to: &bytes) }
            for row in rows {
                bytes.append(frame: FromServer.dataRow) {
                    $0.append(int16: row.count)
                    for value in row {
                        guard let value else {
                            $0.append(int32: -1)
                            continue
                        }
                        $0.append(int32: value.utf8.count)
                        $0.append(contentsOf: value.utf8)
                    }
                }
            }
            bytes.append(commandTag: tag)
        case .done(let tag): bytes.append(commandTag: tag)
        case .failed(let code, let message): bytes.append(Complaint(.error, code, message))
        }
    }

    /// - Parameter areNumbersTold: not in the extended protocol, where a client might want them in their binary format.
    static func describe(_ columns: [String], areNumbersTold: Bool = false, to bytes: inout [UInt8]) {
        bytes.append(frame: FromServer.rowDescription) {
            $0.append(int16: columns.count)
            for column in columns {
                $0.append(zeroTerminated: column.utf8)
                $0.append(int32: 0)
                $0.append(int16: 0)
                let isNumber = areNumbersTold && ConsoleTables.isNumber(column)
                $0.append(int32: isNumber ? 20 : 25)
                $0.append(int16: isNumber ? 8 : -1)
                $0.append(int32: -1)
                $0.append(int16: 0)
            }
        }
    }
}

/// A client of the console: simple and extended protocol, one statement at a time. For the loop's thread.
final class ConsoleSession {
    private let connection: StreamConnection
    private let pooler: Pooler
    private let user: String
    private var isBusy = false
    private var skipsToSync = false
    private var statements: [[UInt8]: String] = [:]
    private var portals: [[UInt8]: String] = [:]
    /// Answers that were made for a Describe, for the Execute that follows.
    private var answers: [[UInt8]: ConsoleAnswer] = [:]

    private static let mostBytes = 64 << 10
    private static let mostNames = 64

    init(_ connection: StreamConnection, _ request: LoginRequest, _ pooler: Pooler) {
        (self.connection, self.pooler) = (connection, pooler)
        user = String(decoding: request.user, as: UTF8.self)
    }

    func begin() {
        guard pooler.console?.admits(user) ?? false else {
            connection.send { $0.append(Complaint.fatal("28000", "user \"\(self.user)\" may not use the console")) }
            return connection.closeWhenSent()
        }
        connection.send { bytes in
            for (name, value) in Self.parameters { bytes.append(parameter: Array(name.utf8), Array(value.utf8)) }
            bytes.append(frame: FromServer.backendKey) {
                $0.append(int32: 0)
                $0.append(contentsOf: Secrets.random(4))
            }
            bytes.append(ready: .idle)
        }
        received()
    }

    /// What drivers read of a server before they speak to it.
    private static let parameters = [
        ("server_version", "15.0 (Outrigger)"), ("server_encoding", "UTF8"), ("client_encoding", "UTF8"),
        ("DateStyle", "ISO, MDY"), ("TimeZone", "UTC"), ("integer_datetimes", "on"), ("IntervalStyle", "postgres"),
        ("standard_conforming_strings", "on"), ("is_superuser", "on"),
    ]

    func received() {
        var isOver = false
        while !isBusy, !isOver {
            var message: (type: UInt8, body: [UInt8])?
            connection.takeInput { bytes in
                guard bytes.count >= Frame.headBytes else { return 0 }
                guard let frame = Frame(bytes, at: 0), frame.size <= Self.mostBytes else {
                    isOver = true
                    return bytes.count
                }
                guard bytes.count >= frame.size else { return 0 }
                message = (frame.type, bytes.array(Frame.headBytes..<frame.size))
                return frame.size
            }
            if isOver { return connection.close() }
            guard let message else { return }
            take(message.type, message.body)
        }
    }

    private func take(_ type: UInt8, _ body: [UInt8]) {
        if type == FromClient.sync {
            skipsToSync = false
            return connection.send { $0.append(ready: .idle) }
        }
        if type == FromClient.terminate { return connection.closeWhenSent() }
        guard !skipsToSync else { return }
        let parts = body.split(separator: 0, omittingEmptySubsequences: false)
        switch type {
        case FromClient.query: answerQuery(parts.first.map { String(decoding: $0, as: UTF8.self) } ?? "")
        case FromClient.parse:
            guard parts.count >= 2, statements.count < Self.mostNames else { return fail() }
            statements[Array(parts[0])] = String(decoding: parts[1], as: UTF8.self)
            connection.send { $0.append(frame: FromServer.parseComplete) }
        case FromClient.bind:
            guard parts.count >= 2, let statement = statements[Array(parts[1])], portals.count < Self.mostNames else {
                return fail()
            }
            portals[Array(parts[0])] = statement
            answers[Array(parts[0])] = nil
            connection.send { $0.append(frame: FromServer.bindComplete) }
        case FromClient.describe: describe(body)
        case FromClient.execute: execute(parts.first.map { Array($0) } ?? [])
        case FromClient.close:
            let name = Array(body.dropFirst().prefix { $0 != 0 })
            if body.first == UInt8(ascii: "S") { statements[name] = nil } else { portals[name] = nil }
            connection.send { $0.append(frame: FromServer.closeComplete) }
        case FromClient.flush: break
        default: connection.close()
        }
    }

    private func fail() {
        skipsToSync = true
        connection.send { $0.append(Complaint(.error, "26000", "no such statement or portal in the console")) }
    }

    private func answerQuery(_ text: String) {
        let statements = text.split(separator: ";").map { Self.trimmed(String($0)) }.filter { !$0.isEmpty }
        guard !statements.isEmpty else {
            return connection.send { bytes in
                bytes.append(frame: FromServer.emptyQuery)
                bytes.append(ready: .idle)
            }
        }
        answerNext(statements[...])
    }

    private func answerNext(_ statements: ArraySlice<String>) {
        guard let statement = statements.first else { return connection.send { $0.append(ready: .idle) } }
        ask(statement) { [self] answer in
            connection.send { answer.write(to: &$0, tag: Self.verb(statement)) }
            if case .failed = answer { return connection.send { $0.append(ready: .idle) } }
            answerNext(statements.dropFirst())
        }
    }

    private func describe(_ body: [UInt8]) {
        let name = Array(body.dropFirst().prefix { $0 != 0 })
        let isStatement = body.first == UInt8(ascii: "S")
        guard let statement = isStatement ? statements[name] : portals[name] else { return fail() }
        ask(statement) { [self] answer in
            connection.send { bytes in
                if isStatement { bytes.append(frame: FromServer.parameters) { $0.append(int16: 0) } }
                if case .rows(let columns, _) = answer {
                    ConsoleAnswer.describe(columns, to: &bytes)
                } else {
                    bytes.append(frame: FromServer.noData)
                }
            }
            if !isStatement { answers[name] = answer }
        }
    }

    private func execute(_ portal: [UInt8]) {
        guard let statement = portals[portal] else { return fail() }
        if let known = answers.removeValue(forKey: portal) { return send(known, statement) }
        ask(statement) { [self] answer in send(answer, statement) }
    }

    private func send(_ answer: ConsoleAnswer, _ statement: String) {
        if case .failed = answer { skipsToSync = true }
        connection.send { answer.write(to: &$0, tag: Self.verb(statement), describing: false) }
    }

    /// Asks the console off the loop, and goes on when it has answered.
    private func ask(_ statement: String, then: @escaping (ConsoleAnswer) -> Void) {
        guard let console = pooler.console, let control = pooler.control else {
            return then(.failed(code: "55000", message: "the console is not there"))
        }
        isBusy = true
        let errand = Errand { [self] answer in
            isBusy = false
            then(answer)
            received()
        }
        Self.begin(Self.trimmed(statement), of: user, console, control, errand, pooler.loop)
    }

    private static func begin(
        _ statement: String, of user: String, _ console: any Console, _ control: any PoolControl, _ errand: Errand,
        _ loop: EventLoop
    ) {
        Task {
            let answer = await console.answer(statement, of: user, control)
            loop.post { errand.then(answer) }
        }
    }

    /// Carries what is to be done on the loop through a task.
    private struct Errand: @unchecked Sendable { let then: (ConsoleAnswer) -> Void }

    private static func trimmed(_ text: String) -> String {
        var bytes = Array(text.utf8)[...]
        while let last = bytes.last, last <= 0x20 || last == UInt8(ascii: ";") { bytes.removeLast() }
        while let first = bytes.first, first <= 0x20 { bytes.removeFirst() }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func verb(_ statement: String) -> String {
        String(trimmed(statement).prefix { !$0.isWhitespace }).uppercased()
    }
}
