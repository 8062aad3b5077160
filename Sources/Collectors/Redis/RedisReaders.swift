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
        checks = []
    }
}
