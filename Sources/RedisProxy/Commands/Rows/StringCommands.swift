/// Strings, and what is done to their bits.
extension CommandRow {
    static let string: [CommandRow] = [
        .write("append", 3, .key, .grows),
        .write("decr", 2, .key, .grows),
        .write("decrby", 3, .key, .grows),
        .read("get", 2, .key, .cacheable),
        .write("getdel", 2, .key),
        .write("getex", -2, .key),
        .read("getrange", 4, .key, .cacheable),
        .write("getset", 3, .key, .grows),
        .write("incr", 2, .key, .grows),
        .write("incrby", 3, .key, .grows),
        .write("incrbyfloat", 3, .key, .grows),
        .read("lcs", -3, .keys(1...2), .cacheable, lane: .slow),
        .read("mget", -2, .keys, .cacheable),
        .write("mset", -3, .keys(step: 2), [.grows, .writeBehind]),
        .write("msetnx", -3, .keys(step: 2), .grows),
        .write("psetex", 4, .key, [.grows, .writeBehind]),
        .write("set", -3, .key, [.grows, .writeBehind]),
        .write("setex", 4, .key, [.grows, .writeBehind]),
        .write("setnx", 3, .key, .grows),
        .write("setrange", 4, .key, .grows),
        .read("strlen", 2, .key, .cacheable),
        .read("substr", 4, .key, .cacheable),
    ]

    static let bitmap: [CommandRow] = [
        .read("bitcount", -2, .key, .cacheable),
        .write("bitfield", -2, .key, .grows),
        .read("bitfield_ro", -2, .key, .cacheable),
        .write("bitop", -4, .keys(first: 2), .grows, lane: .slow),
        .read("bitpos", -3, .key, .cacheable),
        .read("getbit", 3, .key, .cacheable),
        .write("setbit", 4, .key, .grows),
    ]

    static let hyperLogLog: [CommandRow] = [
        .write("pfadd", -2, .key, .grows),
        .read("pfcount", -2, .keys),
        .write("pfdebug", 3, .key(at: 2), .grows),
        .write("pfmerge", -2, .keys, .grows),
        .admin("pfselftest", 1, lane: .slow),
    ]
}
