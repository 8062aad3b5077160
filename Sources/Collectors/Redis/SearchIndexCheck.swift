import Databases
import Metrics

/// RediSearch: FT._LIST and FT.INFO of every index, in two round trips.
struct SearchIndexCheck: RedisCheck {
    let collector = "redis_search"
    private let base: Labels

    init?(base: Labels, options: RedisOptions) {
        guard options.includeSearchIndexesMetrics else { return nil }
        self.base = base
    }

    private static let list = RedisCommand("FT._LIST")
    private static let megabyte = 1_048_576.0

    /// A field of FT.INFO, its metric, and what its number is multiplied by.
    private static let fields: [(field: String, metric: Metric, factor: Double)] = [
        ("num_docs", gauge("num_docs", "Number of documents in search index"), 1),
        ("max_doc_id", gauge("max_doc_id", "Maximum document ID in search index"), 1),
        ("num_terms", gauge("num_terms", "Number of distinct terms in search index"), 1),
        ("num_records", gauge("num_records", "Total number of records in search index"), 1),
        ("inverted_sz_mb", gauge("inverted_size_bytes", "Memory used by the inverted index"), megabyte),
        (
            "total_inverted_index_blocks",
            gauge("total_inverted_index_blocks", "Total number of blocks in the inverted index"), 1
        ),
        (
            "vector_index_sz_mb",
            gauge(
                "vector_index_size_bytes",
                "Memory used by the vector index, stores vectors associated with each document"), megabyte
        ),
        (
            "offset_vectors_sz_mb",
            gauge(
                "offset_vectors_size_bytes",
                "Memory used by the offset vectors, store positional information for terms in documents"), megabyte
        ),
        (
            "doc_table_size_mb",
            gauge(
                "doc_table_size_bytes",
                "Memory used by the document table, contains metadata about each document in the index"), megabyte
        ),
        (
            "sortable_values_size_mb",
            gauge("sortable_values_size_bytes", "Memory used by sortable values, used for sorting purposes"), megabyte
        ),
        (
            "key_table_size_mb",
            gauge(
                "key_table_size_bytes", "Memory used by the key table, stores mapping between document IDs and keys"),
            megabyte
        ),
        (
            "tag_overhead_sz_mb",
            gauge("tag_overhead_size_bytes", "Size of the TAG index structures used for optimising performance"),
            megabyte
        ),
        (
            "text_overhead_sz_mb",
            gauge("text_overhead_size_bytes", "Size of the TEXT index structures used for optimising performance"),
            megabyte
        ),
        (
            "total_index_memory_sz_mb",
            gauge("total_index_memory_size_bytes", "Total memory consumed by all indexes in the DB"), megabyte
        ),
        ("geoshapes_sz_mb", gauge("geoshapes_size_bytes", "Memory used by GEO-related fields"), megabyte),
        (
            "records_per_doc_avg",
            gauge("avg_per_doc_records", "Average number of records (including deletions) per document"), 1
        ),
        ("bytes_per_record_avg", gauge("avg_per_record_bytes", "Average size of each record in bytes"), 1),
        (
            "offsets_per_term_avg",
            gauge("avg_per_term_offsets", "Average number of offsets (position information) per term"), 1
        ),
        (
            "offset_bits_per_record_avg",
            gauge("avg_per_record_offset_bits", "Average number of bits used for offsets per record"), 1
        ),
        ("indexing", gauge("indexing", "Indicates whether the index is currently being generated"), 1),
        (
            "percent_indexed",
            gauge("percent_indexed", "Percentage of the index that has been successfully generated (0-1)"), 1
        ),
        (
            "hash_indexing_failures",
            gauge("hash_indexing_failures", "Number of failures encountered during indexing"), 1
        ),
        (
            "number_of_uses",
            Metric.counter(
                "redis_search_index_number_of_uses_total", "Number of times the index has been used"), 1
        ),
        (
            "cleaning",
            gauge("cleaning", "Index deletion flag. A value of 1 indicates index deletion is in progress"), 1
        ),
    ]

    static let metrics = fields.map(\.metric)

    private static func gauge(_ name: String, _ help: String) -> Metric { .gauge("redis_search_index_" + name, help) }

    mutating func run(_ context: CheckContext) throws(RedisError) -> CheckResult {
        var result = CheckResult()
        let list = try context.session.ask([Self.list], by: context.deadline)[0]
        result.note(list)
        let names = (list.elements ?? []).compactMap(\.bytes).map { Array($0) }
        let commands = names.map { RedisCommand([Array("FT.INFO".utf8), $0], name: "FT.INFO") }
        var families = Self.fields.map { Family($0.metric) }
        for (name, reply) in zip(names, try context.session.ask(commands, by: context.deadline)) {
            result.note(reply)
            let labels = base.adding([Label("index_name", String(decoding: name, as: UTF8.self))])
            for (field, value) in reply.pairs ?? [] {
                guard let index = Self.fields.firstIndex(where: { $0.field == field }),
                    let number = value.text.flatMap(Double.init) ?? value.integer.map(Double.init), number.isFinite
                else { continue }
                families[index].samples.append(Sample(labels, number * Self.fields[index].factor))
            }
        }
        result.families = families.filter { !$0.samples.isEmpty }
        return result
    }
}
