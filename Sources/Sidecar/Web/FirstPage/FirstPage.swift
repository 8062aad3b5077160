import Alerting
import Network
import Runtime

/// `GET /`: how the service does, why, and what to do next, for a person. One page without anything from elsewhere; it
/// draws itself anew every few seconds where scripts run, and is complete where they do not.
struct FirstPage: Sendable {
    let facts: Facts
    let report: @Sendable () -> PerformanceReport?
    let telemetryPath: String

    func answer() -> HTTPResponse {
        HTTPResponse(
            headers: [
                ("Content-Type", "text/html; charset=utf-8"), ("Cache-Control", "no-store"),
                (
                    "Content-Security-Policy",
                    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:"
                ),
            ], body: Array(page.utf8))
    }

    private var page: String {
        let report = report()
        let shown = facts.shown
        let level = report?.overall.level ?? .unknown
        return """
            <!doctype html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta name="color-scheme" content="light dark">
            <link rel="icon" href="data:,">
            <title>\(level.rawValue) · Outrigger</title>
            <style>\(FirstPageStyle.css)</style>
            </head>
            <body>
            <main>
            <header class="\(level.rawValue)">
            <h1>\(level.rawValue)</h1>
            <p>\(since(report?.overall))</p>
            </header>
            \(components(report))
            \(reasons(report))
            \(alerts)
            <h2>The last \(shown == .seconds(3600) ? "hour" : span(shown))</h2>
            <section class="sparks">
            \(Spark.all.compactMap { $0.drawn(facts, over: shown) }.joined(separator: "\n"))
            </section>
            \(links)
            </main>
            <script>
            setInterval(async () => {
              const answer = await fetch('/').catch(() => null)
              document.body.classList.toggle('stale', !answer?.ok)
              if (!answer?.ok) return
              const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html')
              document.querySelector('main').replaceWith(fresh.querySelector('main'))
              document.title = fresh.title
            }, 5000)
            </script>
            </body>
            </html>

            """
    }

    private func since(_ component: ComponentReport?) -> String {
        guard let component, component.level != .unknown else { return "Too little is known yet to judge." }
        let score = component.score.map { ", score \(Int($0.rounded())) of 100" } ?? ""
        let trend = component.trend == .unknown ? "" : ", \(component.trend.rawValue)"
        return "for \(span(Moment.now - component.since))\(score)\(trend)\(held(component))"
    }

    private func held(_ component: ComponentReport) -> String {
        guard let until = component.heldUntil else { return "" }
        let left = until - .now
        return left > .zero
            ? "; \(component.current.rawValue) now, held for \(span(left)) more so that it does not waver"
            : "; \(component.current.rawValue) now"
    }

    private func components(_ report: PerformanceReport?) -> String {
        let chips = (report?.components ?? []).map { component in
            "<li class=\"\(component.level.rawValue)\"><b>\(escape(component.name))</b> \(component.level.rawValue)</li>"
        }
        return chips.isEmpty ? "" : "<ul class=\"chips\">\n\(chips.joined(separator: "\n"))\n</ul>"
    }

    private func reasons(_ report: PerformanceReport?) -> String {
        guard let report, !report.overall.reasons.isEmpty else { return "" }
        let items = report.overall.reasons.map { reason in
            """
            <li class="\(reason.level.rawValue)"><b>\(escape(reason.indicator))</b> is \(Quantity.text(reason.value, reason.unit)), \
            for \(span(Moment.now - reason.since))\(border(reason)).<br>\(escape(reason.advice))</li>
            """
        }
        let limits = report.overall.limits.prefix(2).map { limit in
            "<li><b>\(escape(limit.resource))</b> will be full in \(span(.seconds(min(max(limit.seconds, 0), 1e12)))) if it goes on so.</li>"
        }
        let unusual = report.overall.annotations.map { "<li>\(escape($0))</li>" }
        return
            "<h2>Why, and what to do</h2>\n<ul class=\"reasons\">\n\((items + limits + unusual).joined(separator: "\n"))\n</ul>"
    }

    /// Where the level begins; a value that has come back a little is still at it.
    private func border(_ reason: PerformanceReason) -> String {
        guard reason.unit != "up" else { return "" }
        return "; \(reason.level.rawValue) begins at \(Quantity.text(reason.threshold, reason.unit))"
    }

    private var alerts: String {
        let firing = facts.samples("ALERTS{alertstate=\"firing\", alertname!=\"Watchdog\"}").map { alert in
            let name = alert.labels["alertname"] ?? ""
            let others = alert.labels.pairs.filter {
                !["__name__", "alertname", "alertstate", "severity", "job"].contains($0.name)
            }
            let about = others.map { "\($0.name) \($0.value)" }.joined(separator: ", ")
            return
                "<li><b>\(escape(name))</b> \(escape(alert.labels["severity"] ?? "")) <span>\(escape(about))</span></li>"
        }
        guard !firing.isEmpty else { return "" }
        return "<h2>Firing alerts</h2>\n<ul class=\"alerts\">\n\(firing.prefix(30).joined(separator: "\n"))\n</ul>"
    }

    private var links: String {
        let links = [
            (telemetryPath, "metrics"), ("/graph", "query"), ("/api/v1/rules", "rules"), ("/api/v1/alerts", "alerts"),
            ("/v1/rules/evaluations", "evaluations"), ("/health/performance", "levels"),
            ("/health/database", "database"), ("/health/cache", "cache"), ("/performance/stats", "statistics"),
            ("/performance/stats/advanced", "advice"), ("/openapi.json", "OpenAPI"),
        ]
        let items = links.map { "<a href=\"\(escape($0.0))\">\($0.1)</a>" }.joined(separator: "\n")
        return "<nav>\n\(items)\n</nav>\n<footer>Outrigger \(Outrigger.version)</footer>"
    }

    /// The two largest units of a length of time.
    private func span(_ duration: Duration) -> String {
        let seconds = max(0, Int(duration.seconds))
        switch seconds {
        case ..<60: return "\(seconds) s"
        case ..<3600: return "\(seconds / 60) min"
        case ..<86400: return "\(seconds / 3600) h \(seconds % 3600 / 60) min"
        default: return "\(seconds / 86400) d \(seconds % 86400 / 3600) h"
        }
    }
}

/// Text as HTML, whatever it holds.
func escape(_ text: String) -> String {
    var escaped = ""
    for character in text.unicodeScalars {
        switch character {
        case "&": escaped += "&amp;"
        case "<": escaped += "&lt;"
        case ">": escaped += "&gt;"
        case "\"": escaped += "&quot;"
        default: escaped.unicodeScalars.append(character)
        }
    }
    return escaped
}
