import Runtime

/// Who may be asked about through `/probe` and `/scrape`, and with which credentials: none of it comes from the URL.
struct Probes {
    /// Patterns of `host:port` or of a socket's path. Empty by default: nobody.
    let allowedTargets: [String]
    let concurrency: Int
    let authModules: [String: AuthModule]
    /// `redis://user@host:port` to password.
    let redisPasswords: [String: String]

    /// Credentials for `/probe`, in the form of `postgres_exporter.yml`.
    struct AuthModule {
        let username: String
        let password: String
        let options: [(keyword: String, value: String)]
    }

    init(_ settings: Settings) throws(SettingsError) {
        allowedTargets = try settings.readList(
            "probe.targets", "Patterns (* and ?) of host:port that /probe and /scrape may ask; nobody without any.")
        concurrency = try settings.read("probe.concurrency", default: 8, "Probes that may run at once.", in: 1...1000)
        let modules = settings.readSection(
            "probe.auth_modules", "Credentials for /probe, as auth_modules of postgres_exporter.yml.")
        authModules = try modules.map { node throws(SettingsError) in try Probes.readModules(node, settings) } ?? [:]
        let path = try settings.read(
            "probe.redis_password_file", as: String.self,
            "JSON file of redis_exporter's form: {\"redis://user@host:port\": \"password\"}.")
        redisPasswords = try path.map { path throws(SettingsError) in try Probes.readPasswords(path) } ?? [:]
    }

    private static func readModules(_ node: YAML, _ settings: Settings) throws(SettingsError) -> [String: AuthModule] {
        func wrong(_ node: YAML, _ key: String, _ problem: String) -> SettingsError {
            SettingsError(
                place: "\(settings.fileName):\(node.line)", key: "probe.auth_modules." + key, problem: problem)
        }
        var modules: [String: AuthModule] = [:]
        for entry in node.entries ?? [] {
            let module = entry.value
            for part in module.entries ?? [] where !["type", "userpass", "options"].contains(part.key) {
                throw wrong(part.value, "\(entry.key).\(part.key)", "unknown key")
            }
            guard module["type"]?.text ?? "userpass" == "userpass" else {
                throw wrong(module, entry.key + ".type", "is not userpass")
            }
            modules[entry.key] = AuthModule(
                username: module["userpass"]?["username"]?.text ?? "",
                password: module["userpass"]?["password"]?.text ?? "",
                options: (module["options"]?.entries ?? []).map { ($0.key, $0.value.text ?? "") })
        }
        return modules
    }

    private static func readPasswords(_ path: String) throws(SettingsError) -> [String: String] {
        do {
            let json = try JSON.parse(try Files.read(path, limitBytes: 8 << 20))
            return Dictionary((json.members ?? []).map { ($0.key, $0.value.string ?? "") }) { $1 }
        } catch {
            throw SettingsError(place: path, key: "probe.redis_password_file", problem: "\(error)")
        }
    }
}
