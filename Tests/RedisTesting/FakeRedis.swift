import Glibc
import RedisProxy
import Runtime
import Synchronization

/// A server that speaks enough of Redis to stand behind the proxy, and does what a test tells it: it holds replies and
/// commands back, sends invalidations when it is told to, keeps silent, and remembers what it was asked.
///
/// Only strings, `GET`, `MGET`, `SET`, `INCR`, `PTTL` and what the proxy says on its own behalf.
package final class FakeRedis: Sendable {
    private struct State {
        var values: [String: String] = [:]
        var lifetimes: [String: Int] = [:]
        /// Errors to answer a command with.
        var errors: [String: String] = [:]
        /// Commands that are carried out, whose replies wait.
        var heldReplies: Set<String> = []
        /// Commands that are not carried out yet.
        var heldCommands: Set<String> = []
        /// Commands behind whose replies the connection is closed.
        var last: Set<String> = []
        /// Commands under which the connection is closed, once they are carried out.
        var fatal: Set<String> = []
        var connections: [Int32: Connection] = [:]
        var asked: [[String]] = []
        var isOver = false
    }

    private struct Connection {
        let number: Int
        var isFeed = false
        var isMute = false
        /// From the first held one on: replies, and commands that are carried out when their turn comes.
        var held: [Held] = []
    }

    private enum Held {
        case reply([UInt8])
        case command([String])
    }

    package let port: UInt16
    private let listener: Int32
    private let state = Mutex(State())

    /// On a free port of the loopback interface.
    package init() {
        let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isReady = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(socket, $0, length) == 0 && listen(socket, 128) == 0 && getsockname(socket, $0, &length) == 0
            }
        }
        precondition(isReady, "listen on loopback: \(String(cString: strerror(errno)))")
        (listener, port) = (socket, UInt16(bigEndian: address.sin_port))
        let thread = BlockingThread("fake-redis")
        Task { await Runner(thread).run { self.accept() } }
    }

    /// Ends it; connections close.
    package func stop() {
        state.withLock { state in
            state.isOver = true
            for descriptor in state.connections.keys { shutdown(descriptor, Int32(SHUT_RDWR)) }
        }
        shutdown(listener, Int32(SHUT_RDWR))
    }

    // MARK: What it does

    /// Keeps a value without telling anybody; nil removes it.
    package func keep(_ key: String, _ value: String?, lifetimeMs: Int? = nil) {
        state.withLock {
            $0.values[key] = value
            $0.lifetimes[key] = lifetimeMs
        }
    }

    package func fail(_ command: String, with error: String?) { state.withLock { $0.errors[command] = error } }
    /// Carries such commands out, and holds their replies and all that come behind on that connection.
    package func holdReplies(to command: String) { state.withLock { _ = $0.heldReplies.insert(command) } }
    /// Leaves such commands for later, with all that come behind on that connection.
    package func holdCommand(_ command: String) { state.withLock { _ = $0.heldCommands.insert(command) } }
    /// Answers such a command, and closes the connection.
    package func closeBehind(_ command: String) { state.withLock { _ = $0.last.insert(command) } }
    package func closeUnder(_ command: String) { state.withLock { _ = $0.fatal.insert(command) } }

    /// Lets what is held go on, in the order in which the connections came, and holds nothing more.
    ///
    /// - Parameter place: only what is held on the connection that is at that place among those.
    package func release(only place: Int? = nil) {
        state.withLock { state in
            let holding = state.connections.filter { !$0.value.held.isEmpty }.sorted {
                $0.value.number < $1.value.number
            }
            (state.heldReplies, state.heldCommands) = ([], [])
            for (index, (descriptor, connection)) in holding.enumerated() where place == nil || place == index {
                state.connections[descriptor]?.held = []
                for held in connection.held {
                    switch held {
                    case .reply(let bytes): put(bytes, descriptor)
                    case .command(let words): put(reply(to: words, descriptor, &state), descriptor)
                    }
                }
            }
        }
    }

    /// Tells whoever listens that a key was changed; nil for all keys.
    package func invalidate(_ key: String?) {
        var message: [UInt8] = []
        message.append(arrayOf: 3)
        message.append(bulk: "message")
        message.append(bulk: "__redis__:invalidate")
        if let key {
            message.append(arrayOf: 1)
            message.append(bulk: key)
        } else {
            message += Array("*-1\r\n".utf8)
        }
        state.withLock { state in
            for (descriptor, connection) in state.connections where connection.isFeed { put(message, descriptor) }
        }
    }

    /// Says nothing more on the connections that tell of changes, and keeps them open.
    package func silenceFeeds() {
        state.withLock { state in
            for (descriptor, connection) in state.connections where connection.isFeed {
                state.connections[descriptor]?.isMute = true
            }
        }
    }

    package func closeConnections(feeds: Bool) {
        state.withLock { state in
            for (descriptor, connection) in state.connections where connection.isFeed == feeds {
                shutdown(descriptor, Int32(SHUT_RDWR))
            }
        }
    }

    /// How often it was asked this.
    package func count(_ words: String...) -> Int { state.withLock { $0.asked.count { $0 == words } } }

    /// Waits until it was asked this so often in all.
    package func wait(for words: String..., count: Int = 1) throws {
        let deadline = Deadline.after(.seconds(120))
        while state.withLock({ $0.asked.count { $0 == words } }) < count {
            guard !deadline.hasPassed else { throw NeverAsked(words: words) }
            usleep(500)
        }
    }

    package struct NeverAsked: Error { let words: [String] }

    // MARK: Connections

    private actor Runner {
        private let thread: BlockingThread
        nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }
        init(_ thread: BlockingThread) { self.thread = thread }
        func run(_ body: @Sendable () -> Void) { body() }
    }

    private func accept() {
        var number = 0
        while !state.withLock({ $0.isOver }) {
            let descriptor = Glibc.accept(listener, nil, nil)
            guard descriptor >= 0 else { break }
            number += 1
            state.withLock { $0.connections[descriptor] = Connection(number: number) }
            let thread = BlockingThread("fake-redis")
            Task { await Runner(thread).run { self.serve(descriptor) } }
        }
        close(listener)
    }

    private func serve(_ descriptor: Int32) {
        var (input, skimmer): ([UInt8], ReplySkimmer) = ([], ReplySkimmer())
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        serving: while true {
            let got = recv(descriptor, &chunk, chunk.count, 0)
            guard got > 0 else { break }
            input += chunk[..<got]
            while case .reply(let command) = skimmer.next(in: input.span) {
                let words = Reply(Array(input[..<command.length])).elements.map(\.text)
                input.removeFirst(command.length)
                guard hear(words, descriptor) else { break serving }
            }
        }
        state.withLock { state in
            state.connections[descriptor] = nil
            close(descriptor)
        }
    }

    /// - Returns: false to close the connection.
    private func hear(_ words: [String], _ descriptor: Int32) -> Bool {
        state.withLock { state in
            state.asked.append(words)
            let name = words.first ?? ""
            guard let connection = state.connections[descriptor] else { return false }
            if state.heldCommands.contains(name) || !connection.held.isEmpty {
                state.connections[descriptor]?.held.append(.command(words))
                return true
            }
            let bytes = reply(to: words, descriptor, &state)
            if state.fatal.contains(name) { return false }
            if state.heldReplies.contains(name) {
                state.connections[descriptor]?.held.append(.reply(bytes))
            } else if !connection.isMute {
                put(bytes, descriptor)
            }
            return !state.last.contains(name)
        }
    }

    private func put(_ bytes: [UInt8], _ descriptor: Int32) {
        _ = bytes.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
    }

    private func reply(to words: [String], _ descriptor: Int32, _ state: inout State) -> [UInt8] {
        let name = words.first ?? ""
        if let error = state.errors[name] { return Array("-\(error)\r\n".utf8) }
        var bytes: [UInt8] = []
        func append(value key: String, _ state: State) {
            if let value = state.values[key] { bytes.append(bulk: value) } else { bytes += Array("$-1\r\n".utf8) }
        }
        switch name {
        case "PING" where state.connections[descriptor]?.isFeed == true:
            bytes.append(arrayOf: 2)
            bytes.append(bulk: "pong")
            bytes.append(bulk: words.count > 1 ? words[1] : "")
        case "PING": bytes.append(status: "PONG")
        case "CLIENT" where words.dropFirst().first == "ID": bytes = Array(":\(descriptor)\r\n".utf8)
        case "SUBSCRIBE":
            state.connections[descriptor]?.isFeed = true
            bytes.append(arrayOf: 3)
            bytes.append(bulk: "subscribe")
            bytes.append(bulk: words.count > 1 ? words[1] : "")
            bytes += Array(":1\r\n".utf8)
        case "CLIENT", "SELECT", "EVAL", "MULTI": bytes.append(status: "OK")
        case "GET": append(value: words[1], state)
        case "MGET":
            bytes.append(arrayOf: words.count - 1)
            for key in words.dropFirst() { append(value: key, state) }
        case "PTTL":
            let left = state.values[words[1]] == nil ? -2 : state.lifetimes[words[1]] ?? -1
            bytes = Array(":\(left)\r\n".utf8)
        case "SET":
            state.values[words[1]] = words[2]
            bytes.append(status: "OK")
        case "INCR":
            let value = (state.values[words[1]].flatMap { Int($0) } ?? 0) + 1
            state.values[words[1]] = "\(value)"
            bytes = Array(":\(value)\r\n".utf8)
        default: bytes.append(error: "ERR unknown command '\(name)'")
        }
        return bytes
    }
}
