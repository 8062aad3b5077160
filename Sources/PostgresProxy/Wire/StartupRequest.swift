import Runtime

/// The first words of a client, which have no letter in front.
enum StartupRequest: Equatable {
    case tls
    case gssEncryption
    case cancel(CancelKey)
    case login(LoginRequest)

    /// As Postgres has it.
    static let mostBytes = 10_000

    enum Reading: Equatable {
        case incomplete
        case complete(StartupRequest, size: Int)
        case broken(Complaint)
    }

    private static let cancelCode = 1234 << 16 | 5678
    private static let tlsCode = 1234 << 16 | 5679
    private static let gssCode = 1234 << 16 | 5680

    static func read(_ bytes: Span<UInt8>) -> Reading {
        guard bytes.count >= 4 else { return .incomplete }
        let size = bytes.int32(at: 0)
        guard size >= 8, size <= mostBytes else {
            return .broken(.protocolViolation("invalid length of startup packet"))
        }
        guard bytes.count >= size else { return .incomplete }
        let code = bytes.int32(at: 4)
        switch code {
        case tlsCode, gssCode:
            guard size == 8 else { return .broken(.protocolViolation("invalid length of startup packet")) }
            return .complete(code == tlsCode ? .tls : .gssEncryption, size: size)
        case cancelCode:
            // The secret has four bytes, since protocol 3.2 up to 256.
            guard size >= 16, size <= 12 + 256 else {
                return .broken(.protocolViolation("invalid length of query cancel packet"))
            }
            let pid = Int32(truncatingIfNeeded: bytes.int32(at: 8))
            return .complete(.cancel(CancelKey(pid: pid, secret: bytes.array(12..<size))), size: size)
        default:
            do {
                return .complete(.login(try LoginRequest(bytes.extracting(0..<size), version: code)), size: size)
            } catch {
                return .broken(error)
            }
        }
    }
}

/// What a cancel request names: a session, and a secret that only its client knows.
struct CancelKey: Hashable {
    let pid: Int32
    let secret: [UInt8]
}

/// Who wants to log in where, and how.
struct LoginRequest: Equatable {
    /// The minor number of protocol 3 that the client asked for.
    let minor: Int
    let user: [UInt8]
    let database: [UInt8]
    /// Every other parameter in the order in which it came, names in lower case as Postgres compares them not at all; of
    /// two with the same name both stand here.
    let parameters: [Parameter]
    /// Names of the protocol's own options that nobody knows yet.
    let unknownOptions: [[UInt8]]

    struct Parameter: Hashable {
        let name: [UInt8]
        let value: [UInt8]
    }

    static let newestMinor = 2

    /// - Parameter bytes: the whole packet.
    init(_ bytes: Span<UInt8>, version: Int) throws(Complaint) {
        guard version >> 16 == 3 else {
            throw .fatal(
                "0A000",
                "unsupported frontend protocol \(version >> 16 & 0xFFFF).\(version & 0xFFFF): server supports 3.0 to 3.0"
            )
        }
        minor = version & 0xFFFF
        var (user, database): ([UInt8]?, [UInt8]?) = (nil, nil)
        var parameters: [Parameter] = []
        var unknown: [[UInt8]] = []
        var place = 8
        while true {
            guard let nameEnd = bytes.zero(from: place, before: bytes.count) else { throw Self.badLayout }
            if nameEnd == place { break }
            guard let valueEnd = bytes.zero(from: nameEnd + 1, before: bytes.count) else { throw Self.badLayout }
            let name = bytes.array(place..<nameEnd)
            let value = bytes.array(nameEnd + 1..<valueEnd)
            switch name {
            case Self.userName: user = value
            case Self.databaseName: database = value
            case let option where option.starts(with: Self.optionPrefix): unknown.append(option)
            default: parameters.append(Parameter(name: name, value: value))
            }
            place = valueEnd + 1
        }
        guard place + 1 == bytes.count else { throw Self.badLayout }
        guard let user, !user.isEmpty else {
            throw .fatal("28000", "no PostgreSQL user name specified in startup packet")
        }
        self.user = user
        self.database = database.flatMap { $0.isEmpty ? nil : $0 } ?? user
        self.parameters = parameters
        unknownOptions = unknown
    }

    subscript(name: String) -> [UInt8]? {
        let name = Array(name.utf8)
        return parameters.last { $0.name == name }?.value
    }

    /// The minor number that is spoken.
    var spokenMinor: Int { min(minor, Self.newestMinor) }

    /// Whether it is for replication, physical or logical, of which nothing can be shared.
    var isReplication: Bool {
        guard let value = self["replication"] else { return false }
        return !["false", "off", "no", "0", "f", "n"].contains(String(decoding: value, as: UTF8.self).lowercased())
    }

    private static let badLayout = Complaint.protocolViolation(
        "invalid startup packet layout: expected terminator as last byte")
    private static let userName = Array("user".utf8)
    private static let databaseName = Array("database".utf8)
    private static let optionPrefix = Array("_pq_.".utf8)
}
