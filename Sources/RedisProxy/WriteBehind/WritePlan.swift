import Runtime

/// Which commands may be acknowledged before Redis has seen them: those that succeed with `OK` whatever is stored now.
///
/// That leaves overwriting strings: `SET key value`, alone or with one of `EX`, `PX`, `EXAT`, `PXAT`; `SETEX`, `PSETEX`
/// and `MSET`. Everything else tells something that only Redis knows: `NX`, `XX` and `GET` by their meaning; `HSET`, `DEL`
/// and `UNLINK` by the number they answer; `HMSET`, whose `OK` promises that the key was a hash or nothing; `KEEPTTL`,
/// whose result depends on the lifetime there is.
public enum WritePlan {
    private enum Form { case set, setex, psetex, mset }

    private static let forms: [Form?] = CommandTable.shared.commands.map { command in
        guard command.has(.writeBehind) else { return nil }
        switch "\(command.name)" {
        case "set": return .set
        case "setex": return .setex
        case "psetex": return .psetex
        case "mset": return .mset
        default: preconditionFailure("no form of writing behind: \(command.name)")
        }
    }

    /// What the command writes; nil where it has to go to Redis, which also refuses what is wrong about it.
    ///
    /// - Parameters:
    ///   - words: ranges of `bytes`.
    ///   - database: the one that the client has selected.
    ///   - wallMs: now, in milliseconds since 1970, for lifetimes.
    public static func writes(
        of command: Command, _ words: [Range<Int>], in bytes: Span<UInt8>, database: Int, wallMs: Int
    ) -> [PlannedWrite]? {
        guard let form = forms[Int(command.id.index)], command.takes(words: words.count) else { return nil }
        func write(_ key: Int, _ value: Int, _ expiry: PlannedWrite.Expiry = .never) -> PlannedWrite {
            PlannedWrite(PendingKey(database, copy(bytes, words[key])), copy(bytes, words[value]), expiry)
        }
        switch form {
        case .set:
            if words.count == 3 { return [write(1, 2)] }
            guard words.count == 5, let expiry = expiry(of: words[3], words[4], in: bytes, wallMs) else { return nil }
            return [write(1, 2, expiry)]
        case .setex, .psetex:
            let unitMs = form == .setex ? 1000 : 1
            guard let end = moment(words[2], in: bytes, unitMs: unitMs, from: wallMs) else { return nil }
            return [write(1, 3, .lifetime(endsMs: end))]
        case .mset:
            guard words.count % 2 == 1 else { return nil }
            return stride(from: 1, to: words.count, by: 2).map { write($0, $0 + 1) }
        }
    }

    private static func expiry(
        of option: Range<Int>, _ amount: Range<Int>, in bytes: Span<UInt8>, _ wallMs: Int
    ) -> PlannedWrite.Expiry? {
        let isSeconds = bytes.isWord("ex", option) || bytes.isWord("exat", option)
        if isSeconds || bytes.isWord("pxat", option) || bytes.isWord("px", option) {
            let isMoment = bytes.isWord("exat", option) || bytes.isWord("pxat", option)
            let end = moment(amount, in: bytes, unitMs: isSeconds ? 1000 : 1, from: isMoment ? 0 : wallMs)
            return end.map { isMoment ? .moment(ms: $0) : .lifetime(endsMs: $0) }
        }
        return nil
    }

    private static func moment(_ word: Range<Int>, in bytes: Span<UInt8>, unitMs: Int, from startMs: Int) -> Int? {
        guard let amount = bytes.strictInteger(in: word), amount > 0 else { return nil }
        let (span, isTooLong) = amount.multipliedReportingOverflow(by: unitMs)
        let (moment, overflows) = span.addingReportingOverflow(startMs)
        return isTooLong || overflows ? nil : moment
    }

    private static func copy(_ bytes: Span<UInt8>, _ range: Range<Int>) -> [UInt8] {
        var copy: [UInt8] = []
        copy.append(bytes: bytes.extracting(range))
        return copy
    }
}
