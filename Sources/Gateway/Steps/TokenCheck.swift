import Network
import Runtime

/// Who has to show a token, and what it has to say.
public struct TokenRules: Sendable {
    public enum Mode: String, CaseIterable, Sendable {
        case off
        /// Without a good one nobody passes.
        case required
        /// Who shows one has to show a good one.
        case present
        /// A good one brings its claims; nobody is refused.
        case optional
    }

    public var mode = Mode.required
    public var issuer: String?
    public var audiences: [String] = []
    public var leewaySeconds = 30
    public var requiredClaims = ["exp"]
    /// `claim=value`; each has to be there, else the answer is 403.
    public var wanted: [(claim: String, value: String)] = []
    /// Claims that the service gets as fields.
    public var fields: [(claim: String, name: String)] = []

    public init() {}

    static func isSame(_ one: TokenRules, _ other: TokenRules) -> Bool {
        one.issuer == other.issuer && one.audiences == other.audiences && one.leewaySeconds == other.leewaySeconds
            && one.requiredClaims == other.requiredClaims
    }

    /// Checks the claims of a token whose signature is good.
    func check(_ claims: JSON, now: Double) throws(Token.Fault) {
        for name in requiredClaims where claims[name].map(\.isNull) ?? true { throw .missingClaim }
        let leeway = Double(leewaySeconds)
        if let exp = claims["exp"] {
            guard let time = exp.double else { throw .malformed }
            guard now < time + leeway else { throw .expired }
        }
        if let nbf = claims["nbf"] {
            guard let time = nbf.double else { throw .malformed }
            guard now >= time - leeway else { throw .notYet }
        }
        if let issuer { guard claims["iss"]?.string == issuer else { throw .issuer } }
        guard let audience = claims["aud"] else {
            guard audiences.isEmpty else { throw .audience }
            return
        }
        // A token for others is not for us, also where nobody said who we are (RFC 7519 §4.1.3).
        let given = audience.string.map { [$0] } ?? audience.array?.compactMap(\.string) ?? []
        guard given.contains(where: audiences.contains) else { throw .audience }
    }

    /// Whether the claims allow what a route is for.
    func allows(_ claims: JSON) -> Bool {
        wanted.allSatisfy { claim, value in
            switch claims[claim] {
            case .string(let text): text == value || text.split(separator: " ").contains { $0 == value }
            case .array(let list): list.contains { $0.string == value }
            case .bool(let flag): value == (flag ? "true" : "false")
            case .integer(let number): value == "\(number)"
            default: false
            }
        }
    }

    /// What the service is told of the claims. Bytes that a field cannot hold are percent-encoded; at most 4 KiB each.
    func identity(_ claims: JSON) -> [(name: String, value: String)] {
        fields.compactMap { claim, name in
            guard let value = claims[claim], !value.isNull else { return nil }
            var text: String
            if let string = value.string {
                text = string
            } else {
                var writer = JSONWriter()
                writer.value(value)
                text = writer.text
            }
            text = text.utf8.map { byte in
                byte >= 0x20 && byte < 0x7F && byte != 0x25
                    ? String(Character(Unicode.Scalar(byte))) : "%" + [byte].hexadecimal.uppercased()
            }.joined()
            return text.utf8.count <= 4096 ? (name, text) : nil
        }
    }
}

/// Checks tokens, and remembers those that were good until they expire. Only for the loop's thread.
final class TokenCheck {
    enum Verdict {
        case good(JSON)
        case bad(Token.Fault)
        /// None was shown.
        case absent
        /// More than one, or no Bearer token.
        case malformed
    }

    private struct Known {
        let claims: JSON
        let rules: TokenRules
    }

    private let keys: TokenKeys
    private var known: [[UInt8]: Known] = [:]
    private var order: [[UInt8]] = []
    private var next = 0
    private var generation = 0
    /// How often a token was known already.
    private(set) var hits = 0
    private static let most = 10_000

    init(_ keys: TokenKeys) { self.keys = keys }

    /// The token of a request; nil for none, empty for what is no one Bearer token.
    static func token(of request: RequestHead) -> [UInt8]? {
        var found: ArraySlice<UInt8>?
        for field in request.head.fields where field.id == .authorization {
            guard found == nil else { return [] }
            found = request.head.value(field)
        }
        guard let found else { return nil }
        guard found.count > 7, found.prefix(7).map(\.lowercased) == Array("bearer ".utf8) else { return [] }
        return Array(found.dropFirst(7))
    }

    func judge(_ token: [UInt8]?, _ rules: TokenRules, now: Double) -> Verdict {
        guard let token else { return .absent }
        guard !token.isEmpty else { return .malformed }
        if keys.generation != generation { forget() }
        if let known = known[token], TokenRules.isSame(known.rules, rules) {
            do throws(Token.Fault) {
                try rules.check(known.claims, now: now)
            } catch {
                self.known[token] = nil
                return .bad(error)
            }
            hits += 1
            return .good(known.claims)
        }
        do throws(Token.Fault) {
            let parsed = try Token(token)
            let candidates = keys.candidates(for: parsed)
            guard !candidates.isEmpty else { throw .unknownKey }
            guard candidates.contains(where: { $0.verifies(parsed.message, parsed.signature) }) else {
                throw .signature
            }
            try rules.check(parsed.claims, now: now)
            remember(token, Known(claims: parsed.claims, rules: rules))
            return .good(parsed.claims)
        } catch {
            return .bad(error)
        }
    }

    private func remember(_ token: [UInt8], _ fresh: Known) {
        // Without an end it would be believed for ever.
        guard fresh.claims["exp"] != nil else { return }
        if known.updateValue(fresh, forKey: token) != nil { return }
        if order.count < Self.most {
            order.append(token)
        } else {
            known[order[next]] = nil
            order[next] = token
            next = (next + 1) % Self.most
        }
    }

    private func forget() {
        generation = keys.generation
        (known, order, next) = ([:], [], 0)
    }
}
