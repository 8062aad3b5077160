import CHiredis

/// hiredis' parser of RESP2, which tells us what it finds instead of building objects: a reply of thousands of elements
/// costs no allocation before it is whole.
final class RedisReplyReader {
    private let reader: UnsafeMutablePointer<redisReader>
    private let found: Found
    private let limitBytes: Int
    private var fedBytes = 0

    /// - Parameter limitBytes: what all replies since the last `take()` may have together.
    init(limitBytes: Int) {
        self.limitBytes = limitBytes
        // Every element costs at least four bytes on the wire, so this limit is never the first to be hit by an honest
        // server; it stops the one that announces an array of a billion. No honest answer has a million, and each takes
        // many times its bytes on the wire.
        found = Found(limitNodes: min(limitBytes / 4, 1 << 20))
        reader = redisReaderCreateWithFunctions(RedisReplyReader.callbacks)
        reader.pointee.privdata = Unmanaged.passUnretained(found).toOpaque()
    }

    deinit { redisReaderFree(reader) }

    /// - Returns: how many whole replies are there now.
    func feed(_ bytes: UnsafeRawBufferPointer) throws(RedisError) -> Int {
        fedBytes += bytes.count
        guard fedBytes <= limitBytes else { throw .replyTooLong(limitBytes: limitBytes) }
        redisReaderFeed(reader, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count)
        while true {
            var reply: UnsafeMutableRawPointer?
            guard redisReaderGetReply(reader, &reply) == REDIS_OK else {
                if reader.pointee.err == REDIS_ERR_OOM { throw .replyTooLong(limitBytes: limitBytes) }
                let reason = withUnsafePointer(to: &reader.pointee.errstr) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 128) { String(cString: $0) }
                }
                throw .protocolBroken(reason)
            }
            guard reply != nil else { return found.replies }
            found.replies += 1
        }
    }

    /// The whole replies, in order. The reader is then ready for the next ones.
    func take() -> [RedisReply] {
        fedBytes = 0
        return found.take()
    }

    /// What the parser found, in the order of the wire: an array is followed by its elements.
    fileprivate final class Found {
        enum Node {
            case status(Range<Int>)
            case bulk(Range<Int>)
            case error(Range<Int>)
            case integer(Int64)
            case array(Int)
            case null
        }

        private let limitNodes: Int
        private var expected = 0
        private var nodes: [Node] = []
        private var bytes: [UInt8] = []
        var replies = 0

        init(limitNodes: Int) { self.limitNodes = limitNodes }

        func add(_ node: Node) { nodes.append(node) }

        /// False when the array is longer than anything we would read.
        func addArray(_ count: Int) -> Bool {
            expected += count
            guard expected <= limitNodes else { return false }
            nodes.append(.array(count))
            return true
        }

        func addText(_ type: Int32, _ start: UnsafePointer<CChar>?, _ count: Int) {
            let from = bytes.count
            if let start { bytes.append(contentsOf: UnsafeRawBufferPointer(start: start, count: count)) }
            let range = from..<bytes.count
            switch type {
            case REDIS_REPLY_STATUS: nodes.append(.status(range))
            case REDIS_REPLY_ERROR: nodes.append(.error(range))
            default: nodes.append(.bulk(range))
            }
        }

        func take() -> [RedisReply] {
            var replies: [RedisReply] = []
            replies.reserveCapacity(self.replies)
            var next = 0
            for _ in 0..<self.replies { replies.append(reply(&next)) }
            self.replies = 0
            expected = 0
            nodes.removeAll(keepingCapacity: nodes.count < 1 << 16)
            // The replies hold on to these bytes, so the next ones get a buffer of their own, made once at full size.
            let count = bytes.count
            bytes = []
            bytes.reserveCapacity(min(count, 1 << 20))
            return replies
        }

        private func reply(_ next: inout Int) -> RedisReply {
            let node = nodes[next]
            next += 1
            switch node {
            case .status(let range): return .status(bytes[range])
            case .bulk(let range): return .bulk(bytes[range])
            case .error(let range): return .error(String(decoding: bytes[range], as: UTF8.self))
            case .integer(let value): return .integer(value)
            case .null: return .null
            case .array(let count):
                var elements: [RedisReply] = []
                elements.reserveCapacity(count)
                for _ in 0..<count { elements.append(reply(&next)) }
                return .array(elements)
            }
        }
    }

    private static func found(_ task: UnsafePointer<redisReadTask>?) -> Found {
        Unmanaged<Found>.fromOpaque(task!.pointee.privdata).takeUnretainedValue()
    }

    /// hiredis takes nil for "out of memory" and never looks at anything else we return.
    nonisolated(unsafe) private static let something = UnsafeMutableRawPointer(bitPattern: 1)

    /// Lives as long as the process: hiredis keeps the pointer.
    nonisolated(unsafe) private static let callbacks: UnsafeMutablePointer<redisReplyObjectFunctions> = {
        let functions = UnsafeMutablePointer<redisReplyObjectFunctions>.allocate(capacity: 1)
        functions.initialize(
            to: redisReplyObjectFunctions(
                createString: { task, start, count in
                    found(task).addText(task!.pointee.type, start, count)
                    return something
                },
                createArray: { task, count in found(task).addArray(Int(count)) ? something : nil },
                createInteger: { task, value in
                    found(task).add(.integer(value))
                    return something
                },
                createNil: { task in
                    found(task).add(.null)
                    return something
                },
                freeObject: { _ in }))
        return functions
    }()
}
