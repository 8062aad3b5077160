/// Where pending writes go: the way to Redis.
public protocol WriteSink: AnyObject, Sendable {
    /// Sends the commands to Redis, in order, on one connection, and tells what it replied.
    ///
    /// Called on any thread, and never before the last batch was answered. Waits for nothing: `then` is called exactly
    /// once, on any thread, with one reply for each command in order; or with fewer, when the connection was lost before
    /// the others came, or none could be made. Those without a reply are sent again, after a while, with newer values where
    /// there are.
    ///
    /// A connection that is given up while commands on it are without a reply may still hold bytes that Redis has yet to
    /// read, if it was stopped for example; they could then overtake newer values on the next connection. So whoever
    /// reconnects first makes sure the former is gone: `CLIENT KILL ID` with what `CLIENT ID` said on it. For the same
    /// reason a sink gives up on a Redis that is silent, in bounded time.
    func send(_ commands: [FlushCommand], then: @escaping @Sendable ([FlushReply]) -> Void)
}

/// A command for Redis that makes a pending write true. Several come grouped by database.
public struct FlushCommand: Equatable, Sendable {
    /// To be selected on the connection before.
    public let database: Int
    /// In the form in which it goes over the wire.
    public let bytes: [UInt8]
}

public enum FlushReply: Equatable, Sendable {
    case done
    /// What Redis said, without the `-`.
    case error(String)

    /// Whether the same command can succeed later, without anybody touching it. All other errors are about the command, and
    /// would be repeated for ever.
    var isPassing: Bool {
        guard case .error(let text) = self else { return false }
        let code = text.prefix { $0 != " " }
        return FlushReply.passing.contains(String(code))
    }

    private static let passing: Set = [
        "ASK", "BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "MISCONF", "MOVED", "NOAUTH", "NOREPLICAS", "OOM",
        "READONLY", "TRYAGAIN",
    ]
}
