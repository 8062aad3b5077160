import Metrics

/// Everything that remembers something from scrape to scrape under one set of labels.
struct RedisReaders {
    let base: Labels
    var info: InfoReader
    var config: ConfigReader
    var latency: LatencyReader
    var slowlog: SlowlogReader
    var clients: ClientListReader
    var modules: ModuleReader
    var checks: [any RedisCheck]

    init(base: Labels, options: RedisOptions) {
        self.base = base
        info = InfoReader(base: base, options: options)
        config = ConfigReader(base: base, options: options)
        latency = LatencyReader(base: base)
        slowlog = SlowlogReader(base: base)
        clients = ClientListReader(base: base, options: options)
        modules = ModuleReader(base: base)
        let optional: [(any RedisCheck)?] = [
            KeyCheck(base: base, options: options), KeyCountCheck(base: base, options: options),
            StreamCheck(base: base, options: options), SearchIndexCheck(base: base, options: options),
            ScriptCheck(base: base, options: options),
        ]
        checks =
            [SentinelCheck(base: base, options: options)] + optional.compactMap { $0 }
            + [KeyGroupCheck(base: base, options: options)]
    }
}
