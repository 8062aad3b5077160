import Runtime

/// What a proxy in front says ahead of everything about whom it speaks for: the PROXY protocol, version 2.
enum ProxyHeader {
    enum Progress: Equatable {
        case needsMore
        /// - Parameter address: in digits; nil where the proxy speaks for itself, as in its checks.
        case done(length: Int, address: String?)
        case failed
    }

    private static let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]
    /// Addresses and what else may follow them.
    private static let mostBytes = 2048

    static func read(_ input: Span<UInt8>) -> Progress {
        for index in 0..<min(input.count, signature.count) where input[index] != signature[index] { return .failed }
        guard input.count >= 16 else { return .needsMore }
        let (version, command, family) = (input[12] >> 4, input[12] & 15, input[13] >> 4)
        let count = Int(input[14]) << 8 | Int(input[15])
        guard version == 2, command <= 1, count <= mostBytes else { return .failed }
        guard input.count >= 16 + count else { return .needsMore }
        guard command == 1 else { return .done(length: 16 + count, address: nil) }
        switch family {
        case 1:
            guard count >= 12 else { return .failed }
            let digits = (16..<20).map { "\(input[$0])" }.joined(separator: ".")
            return .done(length: 16 + count, address: digits)
        case 2:
            guard count >= 36 else { return .failed }
            let words = (0..<8).map { index in
                String(Int(input[16 + 2 * index]) << 8 | Int(input[17 + 2 * index]), radix: 16)
            }
            return .done(length: 16 + count, address: words.joined(separator: ":"))
        default: return .done(length: 16 + count, address: nil)
        }
    }
}
