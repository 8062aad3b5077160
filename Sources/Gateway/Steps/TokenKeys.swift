import Network
import Runtime
import Synchronization

/// The keys that tokens are checked with: those that are set, and those of a key set (RFC 7517) that is read from a file or
/// fetched. Any thread.
public final class TokenKeys: Sendable {
    struct Key: Sendable {
        /// Nil for one that is tried whatever a token names.
        let id: String?
        let key: SignatureKey
    }

    /// Where a key set is.
    public enum Source: Sendable, Equatable {
        case none
        case file(String)
        case url(String)
    }

    private struct State {
        var fetched: [Key] = []
        var generation = 0
        var lastTriedMs: Int?
        var isFetching = false
        var waiting: [@Sendable () -> Void] = []
    }

    private let fixed: [Key]
    private let source: Source
    private let state: Mutex<State>
    private let client: HTTPClient?
    private static let refreshMs = 60_000
    private static let renewMs = 600_000
    private static let most = 100

    public struct Unusable: Error, CustomStringConvertible {
        public let description: String
    }

    /// - Parameter fixed: with the names that tokens give them, if any.
    public init(_ fixed: [(id: String?, key: SignatureKey)], _ source: Source = .none) throws(Unusable) {
        self.fixed = fixed.map { Key(id: $0.id, key: $0.key) }
        self.source = source
        state = Mutex(State())
        switch source {
        case .none: client = nil
        case .url: client = HTTPClient(connectionLimit: 1)
        case .file(let path):
            client = nil
            let keys = try Self.read(file: path)
            state.withLock { $0.fetched = keys }
        }
    }

    /// Changes with the keys.
    var generation: Int { state.withLock { $0.generation } }

    /// The keys that may have signed a token: never one of another algorithm.
    func candidates(for token: Token) -> [SignatureKey] {
        let all = fixed + state.withLock { $0.fetched }
        let suiting = all.filter { $0.key.algorithm == token.algorithm }
        guard let id = token.keyID else { return suiting.prefix(8).map(\.key) }
        return suiting.filter { $0.id == id || $0.id == nil }.prefix(8).map(\.key)
    }

    /// Reads the key set again, but at most once a minute.
    ///
    /// - Parameter then: called once it has been, on another thread.
    /// - Returns: false when it is too early for that, or there is nothing to be read.
    func refresh(nowMs: Int, then: (@Sendable () -> Void)? = nil) -> Bool {
        guard source != .none else { return false }
        let (mayWait, mustFetch) = state.withLock { state -> (Bool, Bool) in
            if state.isFetching {
                guard state.waiting.count < 1000 else { return (false, false) }
                if let then { state.waiting.append(then) }
                return (true, false)
            }
            if let last = state.lastTriedMs, nowMs - last < Self.refreshMs { return (false, false) }
            (state.lastTriedMs, state.isFetching) = (nowMs, true)
            if let then { state.waiting.append(then) }
            return (true, true)
        }
        if mustFetch { Task { await fetch() } }
        return mayWait
    }

    /// Fetched keys are fetched again now and then, so that those that were withdrawn go.
    func renew(nowMs: Int) {
        let isDue = state.withLock { $0.lastTriedMs.map { nowMs - $0 >= Self.renewMs } ?? true }
        if isDue { _ = refresh(nowMs: nowMs) }
    }

    private func fetch() async {
        var fresh: [Key]?
        do {
            switch source {
            case .none: break
            case .file(let path): fresh = try Self.read(file: path)
            case .url(let url): fresh = try await read(url: url)
            }
        } catch {
            // The old ones stay in force.
            Log.warn("keys for tokens cannot be read", ["reason": "\(error)"])
        }
        let waiting = state.withLock { state in
            if let fresh { (state.fetched, state.generation) = (fresh, state.generation + 1) }
            state.isFetching = false
            defer { state.waiting = [] }
            return state.waiting
        }
        for each in waiting { each() }
    }

    private func read(url: String) async throws -> [Key] {
        guard let client else { return [] }
        var request = HTTPClient.Request(url: url, deadline: .after(.seconds(5)))
        request.responseLimit = 256 << 10
        let response = try await client.send(request)
        guard response.status == 200 else { throw Unusable(description: "\(url) answered \(response.status)") }
        return try Self.keys(in: response.body, from: url)
    }

    private static func read(file path: String) throws(Unusable) -> [Key] {
        let bytes: [UInt8]
        do { bytes = try Files.read(path, limitBytes: 1 << 20) } catch { throw Unusable(description: "\(error)") }
        return try keys(in: bytes, from: path)
    }

    /// Keys that cannot be used are left out; a set without any is an error.
    static func keys(in bytes: [UInt8], from place: String) throws(Unusable) -> [Key] {
        guard let json = try? JSON.parse(bytes, limits: JSON.Limits(bytes: 1 << 20, depth: 8, values: 10_000)),
            let list = json["keys"]?.array
        else { throw Unusable(description: "\(place) is no JSON with a list of keys") }
        var keys: [Key] = []
        for entry in list.prefix(most) {
            guard entry["use"]?.string ?? "sig" == "sig" else { continue }
            do throws(SignatureKey.Unusable) {
                keys.append(Key(id: entry["kid"]?.string, key: try key(entry)))
            } catch {
                Log.warn("a key is left out", ["from": place, "kid": entry["kid"]?.string ?? "", "reason": "\(error)"])
            }
        }
        guard !keys.isEmpty else { throw Unusable(description: "\(place) has no key that can be used") }
        return keys
    }

    private static func key(_ entry: JSON) throws(SignatureKey.Unusable) -> SignatureKey {
        func number(_ name: String) throws(SignatureKey.Unusable) -> [UInt8] {
            guard let bytes = entry[name]?.string.flatMap({ Base64URL.bytes($0) }), !bytes.isEmpty else {
                throw SignatureKey.Unusable("\(name) is missing, or no base64url")
            }
            return bytes
        }
        let kind = entry["kty"]?.string ?? ""
        var algorithm = entry["alg"]?.string.flatMap { SignatureKey.Algorithm(rawValue: $0) }
        if entry["alg"] == nil {
            switch (kind, entry["crv"]?.string) {
            case ("EC", "P-256"): algorithm = .es256
            case ("EC", "P-384"): algorithm = .es384
            case ("EC", "P-521"): algorithm = .es512
            case ("OKP", _): algorithm = .edDSA
            // The most common one. A key has one algorithm, whatever tokens say.
            case ("RSA", _): algorithm = .rs256
            default: break
            }
        }
        guard let algorithm else { throw SignatureKey.Unusable("it names no algorithm that signs tokens") }
        switch kind {
        case "RSA": return try SignatureKey(algorithm, modulus: number("n"), exponent: number("e"))
        case "EC": return try SignatureKey(algorithm, x: number("x"), y: number("y"))
        case "OKP": return try SignatureKey(edwards: number("x"))
        case "oct": return try SignatureKey(algorithm, secret: number("k"))
        default: throw SignatureKey.Unusable("kty \(kind) is not known")
        }
    }
}
