import Runtime

/// Why a client's bytes are no command. Redis answers its text and closes the connection.
public enum CommandFault: Error, Equatable, Sendable {
    case badCount, countLineTooLong, unauthenticatedCount
    case badLength, argumentLineTooLong, unauthenticatedLength
    case noDollar(UInt8)
    case noLineEnd
    case inlineTooLong, unbalancedQuotes
    case commandTooLong(limit: Int)

    /// Appends the error reply, line end included.
    public func append(to reply: inout [UInt8]) {
        reply.append(contentsOf: "-ERR Protocol error: ".utf8)
        switch self {
        case .badCount: reply.append(contentsOf: "invalid multibulk length".utf8)
        case .countLineTooLong: reply.append(contentsOf: "too big mbulk count string".utf8)
        case .unauthenticatedCount: reply.append(contentsOf: "unauthenticated multibulk length".utf8)
        case .badLength: reply.append(contentsOf: "invalid bulk length".utf8)
        case .argumentLineTooLong: reply.append(contentsOf: "too big bulk count string".utf8)
        case .unauthenticatedLength: reply.append(contentsOf: "unauthenticated bulk length".utf8)
        case .noDollar(let found):
            reply.append(contentsOf: "expected '$', got '".utf8)
            reply.append(found == 13 || found == 10 ? UInt8(ascii: " ") : found)
            reply.append(UInt8(ascii: "'"))
        case .noLineEnd: reply.append(contentsOf: "expected CRLF after an argument".utf8)
        case .inlineTooLong: reply.append(contentsOf: "too big inline request".utf8)
        case .unbalancedQuotes: reply.append(contentsOf: "unbalanced quotes in request".utf8)
        case .commandTooLong(let limit):
            reply.append(contentsOf: "command longer than ".utf8)
            reply.append(decimal: limit)
            reply.append(contentsOf: " bytes".utf8)
        }
        reply.append(contentsOf: [13, 10])
    }
}
