import Runtime

/// Links back to Outrigger.
extension TemplateFunction {
    static let links: [TemplateFunction] = [
        TemplateFunction("graphLink", strings: 1) { .string("/graph?g0.expr=\(Escape.query($0[0]))&g0.tab=0") },
        TemplateFunction("tableLink", strings: 1) { .string("/graph?g0.expr=\(Escape.query($0[0]))&g0.tab=1") },
        TemplateFunction("externalURL", []) { _, data, _ throws(TemplateFailure) in
            guard let url = data.externalURL else { throw nilPointer }
            return .string(url)
        },
        TemplateFunction("pathPrefix", []) { _, data, _ throws(TemplateFailure) in
            guard let url = data.externalURL else { throw nilPointer }
            return .string(path(of: url))
        },
    ]

    /// What stands between the host and the query.
    private static func path(of url: String) -> String {
        guard let scheme = url.firstRange(of: "://") else { return url }
        let afterHost = url[scheme.upperBound...].drop { !"/?#".contains($0) }
        return String(afterHost.prefix { !"?#".contains($0) })
    }
}
