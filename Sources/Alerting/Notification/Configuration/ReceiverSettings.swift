import Runtime

extension Receiver {
    /// `webhook` and `alertmanager` take one mapping or a list of them; `webhook_configs` is Alertmanager's name.
    init(_ fields: Fields) throws(SettingsError) {
        self.init(name: try fields.require("name"))
        for key in ["webhook", "webhook_configs"] {
            for webhook in try fields.oneOrMore(key) { webhooks.append(try WebhookSettings(webhook)) }
        }
        for alertmanager in try fields.oneOrMore("alertmanager") {
            alertmanagers.append(try AlertmanagerSettings(alertmanager))
        }
        try fields.finish()
    }
}

extension WebhookSettings {
    init(_ fields: Fields) throws(SettingsError) {
        guard let url = try fields.secret("url") else {
            throw fields.failure(nil, "one of url or url_file must be set")
        }
        if case .text(let text) = url { try fields.checkURL("url", text) }
        self.init(url: url)
        sendsResolved = try fields.value("send_resolved", default: true)
        maxAlerts = try fields.value("max_alerts", default: 0)
        guard maxAlerts >= 0 else { throw fields.failure("max_alerts", "must not be negative") }
        timeout = try fields.duration("timeout").flatMap { $0 == .zero ? nil : $0 }
        http = try HTTPSettings(of: fields)
        if let signature = try fields.mapping("signature") { self.signature = try SignatureSettings(signature) }
        try fields.finish()
    }
}

extension AlertmanagerSettings {
    init(_ fields: Fields) throws(SettingsError) {
        let urls = try fields.texts("urls") ?? []
        guard !urls.isEmpty else { throw fields.failure(nil, "urls is missing") }
        for url in urls { try fields.checkURL("urls", url) }
        self.init(urls: urls)
        timeout = try fields.duration("timeout", orZero: false) ?? timeout
        http = try HTTPSettings(of: fields)
        try fields.finish()
    }
}

extension SignatureSettings {
    init(_ fields: Fields) throws(SettingsError) {
        guard let secret = try fields.secret("secret") else {
            throw fields.failure(nil, "one of secret or secret_file must be set")
        }
        self.init(
            secret: secret, header: try fields.text("header") ?? Self.defaultHeader,
            timestampHeader: try fields.text("timestamp_header"))
        try fields.finish()
    }
}

extension HTTPSettings {
    /// From the mapping `http_config`, or from the same keys beside the URL.
    init(of outer: Fields) throws(SettingsError) {
        let nested = try outer.mapping("http_config")
        try self.init(nested ?? outer)
        try nested?.finish()
    }

    private init(_ fields: Fields) throws(SettingsError) {
        self.init()
        authorization = try Self.authorization(fields)
        proxy = try fields.text("proxy_url")
        followsRedirects = try fields.value("follow_redirects", default: true)
        for (name, value) in try fields.pairs("headers") ?? [] { headers.append((name, .text(value))) }
        if let named = try fields.mapping("http_headers") {
            for (name, lists) in try named.entries() {
                for key in ["values", "secrets"] {
                    for value in try lists.texts(key) ?? [] { headers.append((name, .text(value))) }
                }
                for path in try lists.texts("files") ?? [] { headers.append((name, .file(path))) }
                try lists.finish()
            }
        }
        if let options = try fields.mapping("tls_config") {
            tls.authorityFile = try options.text("ca_file")
            tls.certificateFile = try options.text("cert_file")
            tls.keyFile = try options.text("key_file")
            tls.serverName = try options.text("server_name")
            tls.isUnverified = try options.value("insecure_skip_verify", default: false)
            guard (tls.certificateFile == nil) == (tls.keyFile == nil) else {
                throw options.failure(nil, "cert_file and key_file go together")
            }
            try options.finish()
        }
    }

    private static func authorization(_ fields: Fields) throws(SettingsError) -> Authorization? {
        var ways: [Authorization] = []
        if let basic = try fields.mapping("basic_auth") {
            ways.append(
                .basic(
                    user: try basic.secret("username") ?? .text(""), password: try basic.secret("password") ?? .text("")
                ))
            try basic.finish()
        }
        if let header = try fields.mapping("authorization") {
            let scheme = try header.text("type") ?? "Bearer"
            guard scheme.lowercased() != "basic" else { throw header.failure("type", "is \"basic\": use basic_auth") }
            guard let credentials = try header.secret("credentials") else {
                throw header.failure(nil, "one of credentials or credentials_file must be set")
            }
            ways.append(.header(scheme: scheme, credentials: credentials))
            try header.finish()
        }
        if let token = try fields.secret("bearer_token") { ways.append(.header(scheme: "Bearer", credentials: token)) }
        guard ways.count < 2 else {
            throw fields.failure(nil, "at most one of basic_auth, authorization and bearer_token must be set")
        }
        return ways.first
    }
}

extension Fields {
    /// A list of mappings, or one mapping.
    fileprivate func oneOrMore(_ key: String) throws(SettingsError) -> [Fields] {
        isList(key) ? try mappings(key) : try mapping(key).map { [$0] } ?? []
    }

    fileprivate func checkURL(_ key: String, _ text: String) throws(SettingsError) {
        for scheme in ["http://", "https://"] where text.hasPrefix(scheme) {
            let host = text.dropFirst(scheme.count).prefix { !"/?#".contains($0) }
            if !host.isEmpty, !text.utf8.contains(where: { $0 <= 0x20 }) { return }
        }
        // The text is not shown: webhook URLs often hold a token.
        throw failure(key, "is not a URL such as https://host/path")
    }
}
