import Metrics
import Network
import Runtime

/// `GET /metrics`: one collection, in the format and encoding that the client prefers.
struct MetricsPage: Sendable {
    let registry: Registry
    let settings: Configuration.Collect
    let duplicates: Counter

    func answer(_ request: HTTPRequest) async -> HTTPResponse {
        let selection = CollectorSelection(
            collect: request.parameters("collect[]"), exclude: request.parameters("exclude[]"))
        let snapshot = await registry.gather(selection, by: .after(budget(request)))
        return page(snapshot, for: request)
    }

    /// How long the collection may take: the scraper's own time-out, less the way back.
    func budget(_ request: HTTPRequest) -> Duration {
        guard let header = request.header("x-prometheus-scrape-timeout-seconds"), let seconds = Double(header),
            seconds > 0, seconds < 86_400
        else { return settings.timeout }
        let whole = Duration.nanoseconds(Int64(seconds * 1e9))
        // A time-out no longer than the offset still leaves half of it.
        return max(whole - settings.timeoutOffset, whole / 2)
    }

    func page(_ snapshot: Snapshot, for request: HTTPRequest) -> HTTPResponse {
        let format = MetricsPage.format(accept: request.header("accept"))
        let (page, duplicates) = Exposition.encode(snapshot, as: format)
        if duplicates > 0 { self.duplicates.add(duplicates) }
        var response = HTTPResponse(
            headers: [("Content-Type", format.contentType), ("Vary", "Accept, Accept-Encoding")], body: page)
        let encodings = QualityList(request.header("accept-encoding") ?? "")
        if encodings.quality(of: "gzip") > 0, let small = Gzip.compress(page) {
            response.headers.append(("Content-Encoding", "gzip"))
            response.body = small
        }
        return response
    }

    /// OpenMetrics only when it is asked for by name and liked no less than plain text.
    static func format(accept: String?) -> Exposition.Format {
        guard let accept else { return .text }
        let list = QualityList(accept)
        let versions = [nil, "1.0.0", "0.0.1"]
        let open = list.items.first {
            $0.name == "application/openmetrics-text" && versions.contains($0.parameters["version"]) && $0.quality > 0
        }
        guard let open else { return .text }
        let plain = list.items.filter { $0.name == "text/plain" && [nil, "0.0.4"].contains($0.parameters["version"]) }
        return open.quality >= plain.map(\.quality).max() ?? 0 ? .openMetrics : .text
    }
}
