import Runtime

/// Whose server connections can take each other's place: the same user, database, mode and start-up settings.
struct PoolKey: Hashable {
    let user: [UInt8]
    let database: [UInt8]
    let mode: PoolMode
    /// Sent to the server as they are.
    let parameters: [LoginRequest.Parameter]
    /// Its connections are used once.
    let isReplication: Bool

    /// Without its start-up settings.
    struct Account: Hashable {
        let user: [UInt8]
        let database: [UInt8]
    }

    var account: Account { Account(user: user, database: database) }
}

/// What a client's start-up packet means for the proxy.
struct Admission {
    let key: PoolKey
    /// Settings that the client has beyond those of its pool.
    let settings: [[UInt8]: [UInt8]]

    /// - Parameter rules: those of its database and user.
    init(_ request: LoginRequest, _ rules: PoolRules) {
        var parameters = request.parameters
        var mode = rules.mode
        for (index, parameter) in parameters.enumerated() where parameter.name == Self.options {
            let (rest, named) = Self.takeMode(parameter.value)
            if let named { mode = named }
            parameters[index] = LoginRequest.Parameter(name: parameter.name, value: rest)
        }
        parameters.removeAll { $0.name == Self.options && $0.value.isEmpty }
        if request.isReplication { mode = .session }
        var settings: [[UInt8]: [UInt8]] = [:]
        if mode != .session {
            // Many clients differ in nothing but their names.
            if let name = request["application_name"] { settings[Self.applicationName] = name }
            parameters.removeAll { $0.name == Self.applicationName }
            // Postgres does not tell capital letters apart in names of settings.
            let named = Set(request.parameters.map { String(decoding: $0.name, as: UTF8.self).lowercased() })
            let options = String(decoding: request["options"] ?? [], as: UTF8.self).lowercased()
            for (name, value) in rules.sessionDefaults where !named.contains(name) && !options.mentions(name) {
                parameters.append(LoginRequest.Parameter(name: Array(name.utf8), value: Array(value.utf8)))
            }
            parameters.sort { $0.name.lexicographicallyPrecedes($1.name) }
        }
        key = PoolKey(
            user: request.user, database: request.database, mode: mode, parameters: parameters,
            isReplication: request.isReplication)
        self.settings = settings
    }

    private static let options = Array("options".utf8)
    private static let applicationName = Array("application_name".utf8)

    /// Takes `-c pool_mode=…` out of the options: Postgres has no such setting.
    private static func takeMode(_ options: [UInt8]) -> (rest: [UInt8], mode: PoolMode?) {
        let text = String(decoding: options, as: UTF8.self)
        for mode in PoolMode.allCases {
            for spelling in [
                "-c pool_mode=\(mode.rawValue)", "-cpool_mode=\(mode.rawValue)", "--pool_mode=\(mode.rawValue)",
            ] {
                guard let range = text.range(ofText: spelling) else { continue }
                var rest = text
                rest.removeSubrange(range)
                while rest.hasPrefix(" ") { rest.removeFirst() }
                return (Array(rest.utf8), mode)
            }
        }
        return (options, nil)
    }
}

extension String {
    /// The first place of a text that is not empty.
    fileprivate func range(ofText text: String) -> Range<String.Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(text) { return start..<index(start, offsetBy: text.count) }
            start = index(after: start)
        }
        return nil
    }

    fileprivate func mentions(_ name: String) -> Bool { range(ofText: name) != nil }
}
