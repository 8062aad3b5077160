/// What the differential fuzzer draws from. Left out is only what no two servers answer alike: what depends on clocks
/// (`XADD … *`, idle times, `GT` of relative expiries) and on dice that change the data (`SPOP` of some).
extension RandomCommands {
    static let groups: [Group] = [
        Group(24, strings), Group(8, hashes), Group(8, lists), Group(6, sets), Group(8, sortedSets), Group(3, streams),
        Group(3, bitsAndSketches), Group(2, places), Group(12, keyspace), Group(3, databases), Group(5, scripting),
        Group(3, connection), Group(2, server), Group(1, nonsense),
    ]

    static let plainGroups: [Group] = [
        Group(30, commonReads), Group(24, strings), Group(8, hashes), Group(4, sets), Group(6, sortedSets),
        Group(3, bitsAndSketches), Group(8, keyspace),
    ]

    private static let commonReads = """
        GET %S
        GET %S
        GET %S
        GET %K
        MGET %S %S
        HGET %H %F
        HGETALL %H
        EXISTS %K
        STRLEN %S
        TYPE %K
        SMEMBERS %E
        SISMEMBER %E %F
        ZSCORE %Z %F
        ZRANGE %Z 0 -1 WITHSCORES
        LRANGE %L 0 -1
        GETRANGE %S 0 -1
        """

    private static let strings = """
        GET %S
        GET %S
        GET %S
        SET %S %V
        SET %S %V
        SET %S %V NX
        SET %S %V XX GET
        SET %S %V EX %t
        SET %S %V PX %p
        SET %S %V EXAT %b
        SET %S %V KEEPTTL
        SETNX %S %V
        SETEX %S %t %V
        PSETEX %S %p %V
        GETSET %S %V
        GETDEL %S
        GETEX %S EX %t
        GETEX %S PERSIST
        MGET %S %S %K
        MGET %S %S %S
        MSET %S %V %S %V
        MSETNX %S %V %S %V
        APPEND %S %F
        STRLEN %S
        GETRANGE %S %O %I
        SUBSTR %S %O %O
        SETRANGE %S %O %F
        INCR %S
        DECR %S
        INCRBY %S %I
        DECRBY %S %I
        INCRBYFLOAT %S %N
        LCS %S %S
        LCS %S %S LEN
        """

    private static let hashes = """
        HSET %H %F %V
        HSET %H %F %V %F %V
        HSETNX %H %F %V
        HMSET %H %F %V
        HGET %H %F
        HGET %H %F
        HMGET %H %F %F
        HGETALL %H
        HGETALL %H
        HDEL %H %F
        HEXISTS %H %F
        HLEN %H
        HKEYS %H
        HVALS %H
        HSTRLEN %H %F
        HINCRBY %H %F %I
        HINCRBYFLOAT %H %F %N
        HRANDFIELD %H 1000
        HSCAN %H 0 COUNT 1000
        """

    private static let lists = """
        LPUSH %L %V
        RPUSH %L %V %V
        LPUSHX %L %V
        RPUSHX %L %V
        LPOP %L
        RPOP %L %O
        LLEN %L
        LRANGE %L %O %I
        LRANGE %L 0 -1
        LINDEX %L %O
        LSET %L %O %V
        LINSERT %L BEFORE %V %V
        LREM %L %O %V
        LTRIM %L 0 20
        LPOS %L %V RANK %I
        LMOVE %L %L LEFT RIGHT
        RPOPLPUSH %L %L
        LMPOP 2 %L %L RIGHT COUNT 2
        BLPOP %L %L 0.005
        BRPOP %L 0.005
        BLMOVE %L %L LEFT LEFT 0.005
        BRPOPLPUSH %L %L 0.005
        BLMPOP 0.005 1 %L LEFT
        SORT %L ALPHA
        SORT %L LIMIT 0 5 DESC
        SORT %L ALPHA GET # GET s*
        SORT %L ALPHA DESC GET h*->f
        SORT %L ALPHA STORE %L
        SORT_RO %L ALPHA LIMIT 0 2
        """

    private static let sets = """
        SADD %E %F
        SADD %E %F %O
        SREM %E %F
        SMEMBERS %E
        SISMEMBER %E %F
        SMISMEMBER %E %F %F
        SCARD %E
        SMOVE %E %E %F
        SINTER %E %E
        SUNION %E %E
        SDIFF %E %E
        SINTERCARD 2 %E %E LIMIT 1
        SINTERSTORE %E %E %E
        SUNIONSTORE %E %E %E
        SDIFFSTORE %E %E %E
        SPOP %E 1000
        SRANDMEMBER %E 1000
        SSCAN %E 0 COUNT 1000
        SORT %E ALPHA STORE %L
        """

    private static let sortedSets = """
        ZADD %Z %N %F
        ZADD %Z %O %F %N %F
        ZADD %Z NX CH %O %F
        ZADD %Z GT CH %O %F
        ZADD %Z INCR %O %F
        ZINCRBY %Z %N %F
        ZREM %Z %F
        ZSCORE %Z %F
        ZMSCORE %Z %F %F
        ZCARD %Z
        ZCOUNT %Z %u %u
        ZLEXCOUNT %Z %y %y
        ZRANGE %Z %O %I
        ZRANGE %Z 0 -1 WITHSCORES
        ZRANGE %Z %u %u BYSCORE
        ZRANGE %Z %y %y BYLEX
        ZREVRANGE %Z 0 -1 WITHSCORES
        ZRANGEBYSCORE %Z %u %u LIMIT 0 3
        ZREVRANGEBYSCORE %Z %u %u
        ZRANGEBYLEX %Z %y %y
        ZRANGESTORE %Z %Z 0 2
        ZRANK %Z %F
        ZREVRANK %Z %F
        ZPOPMIN %Z
        ZPOPMAX %Z 2
        ZMPOP 2 %Z %Z MIN
        BZPOPMIN %Z 0.005
        BZMPOP 0.005 1 %Z MAX
        ZREMRANGEBYRANK %Z 5 -1
        ZREMRANGEBYSCORE %Z %u %u
        ZREMRANGEBYLEX %Z %y %y
        ZUNIONSTORE %Z 2 %Z %E WEIGHTS 2 1
        ZINTERSTORE %Z 2 %Z %Z AGGREGATE MAX
        ZDIFFSTORE %Z 2 %Z %Z
        ZUNION 2 %Z %Z WITHSCORES
        ZINTER 2 %Z %E
        ZDIFF 2 %Z %Z WITHSCORES
        ZINTERCARD 2 %Z %Z
        ZRANDMEMBER %Z 1000
        ZSCAN %Z 0 COUNT 1000
        """

    private static let streams = """
        XADD %X %q f %V
        XADD %X MAXLEN 20 %q f %V g %V
        XADD %X NOMKSTREAM %r f v
        XLEN %X
        XRANGE %X - +
        XRANGE %X %r %r COUNT 3
        XREVRANGE %X + - COUNT 3
        XREAD COUNT 2 STREAMS %X %r
        XREAD BLOCK 3 STREAMS %X $
        XDEL %X %r
        XTRIM %X MAXLEN 5
        XSETID %X %q
        XGROUP CREATE %X g 0 MKSTREAM
        XGROUP DESTROY %X g
        XREADGROUP GROUP g c COUNT 2 STREAMS %X >
        XREADGROUP GROUP g c STREAMS %X 0
        XACK %X g %r
        XPENDING %X g
        XCLAIM %X g d 0 %r JUSTID
        XAUTOCLAIM %X g d 0 0 COUNT 2
        XINFO STREAM %X
        XINFO GROUPS %X
        """

    private static let bitsAndSketches = """
        SETBIT %B %O 1
        SETBIT %B %O 0
        GETBIT %B %O
        BITCOUNT %B
        BITCOUNT %B 0 10 BIT
        BITPOS %B 1
        BITOP XOR %B %B %B
        BITFIELD %B SET u8 0 %O INCRBY i5 2 1
        BITFIELD_RO %B GET u8 0
        PFADD %P %V %F
        PFADD %P %F
        PFCOUNT %P
        PFCOUNT %P %P
        PFMERGE %P %P
        GET %P
        GET %B
        """

    private static let places = """
        GEOADD %Z 13.36 38.11 f
        GEOADD %Z 15.08 37.50 g
        GEODIST %Z f g km
        GEOPOS %Z f %F
        GEOHASH %Z f g
        GEOSEARCH %Z FROMMEMBER f BYRADIUS 300 km ASC WITHDIST
        GEOSEARCHSTORE %Z %Z FROMLONLAT 15 37 BYBOX 400 400 km
        GEORADIUS %Z 15 37 200 km STORE %Z
        GEORADIUS_RO %Z 15 37 200 km ASC
        GEORADIUSBYMEMBER %Z f 300 km ASC COUNT 1
        """

    private static let keyspace = """
        DEL %K
        DEL %K %K
        UNLINK %K
        EXISTS %K %K
        EXISTS %S
        TYPE %K
        EXPIRE %K %t
        EXPIRE %K %t NX
        EXPIRE %K %t XX
        PEXPIRE %K %p
        EXPIREAT %K %a GT
        EXPIREAT %K %a LT
        EXPIREAT %K %a
        PEXPIREAT %K 1
        TTL %K
        PTTL %K
        EXPIRETIME %K
        PEXPIRETIME %K
        PERSIST %K
        RENAME %K %K
        RENAME %S %S
        RENAMENX %K %K
        COPY %S %S REPLACE
        COPY %K %K
        COPY %K %K DB %D REPLACE
        MOVE %K %D
        TOUCH %K %K
        KEYS *
        KEYS s?
        SCAN 0 COUNT 10000
        SCAN 0 MATCH h* COUNT 10000 TYPE hash
        RANDOMKEY
        DBSIZE
        OBJECT ENCODING %K
        OBJECT IDLETIME %K
        OBJECT FREQ %K
        MEMORY USAGE %K
        DUMP %S
        RESTORE %S 0 junk
        """

    private static let databases = """
        SELECT %D
        SELECT 0
        SELECT 0
        SELECT 1
        SWAPDB %D %D
        SWAPDB 0 1
        FLUSHDB
        FLUSHDB ASYNC
        FLUSHALL SYNC
        """

    private static let scripting = """
        EVAL @set 1 %S %V
        EVAL @get 1 %S
        EVAL_RO @get 1 %S
        EVAL_RO @set 1 %S %V
        EVAL @undeclared 0 %S %V
        EVAL @made 0 %F
        EVAL @many 0 %F
        EVAL @fails 1 %S
        EVAL @caught 1 %K %V
        EVAL @error 0
        EVAL @deep 0
        EVAL @select 1 %S %V
        EVAL @flush 0
        EVAL @syntax 0
        EVAL @get 5 %S
        EVALSHA @sha 1 %S
        SCRIPT LOAD @get
        SCRIPT EXISTS @sha @sha
        SCRIPT FLUSH
        FUNCTION LOAD REPLACE @library
        FUNCTION LOAD @library
        FUNCTION LIST
        FUNCTION FLUSH
        FUNCTION STATS
        FCALL put 1 %S %V
        FCALL sneak 0 %S %V
        FCALL_RO look 1 %S
        FCALL_RO put 1 %S %V
        """

    private static let connection = """
        PING
        PING %V
        ECHO %V
        HELLO
        HELLO 2
        HELLO 3
        HELLO 3 SETNAME me
        HELLO 4
        HELLO x
        AUTH secret
        AUTH default secret
        CLIENT SETNAME me
        CLIENT GETNAME
        CLIENT ID
        CLIENT INFO
        CLIENT LIST
        CLIENT GETREDIR
        CLIENT TRACKINGINFO
        CLIENT TRACKING OFF
        CLIENT CACHING YES
        CLIENT NO-EVICT ON
        CLIENT REPLY ON
        CLIENT UNPAUSE
        CLIENT NOSUCH
        RESET
        ACL WHOAMI
        PUBLISH news %V
        SPUBLISH shard %V
        PUBSUB NUMPAT
        UNSUBSCRIBE
        UNSUBSCRIBE news
        PUNSUBSCRIBE n*s
        SUNSUBSCRIBE
        READONLY
        ASKING
        """

    private static let server = """
        COMMAND COUNT
        COMMAND GETKEYS MSET a b c d
        COMMAND INFO get nosuch
        COMMAND DOCS get
        CONFIG GET hash-max-listpack-entries
        CONFIG SET hash-max-listpack-entries 2
        CONFIG SET hash-max-listpack-entries 128
        CONFIG SET set-max-intset-entries 2
        CONFIG SET nosuch 1
        INFO
        INFO server
        TIME
        LASTSAVE
        WAIT 0 0
        DEBUG SLEEP 0
        OBJECT HELP
        CLUSTER INFO
        ROLE
        """

    private static let nonsense = """
        NOSUCH
        nosuch %V %V
        GET
        GET %S %S
        SET %S
        HSET %H %F
        XADD %X
        CONFIG
        CONFIG NOSUCH
        """
}
