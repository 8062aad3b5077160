import Network
import Runtime
import Synchronization

/// Checks passwords of HTTP's basic authentication. Each takes its slow hash once: what was found is remembered, as Prometheus'
/// exporters do, by a hash of user, password and stored hash.
final class PasswordCheck: Sendable {
    enum Verdict: Equatable {
        case known(String)
        case unknown
        /// Too many others are being checked.
        case busy
    }

    private struct State {
        var found: [String: Bool] = [:]
        var waiting = 0
    }

    private static let remembered = 100
    private static let mostWaiting = 32
    private let state = Mutex(State())
    private let worker = Worker()

    private actor Worker {
        private let thread = BlockingThread("passwords")
        nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

        func matches(_ password: String, _ hash: PasswordHash) -> Bool { hash.matches(password) }
    }

    /// - Parameter authorization: the header's value.
    func check(_ authorization: String?, _ users: [String: PasswordHash]) async -> Verdict {
        guard let authorization, let (user, password) = Self.read(authorization) else { return .unknown }
        // A name that nobody has takes as long as one that somebody has.
        guard let hash = users[user] ?? users.values.first else { return .unknown }
        let key = SHA256(of: Array("\(user.utf8.count):\(user)\(password.utf8.count):\(password)\(hash.text)".utf8))
            .hexadecimal
        let (known, isRoom) = state.withLock { state -> (Bool?, Bool) in
            if let known = state.found[key] { return (known, true) }
            guard state.waiting < Self.mostWaiting else { return (nil, false) }
            state.waiting += 1
            return (nil, true)
        }
        guard isRoom else { return .busy }
        var isRight: Bool
        if let known {
            isRight = known
        } else {
            isRight = await worker.matches(password, hash)
            let found = isRight && users[user] != nil
            state.withLock { state in
                state.waiting -= 1
                if state.found.count >= Self.remembered, let one = state.found.keys.randomElement() {
                    state.found[one] = nil
                }
                state.found[key] = found
            }
        }
        isRight = isRight && users[user] != nil
        return isRight ? .known(user) : .unknown
    }

    private static func read(_ authorization: String) -> (user: String, password: String)? {
        let words = authorization.split(separator: " ", maxSplits: 1)
        guard words.count == 2, words[0].lowercased() == "basic", let bytes = Base64.decode(words[1]) else {
            return nil
        }
        let text = String(decoding: bytes, as: UTF8.self)
        guard let colon = text.firstIndex(of: ":") else { return nil }
        return (String(text[..<colon]), String(text[text.index(after: colon)...]))
    }
}

private enum Base64 {
    /// Nil for what is not base64.
    static func decode(_ text: some StringProtocol) -> [UInt8]? {
        var bytes: [UInt8] = []
        var (bits, count) = (UInt32(0), 0)
        for byte in text.utf8.prefix(8192) where byte != UInt8(ascii: "=") {
            let value: UInt8
            switch byte {
            case 65...90: value = byte - 65
            case 97...122: value = byte - 71
            case 48...57: value = byte + 4
            case UInt8(ascii: "+"): value = 62
            case UInt8(ascii: "/"): value = 63
            default: return nil
            }
            bits = (bits & 0xFFFF) << 6 | UInt32(value)
            count += 6
            if count >= 8 {
                count -= 8
                bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
            }
        }
        return bytes
    }
}
