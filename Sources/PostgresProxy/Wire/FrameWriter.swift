import Runtime

/// Messages, written to the end of what is to be sent.
extension Array where Element == UInt8 {
    mutating func append(int32 value: Int) {
        let word = UInt32(bitPattern: Int32(truncatingIfNeeded: value))
        append(UInt8(truncatingIfNeeded: word >> 24))
        append(UInt8(truncatingIfNeeded: word >> 16))
        append(UInt8(truncatingIfNeeded: word >> 8))
        append(UInt8(truncatingIfNeeded: word))
    }

    mutating func append(int16 value: Int) {
        append(UInt8(truncatingIfNeeded: value >> 8))
        append(UInt8(truncatingIfNeeded: value))
    }

    /// A text with its zero byte.
    mutating func append(zeroTerminated text: some Sequence<UInt8>) {
        append(contentsOf: text)
        append(0)
    }

    /// A whole message, whose body `write` appends.
    mutating func append(frame type: UInt8, _ write: (inout [UInt8]) -> Void = { _ in }) {
        append(type)
        let start = count
        append(int32: 0)
        write(&self)
        let length = count - start
        for place in 0..<4 { self[start + place] = UInt8(truncatingIfNeeded: length >> (24 - 8 * place)) }
    }

    mutating func append(query text: some Sequence<UInt8>) {
        append(frame: FromClient.query) { $0.append(zeroTerminated: text) }
    }

    mutating func append(parameter name: [UInt8], _ value: [UInt8]) {
        append(frame: FromServer.parameterStatus) {
            $0.append(zeroTerminated: name)
            $0.append(zeroTerminated: value)
        }
    }

    mutating func append(ready status: TransactionStatus) {
        append(frame: FromServer.readyForQuery) { $0.append(status.rawValue) }
    }

    mutating func append(commandTag tag: String) {
        append(frame: FromServer.commandComplete) { $0.append(zeroTerminated: tag.utf8) }
    }

    mutating func append(_ error: Complaint) {
        append(frame: FromServer.error) { error.write(to: &$0) }
    }

    mutating func append(notice: Complaint) {
        append(frame: FromServer.notice) { notice.write(to: &$0) }
    }
}
