import Alerting
import Network
import Runtime

/// Who may have what over HTTP: decides from the header, and writes down who changed what.
struct WebDoor: Sendable {
    let settings: Configuration.Web
    private let hosts: HostCheck
    private let file: WebConfigFile?
    private let passwords: PasswordCheck

    init(_ settings: Configuration.Web, file: WebConfigFile?, passwords: PasswordCheck) {
        self.settings = settings
        self.file = file
        self.passwords = passwords
        hosts = HostCheck(allowed: settings.allowedHosts)
    }

    var tls: TLSServerSettings? { file?.tls }

    /// Probes have no password, and are told nothing but a word.
    private static let probes: Set<String> = ["/-/healthy", "/-/ready"]

    func admission(of request: HTTPRequest, by router: Router) async -> HTTPServer.Admission {
        if isPreflight(request) { return .admitted(nil, takesBody: false) }
        var visitor = HTTPServer.Visitor(isTrusted: request.isFromLoopback && hosts.names(request))
        if let file {
            if !file.users.isEmpty, !Self.probes.contains(request.path) {
                switch await passwords.check(request.header("authorization"), file.users) {
                case .known(let user): visitor = HTTPServer.Visitor(user: user, isTrusted: true)
                case .unknown: return .refused(unauthorised)
                case .busy: return .refused(.text("too many passwords are being checked\n", status: 503))
                }
            } else if file.tls?.knowsClients == true {
                visitor.isTrusted = true
            }
        }
        var seen = request
        (seen.user, seen.isTrusted) = (visitor.user, visitor.isTrusted)
        guard visitor.isTrusted || isPublic(request.path) else {
            return .refused(.text("not for everybody: see the setting web.public\n", status: 403))
        }
        return router.admission(of: seen, as: visitor)
    }

    private var unauthorised: HTTPResponse {
        HTTPResponse(
            status: 401,
            headers: [("WWW-Authenticate", "Basic"), ("Content-Type", "text/plain; charset=utf-8")],
            body: Array("Unauthorized\n".utf8))
    }

    private func isPublic(_ path: String) -> Bool {
        settings.isPublic == .all || Self.probes.contains(path)
            || [settings.telemetryPath, "/health"].contains(path)
    }

    func answer(_ request: HTTPRequest, by router: Router) async -> HTTPResponse {
        var response = isPreflight(request) ? HTTPResponse(status: 204) : await router.answer(request)
        if !["GET", "HEAD", "OPTIONS"].contains(request.method), !PrometheusAPI.takesForm(request),
            response.status < 400
        {
            Log.info(
                "changed over HTTP",
                [
                    "by": request.user ?? request.client, "what": "\(request.method) \(request.path)",
                    "status": "\(response.status)",
                ])
        }
        if request.path.hasPrefix(Self.apiPath), let origin = request.header("origin") {
            response.headers += [
                ("Access-Control-Allow-Headers", "Accept, Authorization, Content-Type, Origin"),
                ("Access-Control-Allow-Methods", "GET, POST, OPTIONS"), ("Access-Control-Expose-Headers", "Date"),
                ("Vary", "Origin"),
            ]
            if settings.corsOrigin == ".*" {
                response.headers.append(("Access-Control-Allow-Origin", "*"))
            } else if settings.corsPattern?.matches(origin) == true {
                response.headers.append(("Access-Control-Allow-Origin", origin))
            }
        }
        response.headers += file?.headers ?? []
        return response
    }

    private static let apiPath = "/api/v1/"

    /// A browser asks whether a page may ask.
    private func isPreflight(_ request: HTTPRequest) -> Bool {
        request.method == "OPTIONS" && request.path.hasPrefix(Self.apiPath)
    }
}
