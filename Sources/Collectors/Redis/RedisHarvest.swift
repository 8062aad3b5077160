import Databases
import Metrics
import Runtime

/// What one scrape of a Redis has brought so far, collector by collector, and how each of them fared.
struct RedisHarvest {
    struct Run {
        var collected: Collected
        var took: Duration
        var error: CollectorErrorClass?
    }

    let selection: CollectorSelection
    private let began: ContinuousClock.Instant
    private(set) var runs: [Run] = []

    init(selection: CollectorSelection, began: ContinuousClock.Instant) {
        self.selection = selection
        self.began = began
    }

    var collected: [Collected] { runs.map(\.collected).filter { !$0.families.isEmpty } }

    func wants(_ collector: String) -> Bool { selection.contains(collector) }

    /// Adds to a collector's families. The first error of a collector stays; its duration runs from the begin of the scrape
    /// to its last answer, because collectors share a round trip.
    mutating func record(_ collector: String, _ families: [Family], error: CollectorErrorClass?) {
        let took = ContinuousClock.now - began
        let served = wants(collector) ? families : []
        guard let index = runs.firstIndex(where: { $0.collected.collector == collector }) else {
            runs.append(Run(collected: Collected(collector, served), took: took, error: error))
            return
        }
        runs[index].collected.families += served
        runs[index].took = took
        if runs[index].error == nil { runs[index].error = error }
    }

    mutating func record(_ collector: String, _ families: [Family], _ reply: RedisReply) {
        record(collector, families, error: reply.errorText.map(CollectorErrorClass.init(refusal:)))
    }
}
