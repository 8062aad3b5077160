import LocalServers
import Runtime
import Testing

/// The page that the links of alerts lead to, in a real browser.
@Suite struct GraphPageTests {
    @Test func anExpressionIsShownAsATableAndDrawn() async throws {
        let outrigger = try await RunningOutrigger.start(yaml: "history: {interval: 1s}\n")
        let page = try await Browser.text(
            of: outrigger.url + "/graph?g0.expr=process_open_fds%20%2B%200&g0.range_input=5m", until: "<polyline")
        #expect(page.contains("job=&quot;") || page.contains("job=\""), "\(page)")
        #expect(page.contains("<polyline points="))
        await outrigger.stop()
    }

    @Test func anExpressionStaysTextWhateverItHolds() async throws {
        let outrigger = try await RunningOutrigger.start()
        let page = try await Browser.text(
            of: outrigger.url + "/graph?g0.expr=%3Cimg%20src%3Dx%20onerror%3Ddocument.title%3D1%3E",
            until: "parse error")
        #expect(!page.contains("<img"))
        #expect(page.contains("unexpected"), "the error of the parser is shown")
        await outrigger.stop()
    }
}

/// Debian's Chromium without a window.
enum Browser {
    /// The document after its scripts ran, read again until it holds `word`, which is not a promise.
    static func text(of url: String, until word: String) async throws -> String {
        let folder = try TemporaryFolder("outrigger-browser")
        let deadline = Deadline.after(.seconds(60))
        var text = ""
        while !text.contains(word), !deadline.hasPassed {
            text = try await LocalServer.run(
                "chromium",
                [
                    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                    "--user-data-dir=\(folder.path)/profile", "--virtual-time-budget=3000", "--dump-dom", url,
                ], folder: folder, patience: .seconds(50))
        }
        return text
    }
}
