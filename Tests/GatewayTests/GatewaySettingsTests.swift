import Runtime
import Testing

@testable import Gateway

@Suite struct GatewaySettingsTests {
    static func read(_ yaml: String) throws -> GatewaySettings {
        let root = try YAML.parse(Array(yaml.utf8)) ?? YAML(.mapping([]), line: 1)
        let settings = Settings(file: (name: "outrigger.yml", root: root))
        let gateway = try GatewaySettings(settings)
        try settings.finish()
        return gateway
    }

    @Test func oneUpstreamIsEnough() throws {
        let settings = try Self.read("gateway: {listen_address: '127.0.0.1:8080', upstream: 'http://127.0.0.1:8000'}")
        #expect(settings.hasEntrance)
        #expect(settings.upstream == "http://127.0.0.1:8000")
        let rules = try settings.makeRules()
        #expect(rules.routes.map(\.name) == ["default"])
        #expect(rules.limits == ClientLimits())
    }

    @Test func nothingSetIsNoGateway() throws { #expect(try !Self.read("{}").hasEntrance) }

    @Test(arguments: [
        ("listen_address: '127.0.0.1:1'", "gateway.upstream: is missing: where is the service?"),
        ("listen_address: ':8080', upstream: 'http://127.0.0.1:1'", "can be reached from other machines, which needs"),
        ("listen_address: '127.0.0.1:1', upstream: 'ftp://x'", "does not begin with http://, https:// or unix:"),
        ("listen_address: '127.0.0.1:1', upstream: 'http://x/path'", "has more than a host and a port"),
        ("upstream: 'http://x:1', max_fields: 0", "0 is not between 1 and 10000"),
        ("upstream: 'http://x:1', trusted_proxies: ['10.0.0.0/99']", "\"10.0.0.0/99\" is no address"),
        ("upstream: 'http://x:1', routes: [{match: 'nothing'}]", "is not [METHOD[,METHOD] ][HOST]/PATH"),
        (
            "listen_address: '127.0.0.1:1', upstream: 'http://x:1', routes: [{match: '/api*'}, {match: '/api/v1*'}]",
            "nothing reaches /api/v1*: /api* stands before it"
        ),
        ("upstream: 'http://x:1', routes: [{match: '/*', weights: [1, 2]}]", "there are 2 for 1 upstreams"),
        ("upsteram: 'http://x:1'", "unknown setting, did you mean gateway.upstream?"),
    ])
    func whatIsWrongIsSaidInOneLine(_ yaml: String, _ complaint: String) {
        do {
            _ = try Self.read("gateway: {\(yaml)}")
            Issue.record("accepted: \(yaml)")
        } catch { #expect("\(error)".contains(complaint), "\(error)") }
    }

    @Test(arguments: [
        ("/*", "GET", "x", "/a", true), ("/api*", "GET", "x", "/api/1", true), ("/api*", "GET", "x", "/b", false),
        ("POST,PUT /api*", "GET", "x", "/api", false), ("POST,PUT /api*", "PUT", "x", "/api", true),
        ("api.example.com/*", "GET", "api.example.com", "/", true),
        ("*.example.com/*", "GET", "example.org", "/", false),
        ("*.example.com/a?", "GET", "x.example.com", "/ab", true),
    ])
    func routesMatch(_ pattern: String, _ method: String, _ host: String, _ path: String, _ isFor: Bool) throws {
        let match = try #require(RouteMatch(pattern))
        #expect(
            match.matches(method: Array(method.utf8).span, host: Array(host.utf8).span, path: Array(path.utf8).span)
                == isFor)
    }

    @Test(arguments: [
        ("/a/b", "/a/b"), ("/a/../b", "/b"), ("/a/./b/", "/a/b/"), ("//a///b", "/a/b"), ("/%61/%2e%2e/b", "/b"),
        ("/..", "/"), ("/a/..", "/"), ("/a/b/..", "/a/"), ("/a%2fb", "/a%2Fb"), ("/%2E%2e/%2E/x", "/x"),
        ("/a/.b", "/a/.b"),
    ])
    func pathsHaveOneForm(_ path: String, _ normal: String) {
        let bytes = Array(path.utf8)
        let found = NormalPath.normalised(bytes.span) ?? bytes
        #expect(String(decoding: found, as: UTF8.self) == normal)
        #expect((NormalPath.normalised(found.span) ?? found) == found)
    }

    @Test(arguments: [
        ("/%2561", true), ("/%00", true), ("/%2f", true), ("/%5C", true), ("/%zz", true), ("/%", true),
        ("/a%20b", false), ("/%C3%A9", false),
    ])
    func pathsEncodedTwiceAreKnown(_ path: String, _ isSo: Bool) {
        #expect(NormalPath.isEncodedTwice(Array(path.utf8).span) == isSo)
    }
}
