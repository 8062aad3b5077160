import Runtime

/// Keeps what nobody else may read out of what is printed about settings.
enum Secrets {
    private static let words = ["password", "secret", "token", "credentials", "authorization", "headers", "sha256"]

    /// - Parameter name: of the setting, such as `redis_proxy.users[0].password`.
    static func hidden(_ text: String, of name: String) -> String {
        guard !text.isEmpty else { return text }
        let parts = name.lowercased().split { ".[]".contains($0) }
        // The path of a file that holds a secret is none.
        let isFile = parts.last?.hasSuffix("_file") == true
        if !isFile, parts.contains(where: { part in words.contains { part.contains($0) } }) { return "***" }
        if parts.last?.hasSuffix("url") == true || parts.last?.hasSuffix("urls") == true || text.contains("://") {
            return withoutLogin(text, isMessage: parts.contains("receivers") || parts.contains("heartbeats"))
        }
        return hasPassword(text) ? "***" : text
    }

    /// Without `user:password@`, `password=…`, and, where messages go to, without the path, which often is the key.
    private static func withoutLogin(_ text: String, isMessage: Bool) -> String {
        guard let scheme = text.firstRange(of: "://") else {
            return hasPassword(text) || text.contains("@") ? "***" : text
        }
        let rest = text[scheme.upperBound...]
        let place = rest.prefix { !"/?#".contains($0) }
        let host = place.split(separator: "@", omittingEmptySubsequences: false).last ?? place
        let login = host.count == place.count ? "" : "***@"
        let path = rest.dropFirst(place.count)
        let isHidden = isMessage && path.count > 1 || hasPassword(String(path)) || path.contains("@")
        return "\(text[..<scheme.upperBound])\(login)\(host)\(isHidden ? "/***" : String(path))"
    }

    private static func hasPassword(_ text: String) -> Bool { text.lowercased().contains("password=") }
}
