import Runtime

/// The levels of all components on disk, so that a restart neither forgets nor excuses anything.
enum RememberedLevels {
    static func encode(_ holds: [PerformanceComponent: LevelHold]) -> [UInt8] {
        var writer = JSONWriter()
        writer.array {
            for (component, hold) in holds.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
                $0.object {
                    $0.key("component")
                    $0.string(component.rawValue)
                    $0.key("level")
                    $0.string(hold.level.rawValue)
                    $0.key("since")
                    $0.integer(hold.since.milliseconds)
                    $0.key("patience")
                    $0.number(hold.patience)
                    if let left = hold.left {
                        $0.key("left")
                        $0.string(left.rawValue)
                    }
                }
            }
        }
        return writer.bytes
    }

    /// What `encode` did not write is left out.
    static func decode(_ bytes: [UInt8]) -> [PerformanceComponent: LevelHold] {
        var holds: [PerformanceComponent: LevelHold] = [:]
        for item in (try? JSON.parse(bytes))?.array ?? [] {
            guard let component = item["component"]?.string.flatMap({ PerformanceComponent(rawValue: $0) }),
                let level = item["level"]?.string.flatMap({ PerformanceLevel(rawValue: $0) }),
                let since = item["since"]?.integer, let patience = item["patience"]?.double, patience >= 1
            else { continue }
            holds[component] = LevelHold(
                level: level, since: Moment(milliseconds: since), patience: patience,
                left: item["left"]?.string.flatMap { PerformanceLevel(rawValue: $0) })
        }
        return holds
    }
}
