import Runtime

/// Watches a JSON body while it passes: how deep it nests and how long it is. It does not judge whether it is JSON.
struct JSONDepth {
    private let most: Int
    private var depth = 0
    private var isInString = false
    private var isEscaped = false

    init(most: Int) { self.most = most }

    /// - Returns: whether it nests no deeper than it may.
    mutating func look(at bytes: Span<UInt8>) -> Bool {
        for index in 0..<bytes.count {
            let byte = bytes[index]
            if isInString {
                if isEscaped {
                    isEscaped = false
                } else if byte == 0x5C {
                    isEscaped = true
                } else if byte == 0x22 {
                    isInString = false
                }
                continue
            }
            switch byte {
            case 0x22: isInString = true
            case 0x5B, 0x7B:
                depth += 1
                guard depth <= most else { return false }
            case 0x5D, 0x7D: depth = max(0, depth - 1)
            default: break
            }
        }
        return true
    }
}
