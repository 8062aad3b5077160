import Runtime

/// `GET /`: what this is and where to go.
enum LandingPage {
    static func answer(telemetryPath: String) -> HTTPResponse {
        let links = [
            (telemetryPath, "metrics, in the Prometheus text format or OpenMetrics"),
            ("/-/healthy", "whether the process answers"),
            ("/-/ready", "whether it serves"),
        ]
        let items = links.map { "<li><a href=\"\(escape($0.0))\">\(escape($0.0))</a> \($0.1)</li>" }.joined(
            separator: "\n")
        let page = """
            <!doctype html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta name="color-scheme" content="light dark">
            <title>Outrigger</title>
            <style>body { font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto; padding: 0 1rem }</style>
            </head>
            <body>
            <h1>Outrigger</h1>
            <p>Version \(Outrigger.version). Watches Postgres, Redis and a service from beside them.</p>
            <ul>
            \(items)
            </ul>
            </body>
            </html>

            """
        return HTTPResponse(headers: [("Content-Type", "text/html; charset=utf-8")], body: Array(page.utf8))
    }

    static func escape(_ text: String) -> String {
        var escaped = ""
        for character in text {
            switch character {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "\"": escaped += "&quot;"
            default: escaped.append(character)
            }
        }
        return escaped
    }
}
