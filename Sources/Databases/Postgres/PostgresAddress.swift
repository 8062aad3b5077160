import CPostgres
import Glibc
import Runtime

/// Where and as whom to log in: a connection string in any spelling of libpq, taken apart and checked.
///
/// Accepts a URL (`postgresql://…`), `key=value` pairs, and, as probe targets are written, a bare
/// `host[:port][/database][?key=value&…]`.
public struct PostgresAddress: Sendable, Equatable {
    /// libpq's keywords with their values, in the order in which they were given.
    private var options: [(keyword: String, value: String)]

    public static func == (left: PostgresAddress, right: PostgresAddress) -> Bool {
        left.options.elementsEqual(right.options) { $0 == $1 }
    }

    /// - Throws: never with a word of `text` in its message, because it may hold a password.
    public init(_ text: String) throws(PostgresError) {
        let isURL = text.hasPrefix("postgresql://") || text.hasPrefix("postgres://")
        let isBareHost = !isURL && !text.isEmpty && !text.split(separator: "?")[0].contains("=")
        // `postgres//user:secret@host` would be a host called postgres, and the secret a part of the database's name.
        guard !isBareHost || !text.contains("//") else {
            throw PostgresError(.connection, "not a connection string: want postgres://, and no other scheme")
        }
        var complaint: UnsafeMutablePointer<CChar>?
        guard let parsed = PQconninfoParse(isBareHost ? "postgresql://" + text : text, &complaint) else {
            PQfreemem(complaint)
            throw PostgresError(.connection, "not a connection string that libpq reads")
        }
        defer { PQconninfoFree(parsed) }
        options = []
        var option = parsed
        while let keyword = option.pointee.keyword {
            if let value = option.pointee.val { set(String(cString: keyword), String(cString: value)) }
            option += 1
        }
        // A password with an unescaped @ or / in a URL ends up as a part of these, and they are named in messages.
        let isHost = (self["host"] ?? "").split(separator: ",").allSatisfy { !$0.dropFirst().contains("@") }
        let isPort = (self["port"] ?? "").allSatisfy { $0.isNumber || $0 == "," }
        guard isHost && isPort else {
            throw PostgresError(
                .connection, "not a connection string: is an @, / or : in it not written as %40, %2F, %3A?")
        }
    }

    /// The value that was given for a keyword, or that libpq's environment variable holds for the few that decide
    /// where the server is.
    public subscript(keyword: String) -> String? {
        get {
            if let given = options.first(where: { $0.keyword == keyword })?.value { return given }
            let variables = ["host": "PGHOST", "hostaddr": "PGHOSTADDR", "port": "PGPORT", "service": "PGSERVICE"]
            guard let variable = variables[keyword], let value = getenv(variable) else { return nil }
            return String(cString: value)
        }
        set {
            options.removeAll { $0.keyword == keyword }
            if let newValue { set(keyword, newValue) }
        }
    }

    private mutating func set(_ keyword: String, _ value: String) {
        guard !value.isEmpty else { return }
        options.append((keyword, value))
    }

    /// `host:port` as postgres_exporter's label `server` writes it: of what the string says, without looking it up.
    public var server: String { "\(self["host"] ?? "localhost"):\(self["port"] ?? "5432")" }

    /// The string without secrets, for people.
    public var redacted: String {
        options.filter { !["password", "sslpassword", "passfile", "sslkey"].contains($0.keyword) }
            .map { "\($0.keyword)=\($0.value)" }.joined(separator: " ")
    }

    /// The same with every host name looked up, so that libpq itself never waits for a name server.
    ///
    /// A name with several addresses becomes several hosts, which libpq tries one after the other.
    func resolved(by deadline: Deadline) throws(PostgresError) -> PostgresAddress {
        guard self["hostaddr"] == nil, self["service"] == nil, let hostList = self["host"] else { return self }
        let hosts = hostList.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        let ports = (self["port"] ?? "5432").split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        guard ports.count == 1 || ports.count == hosts.count else { return self }
        var entries: [(host: String, address: String, port: String)] = []
        var failure: PostgresError?
        for (index, host) in hosts.enumerated() {
            let port = ports.count == 1 ? ports[0] : ports[index]
            guard !host.isEmpty, !host.hasPrefix("/"), !host.hasPrefix("@") else {
                entries.append((host, "", port))
                continue
            }
            do {
                entries += try NameResolution.addresses(of: host, by: deadline).map { (host, $0, port) }
            } catch {
                // One name of several may be unknown; the others are still worth trying.
                failure = error
            }
        }
        if entries.isEmpty, let failure { throw failure }
        var resolved = self
        resolved["host"] = entries.map(\.host).joined(separator: ",")
        resolved["port"] = entries.map(\.port).joined(separator: ",")
        let addresses = entries.map(\.address)
        if addresses.contains(where: { !$0.isEmpty }) { resolved["hostaddr"] = addresses.joined(separator: ",") }
        return resolved
    }

    /// What libpq makes of it: with the environment, the service file, the password file and its own defaults. Looks
    /// names up, which blocks, and begins a connection, which is let go at once.
    public func completed() throws(PostgresError) -> PostgresAddress {
        guard let connection = start(database: nil) else { throw PostgresError(.connection, "libpq: out of memory") }
        defer { PQfinish(connection) }
        var completed = self
        guard let all = PQconninfo(connection) else {
            throw PostgresError(.connection, String(cString: PQerrorMessage(connection)))
        }
        defer { PQconninfoFree(all) }
        var option = all
        while let keyword = option.pointee.keyword {
            if let value = option.pointee.val { completed[String(cString: keyword)] = String(cString: value) }
            option += 1
        }
        if let password = PQpass(connection), password.pointee != 0 {
            completed["password"] = String(cString: password)
        }
        return completed
    }

    /// Begins a connection as libpq's `PQconnectStart` does.
    ///
    /// - Parameter database: bytes of a name that wins over the string's; names may hold any byte but zero.
    func start(database: PostgresName?) -> OpaquePointer? {
        var pairs = options.filter { database == nil || $0.keyword != "dbname" }
            .map { (Array($0.keyword.utf8CString), Array($0.value.utf8CString)) }
        func add(_ keyword: String, _ value: [CChar]) { pairs.append((Array(keyword.utf8CString), value)) }
        func addUnlessGiven(_ keyword: String, _ value: String) {
            if !options.contains(where: { $0.keyword == keyword }) { add(keyword, Array(value.utf8CString)) }
        }
        if let database { add("dbname", database.bytes.map { CChar(bitPattern: $0) } + [0]) }
        addUnlessGiven("fallback_application_name", "outrigger")
        addUnlessGiven("client_encoding", "UTF8")
        // Asking Kerberos first costs files and sometimes the network; who needs it says so.
        addUnlessGiven("gssencmode", "disable")

        let keywords = pairs.map { strdup($0.0) }
        let values = pairs.map { strdup($0.1) }
        defer {
            keywords.forEach { free($0) }
            values.forEach { free($0) }
        }
        return PQconnectStartParams(
            keywords.map { UnsafePointer($0) } + [nil], values.map { UnsafePointer($0) } + [nil], 0)
    }
}

/// A name as Postgres stores it: bytes without zero, usually UTF-8, but nobody promises.
public struct PostgresName: Sendable, Hashable {
    public let bytes: [UInt8]

    public init(bytes: [UInt8]) { self.bytes = bytes }
    public init(_ text: String) { bytes = Array(text.utf8) }

    /// The name with what is not UTF-8 replaced by U+FFFD.
    public var text: String { String(decoding: bytes, as: UTF8.self) }
}
