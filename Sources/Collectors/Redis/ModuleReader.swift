import Databases
import Metrics

/// INFO MODULES, and Tile38's SERVER EXT.
struct ModuleReader {
    private let base: Labels
    private var modules = Memo<Labels>()

    init(base: Labels) { self.base = base }

    static let command = RedisCommand("INFO", "MODULES", name: "INFO MODULES")
    static let tile38 = RedisCommand("SERVER", "EXT", name: "SERVER EXT")

    private static let module = Array("module".utf8)
    private static let labelNames = ["name", "ver", "api", "filters", "usedby", "using"]

    /// `module:name=search,ver=21005,api=1,filters=0,usedby=[],using=[],options=[]`. The fields of the modules' own that
    /// follow are read as all fields are.
    mutating func read(_ reply: RedisReply) -> [Family] {
        guard let list = reply.bytes else { return [] }
        let text = list.span
        var infos = Family(RedisMetrics.moduleInfo)
        modules.begin()
        defer { modules.end() }
        var start = 0
        while start < text.count {
            let end = text.firstIndex(of: UInt8(ascii: "\n"), in: start..<text.count) ?? text.count
            let line = text.trimmed(start..<end)
            start = end + 1
            guard let colon = text.firstIndex(of: UInt8(ascii: ":"), in: line),
                text.equals(line.lowerBound..<colon, Self.module)
            else { continue }
            let labels = modules.value(text, colon + 1..<line.upperBound) { [base] module in
                let text = module.span
                var pairs = Pairs(0..<module.count)
                var labels: [Label] = []
                while let (name, value) = pairs.next(text) {
                    let name = text.string(name)
                    if Self.labelNames.contains(name) { labels.append(Label(name, text.string(value))) }
                }
                return base.adding(labels)
            }
            infos.samples.append(Sample(labels, 1))
        }
        return infos.samples.isEmpty ? [] : [infos]
    }

    /// Names and values in turn, as lines that can be read like INFO; some of the names already begin with `tile38_`.
    static func tile38Lines(_ reply: RedisReply) -> [UInt8] {
        var lines: [UInt8] = []
        for (name, value) in reply.pairs ?? [] {
            guard let value = value.text else { continue }
            lines += (name.hasPrefix("tile38_") ? name : "tile38_" + name).utf8
            lines += ":\(value)\n".utf8
        }
        return lines
    }
}
