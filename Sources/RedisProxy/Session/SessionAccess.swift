import Runtime

/// Commands about the client's own connection: who the client is, what it calls itself, which protocol and database it uses.
extension RelaySession {
    func runOfSession(_ command: Command, _ words: [Range<Int>], _ bytes: Span<UInt8>) -> Bool {
        switch SessionCommand(command, words, in: bytes, identity) {
        case .become(let identity, _) where identity.database != 0 && relay.cluster != nil:
            answer { $0.append(error: "ERR SELECT is not allowed in cluster mode") }
        case .become(let identity, let question): return become(identity, question)
        case .authenticate(let request): return authenticate(request, bytes)
        case .greet(let request): return greet(request)
        case .setName(let name):
            self.name = name
            answer { $0.append(status: "OK") }
        case .tellName:
            answer { [name, identity] reply in
                if name.isEmpty { reply.append(nullIn: identity.version) } else { reply.append(bulk: name.span) }
            }
        case .refuse(let error): answer { $0.append(error: error) }
        case .quit:
            answer { $0.append(status: "OK") }
            endWhenAnswered()
        case .reset: return reset()
        case .ofTheConnection: return takeOwn()
        }
        return true
    }

    private func authenticate(_ request: AuthRequest, _ bytes: Span<UInt8>) -> Bool {
        guard order.inFlight == 0 else {
            hold = .order
            return false
        }
        let whole = bytes.copy(0..<bytes.count)
        judge(user: request.user, password: request.password) { [self] verdict in
            switch verdict {
            case .refused(let reply, let pause): refuse(reply, after: pause)
            case .accepted(let user):
                authenticated(as: user)
                answer { $0.append(status: "OK") }
            case .askRedis, .unsure:
                let given = Credentials(user: request.user, password: request.password)
                _ = become(identity.with(given, relay.options), whole, .given(given))
            }
        }
        return true
    }

    /// Nothing is read from the client until the verdict is here.
    private func judge(user: [UInt8]?, password: [UInt8], _ then: @escaping (ProxyAccess.Verdict) -> Void) {
        let verdict = admission.judge(user: user, password: password)
        guard verdict == .unsure else { return then(verdict) }
        hold = .event
        admission.check(user: user, password: password) { [self] verdict in
            guard isClientOpen else { return }
            hold = .nothing
            then(verdict)
            goOn(unlessHeld: true)
        }
    }

    /// Who guesses is told later, and not read from until then.
    private func refuse(_ reply: String, after pause: Duration) {
        guard pause > .zero else { return answer { $0.append(error: reply) } }
        hold = .event
        relay.loop.after(milliseconds: pause.milliseconds) { [weak self] in
            guard let self, isClientOpen else { return }
            answer { $0.append(error: reply) }
            goOn()
        }
    }

    private func greet(_ request: HelloRequest) -> Bool {
        guard order.inFlight == 0 else {
            hold = .order
            return false
        }
        var other = identity
        if let version = request.version { other.version = version }
        guard let credentials = request.credentials else {
            guard !admission.mustAuthenticate else {
                answer { $0.append(error: HelloRequest.needsCredentials) }
                return true
            }
            return become(other, request.question(withCredentials: false), name: request.name)
        }
        judge(user: credentials.user, password: credentials.password) { [self] verdict in
            switch verdict {
            case .refused(let reply, let pause): refuse(reply, after: pause)
            case .accepted(let user):
                _ = become(other, request.question(withCredentials: false), .accepted(user), name: request.name)
            case .askRedis, .unsure:
                let given = Credentials(user: credentials.user, password: credentials.password)
                _ = become(
                    other.with(given, relay.options), request.question(withCredentials: true), .given(given),
                    name: request.name)
            }
        }
        return true
    }

    private func authenticated(as user: [UInt8]) {
        admission.authenticated(as: user)
        reader.isAuthenticated = true
    }

    /// Whether a client says who it is, when it becomes another.
    private enum Proof {
        case none
        /// The proxy has found it right.
        case accepted([UInt8])
        /// Redis is to judge.
        case given(Credentials)
    }

    /// Speaks for another identity, once Redis has agreed.
    ///
    /// - Parameters:
    ///   - question: that Redis agrees to; it leaves a connection of that identity as it is.
    ///   - name: that the client takes with it; nil to keep the one it has.
    private func become(
        _ identity: Identity, _ question: [UInt8], _ proof: Proof = .none, name: [UInt8]? = nil
    ) -> Bool {
        guard order.inFlight == 0 else {
            hold = .order
            return false
        }
        hold = .event
        let lane = relay.enter(identity)
        let number = order.begin()
        let connections = lane.connections(to: anyNode)
        let fast = connections.fast[self.number % connections.fast.count]
        var takesAnyPassword = false
        if admission.mustAuthenticate, case .given(let given) = proof, let user = given.user {
            // A user of Redis without a password accepts every one, which is not what a password was asked for. If it
            // does, the connection is that user's already.
            fast.ask(Credentials(user: user, password: Self.nobodysPassword()).command) { reply, kind in
                takesAnyPassword = reply != nil && kind != .error
            }
        }
        fast.ask(question) { [self] reply, kind in
            var refusal: [UInt8] = []
            var pause = Duration.zero
            var (reply, isAgreed) = (reply, reply != nil && kind != .error)
            if reply == nil {
                // Of credentials only the proxy's own get here, which are right as far as it knows.
                reply = relay.agree(to: identity, insteadOfRedis: question, number: self.number)
                isAgreed = reply != nil
            }
            if isAgreed, client.isOpen, !takesAnyPassword {
                relay.leave(self.lane)
                (self.lane, self.identity) = (lane, identity)
                if let name { self.name = name }
                switch proof {
                case .none: break
                case .accepted(let user): authenticated(as: user)
                case .given(let given): authenticated(as: given.user ?? ProxyUsers.standard)
                }
            } else {
                relay.leave(lane)
                if case .given(let given) = proof, let reply, kind == .error, Self.isWrongPassword(reply) {
                    pause = admission.refusedByRedis(given)
                }
                refusal.append(error: takesAnyPassword ? Self.needsPassword : RelayText.unreachable)
                guard reply != nil || takesAnyPassword else {
                    answerUnreachable(number)
                    return goOn()
                }
            }
            let text = takesAnyPassword ? refusal : reply ?? refusal
            guard pause > .zero else {
                answer(number, text.span)
                return goOn()
            }
            relay.loop.after(milliseconds: pause.milliseconds) { [weak self] in
                guard let self, isClientOpen else { return }
                answer(number, text.span)
                goOn()
            }
        }
        return true
    }

    private static let needsPassword = "DENIED This user of Redis has no password, and clients of this proxy need one."

    /// One that is nobody's.
    private static func nobodysPassword() -> [UInt8] {
        var dice = SystemRandomNumberGenerator()
        return Array("\(dice.next())-\(dice.next())".utf8)
    }

    /// As newer and older Redis say it.
    private static func isWrongPassword(_ reply: [UInt8]) -> Bool {
        reply.starts(with: "-WRONGPASS".utf8) || reply.starts(with: "-ERR invalid password".utf8)
    }

    private func reset() -> Bool {
        guard order.inFlight == 0 else {
            hold = .order
            return false
        }
        relay.leave(lane)
        identity = Identity(database: relay.options.database)
        lane = relay.enter(identity)
        name = []
        admission.reset()
        reader.isAuthenticated = !admission.mustAuthenticate
        answer { $0.append(status: "RESET") }
        return true
    }
}
