/// What one round of a load was like for one peer, or the medians of several.
struct PeerNumbers {
    /// Operations a second.
    var rate: Double
    /// Of a batch, in microseconds.
    var p50: Double
    var p99: Double
    /// Milliseconds of CPU for a million operations.
    var proxyCPU: Double
    var redisCPU: Double

    static func medians(_ rounds: [PeerNumbers]) -> PeerNumbers {
        func median(_ number: KeyPath<PeerNumbers, Double>) -> Double {
            rounds.map { $0[keyPath: number] }.quantile(0.5)
        }
        return PeerNumbers(
            rate: median(\.rate), p50: median(\.p50), p99: median(\.p99), proxyCPU: median(\.proxyCPU),
            redisCPU: median(\.redisCPU))
    }
}

/// A load's numbers for the three ways to the same Redis.
struct PeerRow {
    let name: String
    let direct: PeerNumbers
    let outrigger: PeerNumbers
    let twemproxy: PeerNumbers
    /// Of what answers without looking; nil where that was not measured.
    let canned: PeerNumbers?
    let goal: Goal?

    /// Outrigger's rate as a multiple of another's, at least.
    enum Goal {
        case ofDirect(Double)
        case ofTwemproxy(Double)
    }

    /// A table of the rates, then one of what they cost.
    static func printTables(_ title: String, _ rows: [PeerRow]) {
        print("| \(title), operations a second | direct | outrigger | twemproxy | ÷ direct | ÷ twemproxy | goal | |")
        print("|---|---|---|---|---|---|---|---|")
        for row in rows {
            let rates = [row.direct, row.outrigger, row.twemproxy].map { Comparison.grouped($0.rate) }
            let ratios = [row.ofDirect, row.ofTwemproxy].map(Comparison.text)
            print("| " + ([row.name] + rates + ratios + [row.promise, row.verdict]).joined(separator: " | ") + " |")
        }
        print("\n| \(title) | direct | outrigger | twemproxy |\n|---|---|---|---|")
        for row in rows {
            row.printCosts("p50 of a batch, µs") { Comparison.text($0.p50) }
            row.printCosts("p99 of a batch, µs") { Comparison.text($0.p99) }
            row.printCosts("CPU of proxy + Redis, ms a million") {
                "\(Comparison.grouped($0.proxyCPU)) + \(Comparison.grouped($0.redisCPU))"
            }
        }
        print("")
        let bounded = rows.filter { $0.canned != nil }
        guard !bounded.isEmpty else { return }
        print(
            "| \(title), operations a second | outrigger | a server that sends canned replies | ÷ that | that ÷ direct |"
        )
        print("|---|---|---|---|---|")
        for row in bounded { row.printBound() }
        print("")
    }

    /// How near it comes to what the client can be answered at all, and how near that is to Redis.
    private func printBound() {
        guard let canned else { return }
        let rates = [outrigger, canned].map { Comparison.grouped($0.rate) }
        let ratios = [outrigger.rate / canned.rate, canned.rate / direct.rate].map(Comparison.text)
        print("| " + ([name] + rates + ratios).joined(separator: " | ") + " |")
    }

    private func printCosts(_ what: String, _ text: (PeerNumbers) -> String) {
        print("| \(name), \(what) | \(text(direct)) | \(text(outrigger)) | \(text(twemproxy)) |")
    }

    private var ofDirect: Double { outrigger.rate / direct.rate }
    private var ofTwemproxy: Double { outrigger.rate / twemproxy.rate }

    private var promise: String {
        switch goal {
        case .ofDirect(let least): "≥ \(Comparison.text(least)) direct"
        case .ofTwemproxy(let least): "≥ \(Comparison.text(least)) twemproxy"
        case nil: ""
        }
    }

    private var verdict: String {
        switch goal {
        case .ofDirect(let least): ofDirect >= least ? "met" : "missed"
        case .ofTwemproxy(let least): ofTwemproxy >= least ? "met" : "missed"
        case nil: ""
        }
    }
}
