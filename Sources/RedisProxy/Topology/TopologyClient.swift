import Network
import Runtime

/// Runs `work` on the loop's thread after so many milliseconds.
public typealias LoopTimer = (_ milliseconds: Int, _ work: @escaping @Sendable () -> Void) -> Void

/// Who we are to a Redis or a Sentinel.
public struct TopologyLogin: Sendable {
    let user: String?
    let password: String?

    /// - Parameter user: nil for Redis' default user.
    public init(user: String? = nil, password: String? = nil) {
        self.user = user
        self.password = password
    }

    /// `AUTH`, where there is a password.
    var greeting: [[String]] { password.map { [["AUTH"] + (user.map { [$0] } ?? []) + [$0]] } ?? [] }
}

/// Asks single nodes single questions, each over a connection of its own: rare enough for that, and nobody else's
/// connection is disturbed. Only for the loop's thread, where it also calls back.
public final class TopologyClient: @unchecked Sendable {
    public typealias Answers = Result<[RESPValue], TopologyFault>

    let loop: EventLoop
    private let after: LoopTimer
    private let tls: TLSClients?
    private let lookup = NameLookup()
    private var conversations: [ObjectIdentifier: TopologyConversation] = [:]

    /// - Parameter tls: nil for plain connections.
    public init(on loop: EventLoop, tls: TLSClients? = nil, after: @escaping LoopTimer) {
        self.loop = loop
        self.tls = tls
        self.after = after
    }

    /// Sends commands in one go and waits for as many replies, which may be errors; one that answers the login with an
    /// error counts as a refusal of everything.
    ///
    /// - Parameter done: is called exactly once, but not before this call has returned.
    public func ask(
        _ commands: [[String]], of node: NodeAddress, as login: TopologyLogin, within milliseconds: Int,
        _ done: @escaping (Answers) -> Void
    ) {
        let conversation = TopologyConversation(commands, login) { [self] conversation, answers in
            conversations[ObjectIdentifier(conversation)] = nil
            done(answers)
        }
        conversations[ObjectIdentifier(conversation)] = conversation
        after(milliseconds) { conversation.end(.timedOut(milliseconds: milliseconds)) }
        connect(to: node) { conversation.begin($0) }
    }

    /// Listens to one channel until the connection is lost, or `close` is called.
    ///
    /// - Parameters:
    ///   - heard: is called with the text of each message.
    ///   - lost: is called at most once, and not after `close`.
    /// - Returns: to be kept for as long as it shall listen.
    func subscribe(
        to channel: String, of node: NodeAddress, as login: TopologyLogin, heard: @escaping (String) -> Void,
        lost: @escaping (TopologyFault) -> Void
    ) -> TopologySubscription {
        let subscription = TopologySubscription(channel, login, heard: heard, lost: lost)
        connect(to: node) { [weak subscription] in subscription?.begin($0) }
        return subscription
    }

    /// Begins to connect to a node, whose name is looked up first where it has one.
    ///
    /// - Parameter found: is called exactly once, but not before this call has returned. A connection may still fail.
    func connect(
        to node: NodeAddress, _ found: @escaping @Sendable (Result<StreamConnection, TopologyFault>) -> Void
    ) {
        let (loop, tls) = (loop, tls?.client(for: node.host))
        guard self.tls == nil || tls != nil else {
            return loop.post { found(.failure(.unreachable)) }
        }
        @Sendable func connect(_ address: Result<StreamAddress, TopologyFault>) {
            loop.post {
                found(
                    address.flatMap { address in
                        address.connect(on: loop, tls: tls).map { .success($0) } ?? .failure(.unreachable)
                    })
            }
        }
        guard !node.isNumeric else { return connect(node.lookedUp()) }
        let lookup = lookup
        Task { connect(await lookup.address(of: node)) }
    }

    /// Where a node is.
    ///
    /// - Parameter found: is called exactly once: at once for a number, and later for a name.
    func lookUp(_ node: NodeAddress, _ found: @escaping (Result<StreamAddress, TopologyFault>) -> Void) {
        guard !node.isNumeric else { return found(node.lookedUp()) }
        let answer = Answer(found)
        let (lookup, loop) = (lookup, loop)
        Task {
            let address = await lookup.address(of: node)
            loop.post { answer.found(address) }
        }
    }

    /// On its way through another thread, which does not call it.
    private struct Answer: @unchecked Sendable {
        let found: (Result<StreamAddress, TopologyFault>) -> Void
        init(_ found: @escaping (Result<StreamAddress, TopologyFault>) -> Void) { self.found = found }
    }
}

extension NodeAddress {
    /// Blocks for as long as the resolver takes, unless the host is a number.
    fileprivate func lookedUp() -> Result<StreamAddress, TopologyFault> {
        do throws(StreamAddress.Unknown) {
            return .success(try StreamAddress(host: host, port: port))
        } catch {
            return .failure(.unknownHost(error.description))
        }
    }
}

/// Looks hosts up on a thread of its own, because that blocks.
private actor NameLookup {
    private let thread = BlockingThread("topology-names")
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe thread.asUnownedSerialExecutor() }

    func address(of node: NodeAddress) -> Result<StreamAddress, TopologyFault> { node.lookedUp() }
}

/// One connection, what is said on it, and the replies.
private final class TopologyConversation: StreamOwner, @unchecked Sendable {
    private let commands: [[String]]
    private let login: TopologyLogin
    private var done: ((TopologyConversation, TopologyClient.Answers) -> Void)?
    private var connection: StreamConnection?
    private var reader = TopologyReader()
    private var replies: [RESPValue] = []

    init(
        _ commands: [[String]], _ login: TopologyLogin,
        _ done: @escaping (TopologyConversation, TopologyClient.Answers) -> Void
    ) {
        self.commands = commands
        self.login = login
        self.done = done
    }

    func begin(_ found: Result<StreamConnection, TopologyFault>) {
        switch found {
        case .failure(let fault): end(fault)
        case .success(let fresh):
            guard done != nil else { return fresh.close() }
            connection = fresh
            fresh.owner = self
            fresh.send(commands: login.greeting + commands)
        }
    }

    func received(_ connection: StreamConnection) {
        do throws(TopologyFault) {
            replies += try reader.take(from: connection)
        } catch {
            return end(error)
        }
        let greetings = login.greeting.count
        if let refusal = replies.prefix(greetings).lazy.compactMap(\.error).first { return end(.refused(refusal)) }
        guard replies.count >= greetings + commands.count else { return }
        end(with: .success(Array(replies[greetings..<greetings + commands.count])))
    }

    func drained(_ connection: StreamConnection) {}
    func closed(_ connection: StreamConnection) { end(.unreachable) }

    func end(_ fault: TopologyFault) { end(with: .failure(fault)) }

    private func end(with answers: TopologyClient.Answers) {
        guard let done else { return }
        self.done = nil
        connection?.close()
        done(self, answers)
    }
}

/// A connection that listens.
final class TopologySubscription: StreamOwner, @unchecked Sendable {
    private let channel: String
    private let login: TopologyLogin
    private let heard: (String) -> Void
    private var lost: ((TopologyFault) -> Void)?
    private var connection: StreamConnection?
    private var reader = TopologyReader()

    init(
        _ channel: String, _ login: TopologyLogin, heard: @escaping (String) -> Void,
        lost: @escaping (TopologyFault) -> Void
    ) {
        self.channel = channel
        self.login = login
        self.heard = heard
        self.lost = lost
    }

    func begin(_ found: Result<StreamConnection, TopologyFault>) {
        switch found {
        case .failure(let fault): end(fault)
        case .success(let fresh):
            guard lost != nil else { return fresh.close() }
            connection = fresh
            fresh.owner = self
            fresh.send(commands: login.greeting + [["SUBSCRIBE", channel]])
        }
    }

    func received(_ connection: StreamConnection) {
        do throws(TopologyFault) {
            for reply in try reader.take(from: connection) {
                if let error = reply.error { throw .refused(error) }
                guard let fields = reply.elements, fields.count == 3, fields[0].text == "message" else { continue }
                heard(fields[2].text ?? "")
            }
        } catch {
            end(error)
        }
    }

    func drained(_ connection: StreamConnection) {}
    func closed(_ connection: StreamConnection) { end(.unreachable) }

    func close() {
        lost = nil
        connection?.close()
    }

    private func end(_ fault: TopologyFault) {
        guard let lost else { return }
        close()
        lost(fault)
    }
}

/// Takes whole replies apart as they come.
private struct TopologyReader {
    private var skimmer = ReplySkimmer(limitBytes: RESPValue.Limits().bytes)

    mutating func take(from connection: StreamConnection) throws(TopologyFault) -> [RESPValue] {
        var replies: [RESPValue] = []
        var fault: TopologyFault?
        connection.takeInput { input in
            var taken = 0
            while taken < input.count, fault == nil {
                let rest = input.extracting(droppingFirst: taken)
                switch skimmer.next(in: rest) {
                case .incomplete: return taken
                case .failed(let found): fault = .unreadable(.reply(found))
                case .reply(let reply):
                    taken += reply.length
                    do throws(RESPValue.Fault) {
                        replies.append(try RESPValue(rest.extracting(first: reply.length)))
                    } catch {
                        fault = .unreadable(error)
                    }
                }
            }
            return taken
        }
        if let fault { throw fault }
        return replies
    }
}

extension StreamConnection {
    fileprivate func send(commands: [[String]]) {
        send { output in
            for words in commands {
                output.append(arrayOf: words.count)
                for word in words { output.append(bulk: word) }
            }
        }
    }
}
