import Metrics

/// A field of INFO and the metric it becomes.
struct InfoField: Sendable {
    let name: [UInt8]
    let metric: Metric
    /// What the field's number is divided by: servers tell some times in microseconds.
    var divisor = 1.0
    /// Whether the options ask for the field; without this they always do.
    var isWanted: (@Sendable (RedisOptions) -> Bool)?
    /// With aliases on, served in place of `metric`: the same name had another type once.
    var former: Metric?
    /// With aliases on, served besides `metric`: an older name for the same number.
    var alias: Metric?

    private init(_ name: String, _ metric: Metric) {
        self.name = Array(name.utf8)
        self.metric = metric
    }

    /// - Parameters:
    ///   - metric: without `redis_`; the field's own name when there is none.
    ///   - alias: without `redis_`.
    static func gauge(
        _ name: String, _ metric: String? = nil, dividedBy divisor: Double = 1, alias: String? = nil,
        onlyWhen isWanted: (@Sendable (RedisOptions) -> Bool)? = nil
    ) -> InfoField {
        var field = InfoField(name, RedisMetrics.plain(metric ?? name, .gauge))
        field.divisor = divisor
        field.alias = alias.map { RedisMetrics.plain($0, .gauge) }
        field.isWanted = isWanted
        return field
    }

    static func counter(_ name: String, _ metric: String? = nil, formerly kind: Metric.Kind? = nil) -> InfoField {
        var field = InfoField(name, RedisMetrics.plain(metric ?? name, .counter))
        field.former = kind.map { RedisMetrics.plain(metric ?? name, $0) }
        return field
    }

    /// A field whose metric has a help text of its own.
    static func field(_ name: String, _ metric: Metric) -> InfoField { InfoField(name, metric) }

    /// What the options make of the field; nil when they do not ask for it.
    func served(_ options: RedisOptions) -> Served? {
        if let isWanted, !isWanted(options) { return nil }
        return Served(
            metric: options.aliases ? former ?? metric : metric, divisor: divisor, alias: options.aliases ? alias : nil)
    }

    struct Served: Sendable {
        let metric: Metric
        let divisor: Double
        let alias: Metric?
    }
}

/// Finds the field that a name stands for: a hash table with open addressing, built once.
struct InfoFieldIndex: Sendable {
    /// Four places for each field, so that most names are found, or found missing, at the first look.
    private let slots: [Int16]
    private let names: [[UInt8]]

    static let shared = InfoFieldIndex(InfoField.catalogue)

    init(_ fields: [InfoField]) {
        var size = 1
        while size < fields.count * 4 { size *= 2 }
        var slots = [Int16](repeating: -1, count: size)
        for (index, field) in fields.enumerated() {
            var slot = Self.hash(field.name.span, 0..<field.name.count) & (size - 1)
            while slots[slot] >= 0 {
                precondition(fields[Int(slots[slot])].name != field.name, "two rows for one field of INFO")
                slot = (slot + 1) & (size - 1)
            }
            slots[slot] = Int16(index)
        }
        self.slots = slots
        names = fields.map(\.name)
    }

    /// The field's place in the catalogue.
    func place(_ text: Span<UInt8>, _ range: Range<Int>) -> Int? {
        var slot = Self.hash(text, range) & (slots.count - 1)
        while slots[slot] >= 0 {
            let place = Int(slots[slot])
            if text.equals(range, names[place]) { return place }
            slot = (slot + 1) & (slots.count - 1)
        }
        return nil
    }

    /// FNV-1a: <https://datatracker.ietf.org/doc/html/draft-eastlake-fnv>.
    private static func hash(_ text: Span<UInt8>, _ range: Range<Int>) -> Int {
        var hash: UInt32 = 2_166_136_261
        for index in range { hash = (hash ^ UInt32(text[index])) &* 16_777_619 }
        return Int(hash)
    }
}
