import Cache
import Runtime

/// `GET` and a key as every client's library sends it, recognised at a glance: most of what a cache is asked is this.
enum PlainGet {
    /// `*2`, `$3`, `GET` and the `$` of the key's length.
    private static let head = 14
    private static let first = word("*2\r\n$3\r\n")
    /// In lower case, with the two bytes behind it open.
    private static let second = word("get\r\n$\0\0")
    private static let lowered: UInt64 = 0x0000_0000_0020_2020
    private static let known: UInt64 = 0x0000_FFFF_FFFF_FFFF

    private static func word(_ text: StaticString) -> UInt64 {
        "\(text)".utf8.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// Whether there is the beginning of one.
    @inline(__always)
    static func begins(_ bytes: Span<UInt8>) -> Bool {
        guard bytes.count >= head + 6 else { return false }
        return bytes.word(at: 0) == first && (bytes.word(at: 8) | lowered) & known == second
    }

    /// The place of the key of the whole one at the start of `bytes`, if it is shorter than 1,000 bytes; two bytes follow
    /// the key. Nil for anything else.
    @inline(__always)
    static func key(in bytes: Span<UInt8>) -> Range<Int>? {
        guard begins(bytes) else { return nil }
        var length = 0
        var place = head
        while bytes[place] != 13 {
            let digit = Int(bytes[place]) - 48
            guard 0...9 ~= digit, place < head + 3 else { return nil }
            length = length * 10 + digit
            place += 1
        }
        let end = place + 2 + length
        guard place > head, end + 2 <= bytes.count, bytes[place + 1] == 10, bytes[end] == 13, bytes[end + 1] == 10
        else { return nil }
        return place + 2..<end
    }
}

extension LocalReader {
    /// `GET`s that were answered, one after the other.
    struct GetRun {
        var hits = 0
        /// Bytes of the commands.
        var length = 0
        /// The command behind them is another such `GET`, of what is not here.
        var isNextMissing = false

        struct Bounds {
            /// No more are answered.
            let commands: Int
            /// Of what is appended to; when it has so many, no other is answered.
            let outputBytes: Int
        }
    }

    /// Answers the `GET`s at the start of `bytes`, up to the first that is not here, or is to be fetched anew.
    ///
    /// - Parameters:
    ///   - bytes: what a client has sent whom nothing keeps from the local level.
    ///   - unsettled: bits of the keys that the client itself is writing, where it stops, too.
    func answerGets(
        _ bytes: Span<UInt8>, _ identity: Identity, unsettled: UInt64, nowMs: Int, within bounds: GetRun.Bounds,
        into output: inout [UInt8]
    ) -> GetRun {
        var run = GetRun()
        let cache = local.cache
        let (database, version) = (identity.database, identity.version)
        withName { name in
            while output.count < bounds.outputBytes, run.hits < bounds.commands {
                let rest = bytes.extracting(droppingFirst: run.length)
                guard let place = PlainGet.key(in: rest) else { return }
                let key = rest.extracting(place)
                if unsettled != 0, unsettled & Settlement.bit(of: key) != 0 { return }
                let start = output.count
                EntryKey.write(value: key, database: database, to: &name)
                switch cache.lookup(name.span, in: cache.cacheClass(for: key), nowMs: nowMs, into: &output) {
                case .hit(let hit):
                    // It is looked for again, by whoever sees to that.
                    if hit.isRefreshDue { return output.removeLast(output.count - start) }
                case .absent: output.append(nullIn: version)
                case .miss:
                    run.isNextMissing = true
                    return
                }
                if touches.isDue() { touches.add(key, for: identity) }
                run.hits += 1
                run.length += place.upperBound + 2
            }
        }
        return run
    }
}
