/// Words that decide what a statement leaves behind.
enum Word: UInt8 {
    /// Not in the table: a name of the user's.
    case name = 0
    /// May stand before a bracket without being called.
    case keyword
    /// Of `pg_catalog`, known to leave nothing in the session.
    case harmlessFunction
    /// Before a name that a list of columns follows.
    case into
    case set, reset, discard, deallocate, prepare, execute, listen, unlisten, declare, close, load, run, drop, create
    case local, transaction, temporary, hold, with, pgTemp, pgCatalog, replaceOrGlobal, all, plans
    /// Begins a statement that needs no further look.
    case plain
    case begin, commit, rollback, select, insert, update, delete, show
    case setConfig, advisoryLock, advisoryUnlock

    /// By the hash of the word in lower case.
    private static let table = WordTable(words)

    static func find(_ hash: UInt64) -> Word { table.find(hash) }

    /// FNV-1a, a byte at a time.
    static let hashSeed: UInt64 = 0xCBF2_9CE4_8422_2325
    @inline(__always) static func hash(_ hash: UInt64, _ byte: UInt8) -> UInt64 {
        (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3
    }

    private static let words: [(Word, String)] = [
        (.into, "into table references as exists"),
        (.set, "set"), (.reset, "reset"), (.discard, "discard"), (.deallocate, "deallocate"), (.prepare, "prepare"),
        (.execute, "execute"), (.listen, "listen"), (.unlisten, "unlisten"), (.declare, "declare"), (.close, "close"),
        (.load, "load"), (.run, "do call"), (.drop, "drop"), (.create, "create"), (.local, "local constraints"),
        (.transaction, "transaction"), (.temporary, "temp temporary"), (.hold, "hold"), (.with, "with"),
        (.pgTemp, "pg_temp"), (.pgCatalog, "pg_catalog"), (.replaceOrGlobal, "replace global"), (.all, "all"),
        (.plans, "plans"),
        (.select, "select"), (.insert, "insert"), (.update, "update"), (.delete, "delete"), (.show, "show"),
        (.begin, "begin start"), (.commit, "commit end"), (.rollback, "rollback abort"),
        (
            .plain,
            """
            values merge savepoint release explain fetch move copy alter truncate grant
            revoke comment analyze vacuum reindex cluster refresh lock notify checkpoint import security
            """
        ),
        (
            .keyword,
            """
            in and or not any some on using over filter group by where from join returning case when then else limit
            offset having union except intersect distinct between like ilike is key unique check primary foreign
            conflict materialized within order array row partition partitions for is null default generated numeric
            decimal varchar char character varying timestamp time bit interval float lateral window exclude include sets
            rollup cube ordinality tablesample bernoulli system only inner outer left right full cross natural
            """
        ),
        (.setConfig, "set_config"),
        (
            .advisoryLock,
            """
            pg_advisory_lock pg_advisory_lock_shared pg_try_advisory_lock pg_try_advisory_lock_shared
            """
        ),
        (.advisoryUnlock, "pg_advisory_unlock pg_advisory_unlock_shared pg_advisory_unlock_all"),
        (
            .harmlessFunction,
            """
            count sum avg min max string_agg array_agg json_agg jsonb_agg json_object_agg jsonb_object_agg bool_and
            bool_or every stddev stddev_pop stddev_samp variance var_pop var_samp bit_and bit_or corr regr_slope mode
            percentile_cont percentile_disc row_number rank dense_rank percent_rank cume_dist ntile lag lead first_value
            last_value nth_value coalesce nullif greatest least abs ceil ceiling floor round trunc sign sqrt cbrt exp ln
            log log10 power mod div pi random sin cos tan asin acos atan atan2 degrees radians width_bucket
            lower upper initcap length char_length character_length octet_length bit_length substring substr position
            strpos overlay trim btrim ltrim rtrim lpad rpad left right repeat replace reverse split_part translate
            concat concat_ws format quote_ident quote_literal quote_nullable chr ascii md5 sha224 sha256 sha384 sha512
            encode decode to_hex starts_with regexp_match regexp_matches regexp_replace regexp_split_to_array
            regexp_split_to_table string_to_array array_to_string to_char to_date to_number to_timestamp
            now current_timestamp current_date current_time localtime localtimestamp clock_timestamp
            statement_timestamp transaction_timestamp timeofday date_trunc date_part extract age make_date make_time
            make_timestamp make_timestamptz make_interval justify_days justify_hours justify_interval isfinite date_bin
            array_length array_upper array_lower array_ndims array_dims array_append array_prepend array_cat
            array_position array_positions array_remove array_replace array_fill cardinality unnest
            generate_series generate_subscripts json_build_object jsonb_build_object json_build_array
            jsonb_build_array to_json to_jsonb row_to_json array_to_json json_extract_path json_extract_path_text
            jsonb_extract_path jsonb_extract_path_text json_array_elements jsonb_array_elements
            json_array_elements_text jsonb_array_elements_text json_array_length jsonb_array_length json_each
            jsonb_each json_each_text jsonb_each_text json_object_keys jsonb_object_keys jsonb_set jsonb_insert
            jsonb_pretty jsonb_strip_nulls json_typeof jsonb_typeof jsonb_path_query jsonb_path_exists
            json_to_record jsonb_to_record json_to_recordset jsonb_to_recordset json_populate_record
            jsonb_populate_record jsonb_populate_recordset json_populate_recordset
            cast convert convert_from convert_to nextval currval lastval setval gen_random_uuid uuid_generate_v4
            to_tsvector to_tsquery plainto_tsquery phraseto_tsquery websearch_to_tsquery ts_rank ts_rank_cd ts_headline
            setweight strip lo_get row exists version current_user session_user current_schema current_schemas
            current_database current_catalog current_setting pg_backend_pid pg_typeof pg_sleep pg_notify
            pg_advisory_xact_lock pg_advisory_xact_lock_shared pg_try_advisory_xact_lock
            pg_try_advisory_xact_lock_shared txid_current pg_current_xact_id pg_is_in_recovery pg_get_expr
            pg_get_constraintdef pg_get_indexdef pg_get_viewdef pg_get_functiondef pg_get_userbyid pg_get_serial_sequence
            pg_get_function_arguments pg_get_function_result pg_get_function_identity_arguments pg_get_triggerdef
            pg_get_ruledef pg_get_statisticsobjdef pg_get_statisticsobjdef_columns pg_get_partkeydef
            pg_table_is_visible pg_type_is_visible pg_function_is_visible pg_operator_is_visible
            pg_opclass_is_visible pg_collation_is_visible pg_conversion_is_visible pg_ts_config_is_visible
            pg_statistics_obj_is_visible format_type obj_description col_description shobj_description
            pg_encoding_to_char pg_relation_size pg_total_relation_size pg_table_size pg_indexes_size pg_database_size
            pg_tablespace_size pg_size_pretty pg_relation_is_publishable pg_tablespace_location
            pg_partition_ancestors pg_partition_tree has_table_privilege has_schema_privilege has_database_privilege
            has_column_privilege to_regclass to_regtype to_regproc to_regnamespace array_in regclass
            pg_cancel_backend pg_terminate_backend pg_stat_get_activity pg_stat_reset pg_postmaster_start_time
            inet_client_addr inet_server_addr inet_client_port inet_server_port host masklen network
            int4range int8range numrange tsrange tstzrange daterange isempty lower_inc upper_inc
            """
        ),
    ]
}

/// Hashes and what they stand for, looked up in a few instructions.
private struct WordTable {
    private var hashes: [UInt64]
    private var words: [Word]
    private let mask: Int

    init(_ lists: [(Word, String)]) {
        let size = 4096
        hashes = [UInt64](repeating: 0, count: size)
        words = [Word](repeating: .name, count: size)
        mask = size - 1
        for (word, list) in lists {
            for text in list.split(whereSeparator: { $0 == " " || $0 == "\n" }) {
                add(text.utf8.reduce(Word.hashSeed, Word.hash), word)
            }
        }
    }

    /// The first list that names a word has it.
    private mutating func add(_ hash: UInt64, _ word: Word) {
        var place = Int(truncatingIfNeeded: hash ^ hash >> 32) & mask
        while hashes[place] != 0 {
            if hashes[place] == hash { return }
            place = (place + 1) & mask
        }
        (hashes[place], words[place]) = (hash, word)
    }

    func find(_ hash: UInt64) -> Word {
        var place = Int(truncatingIfNeeded: hash ^ hash >> 32) & mask
        while hashes[place] != 0 {
            if hashes[place] == hash { return words[place] }
            place = (place + 1) & mask
        }
        return .name
    }
}
