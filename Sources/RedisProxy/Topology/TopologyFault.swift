/// Why a node or a Sentinel did not tell what it was asked.
public enum TopologyFault: Error, Equatable, Sendable, CustomStringConvertible {
    case unknownHost(String)
    case unreachable
    case timedOut(milliseconds: Int)
    /// Its error reply.
    case refused(String)
    case unreadable(RESPValue.Fault)
    /// A reply in another form than documented.
    case malformed(String)

    public var description: String {
        switch self {
        case .unknownHost(let problem): problem
        case .unreachable: "cannot be reached"
        case .timedOut(let milliseconds): "no answer within \(milliseconds) ms"
        case .refused(let text): "refused: \(text)"
        case .unreadable(let fault): "\(fault)"
        case .malformed(let what): "unexpected reply: \(what)"
        }
    }
}
