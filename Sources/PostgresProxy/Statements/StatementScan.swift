import Runtime

/// What the words of a text tell about the session it runs in, without a parser: names that are called, and the verb of
/// each statement. What it cannot tell counts as unknown code.
struct StatementScan {
    private(set) var effects: SessionEffects = []
    /// Of the first statement.
    private(set) var verb = Word.name
    /// Where the text goes on after it.
    private(set) var afterVerb = 0
    private(set) var isSingle = true

    // Where the scan is within its statement.
    private var atStart = true
    private var statementVerb = Word.name
    private var last = Word.name
    /// The name just before is a table's that is made or filled: its columns may follow in brackets.
    private var nameFollowsInto = false
    /// Whether a name, and nothing else, came just before.
    private var endsWithName = false
    /// The name just before belongs to a schema that is not Postgres' own.
    private var isQualified = false
    private var afterDot = false
    private var ownerIsCatalog = false
    private var hasStatement = false

    init(_ text: Span<UInt8>) {
        var place = 0
        let end = text.count
        while place < end {
            let byte = text[place]
            switch byte {
            case 0x20, 0x09...0x0D: place += 1
            case 0x61...0x7A, 0x41...0x5A, 0x5F, 0x80...0xFF: place = takeWord(text, from: place)
            case 0x30...0x39: place = takeNumber(text, from: place)
            case UInt8(ascii: "'"): place = takeString(text, from: place, escapes: false)
            case UInt8(ascii: "\""): place = takeQuotedName(text, from: place)
            case UInt8(ascii: "$"): place = takeDollar(text, from: place)
            case UInt8(ascii: "-") where place + 1 < end && text[place + 1] == byte:
                place = text.firstPlace(of: 0x0A, in: place..<end)
            case UInt8(ascii: "/") where place + 1 < end && text[place + 1] == UInt8(ascii: "*"):
                place = Self.afterComment(text, from: place)
            case UInt8(ascii: ";"):
                endStatement()
                place += 1
            case UInt8(ascii: "("):
                if endsWithName { judgeCall() }
                takeSign()
                place += 1
            case UInt8(ascii: "."):
                ownerIsCatalog = endsWithName && last == .pgCatalog
                if endsWithName, last == .pgTemp { effects.insert(.temporary) }
                takeSign()
                afterDot = true
                place += 1
            default:
                takeSign()
                place += 1
            }
        }
    }

    private mutating func takeSign() {
        if atStart { begin(.name, at: 0) }
        (endsWithName, afterDot) = (false, false)
    }

    private mutating func endStatement() {
        guard !atStart else { return }
        (atStart, endsWithName, afterDot) = (true, false, false)
        (last, nameFollowsInto) = (.name, false)
    }

    private mutating func begin(_ word: Word, at place: Int) {
        atStart = false
        if hasStatement { isSingle = false } else { (verb, afterVerb) = (word, place) }
        hasStatement = true
        statementVerb = word
        switch word {
        // LOCAL and TRANSACTION take it back.
        case .set, .reset: effects.insert(.settings)
        case .discard: effects.formUnion([.settings, .releases])
        case .deallocate, .unlisten, .close, .drop: effects.insert(.releases)
        case .prepare: effects.insert(.sqlPrepare)
        case .listen: effects.insert(.listen)
        case .load: effects.insert(.loadedLibrary)
        case .run, .name, .keyword, .harmlessFunction: effects.insert(.unknownCode)
        default: break
        }
    }

    private mutating func takeWord(_ text: Span<UInt8>, from start: Int) -> Int {
        var place = start
        var hash = Word.hashSeed
        while place < text.count {
            let byte = text[place]
            switch byte {
            case 0x61...0x7A, 0x30...0x39, 0x5F, 0x80...0xFF, UInt8(ascii: "$"): hash = Word.hash(hash, byte)
            case 0x41...0x5A: hash = Word.hash(hash, byte | 0x20)
            default:
                // E'…' has escapes, B'…', X'…' and N'…' have not; U&'…' has none that hide a quote.
                if byte == UInt8(ascii: "'"), place == start + 1 {
                    let letter = text[start] | 0x20
                    return takeString(text, from: place, escapes: letter == UInt8(ascii: "e"))
                }
                note(Word.find(hash), endingAt: place)
                return place
            }
            place += 1
        }
        note(Word.find(hash), endingAt: place)
        return place
    }

    private mutating func note(_ word: Word, endingAt place: Int) {
        if atStart { begin(word, at: place) } else { follow(word) }
        isQualified = afterDot && !ownerIsCatalog
        // The parts of `schema.table` count as one.
        if !afterDot { nameFollowsInto = last == .into && endsWithName }
        (last, endsWithName, afterDot) = (word, true, false)
    }

    /// A word within a statement.
    private mutating func follow(_ word: Word) {
        switch (statementVerb, word, last) {
        case (.set, .local, .set), (.set, .transaction, .set): takeBack(.settings)
        case (.prepare, .transaction, .prepare): takeBack(.sqlPrepare)
        case (_, .temporary, .create), (_, .temporary, .into), (_, .temporary, .local),
            (_, .temporary, .replaceOrGlobal):
            effects.insert(.temporary)
        case (_, .hold, .with): effects.insert(.holdCursor)
        default: break
        }
    }

    /// Only the first statement can: of an earlier one nobody knows any more whether it meant the same.
    private mutating func takeBack(_ effect: SessionEffects) { if isSingle { effects.remove(effect) } }

    private mutating func judgeCall() {
        switch last {
        case .setConfig: effects.insert(.settings)
        case .advisoryLock: effects.insert(.advisoryLock)
        case .advisoryUnlock: effects.insert(.releases)
        case .name:
            // A table with its columns.
            if nameFollowsInto { return }
            effects.insert(.unknownCode)
        case .harmlessFunction: if isQualified { effects.insert(.unknownCode) }
        default: break
        }
    }

    private mutating func takeNumber(_ text: Span<UInt8>, from start: Int) -> Int {
        takeSign()
        var place = start
        while place < text.count, Self.isInNumber(text[place]) { place += 1 }
        return place
    }

    private static func isInNumber(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x61...0x7A, 0x41...0x5A, 0x5F, UInt8(ascii: "."): true
        default: false
        }
    }

    private mutating func takeString(_ text: Span<UInt8>, from start: Int, escapes: Bool) -> Int {
        takeSign()
        var place = start + 1
        while place < text.count {
            switch text[place] {
            case UInt8(ascii: "'"): return place + 1
            case UInt8(ascii: "\\"):
                // Whether it hides a quote depends on standard_conforming_strings.
                if !escapes { effects.insert(.unknownCode) }
                place += escapes ? 2 : 1
            default: place += 1
            }
        }
        return text.count
    }

    private mutating func takeQuotedName(_ text: Span<UInt8>, from start: Int) -> Int {
        let end = text.firstPlace(of: UInt8(ascii: "\""), in: start + 1..<text.count)
        let content = start + 1..<end
        // Quotes around what would be the same without them do not hide it.
        var hash = Word.hashSeed
        for place in content { hash = Word.hash(hash, text[place]) }
        let word = Word.find(hash)
        switch word {
        case .setConfig, .advisoryLock, .advisoryUnlock, .pgTemp, .pgCatalog: note(word, endingAt: end)
        default: note(.name, endingAt: end)
        }
        return min(end + 1, text.count)
    }

    /// `$1`, or a text between two tags.
    private mutating func takeDollar(_ text: Span<UInt8>, from start: Int) -> Int {
        takeSign()
        var tagEnd = start + 1
        while tagEnd < text.count, text[tagEnd] != UInt8(ascii: "$") {
            guard Self.isInTag(text[tagEnd]), !(tagEnd == start + 1 && (0x30...0x39).contains(text[tagEnd])) else {
                return start + 1
            }
            tagEnd += 1
        }
        guard tagEnd < text.count else { return text.count }
        let tag = text.array(start..<tagEnd + 1)
        var place = tagEnd + 1
        while place < text.count {
            place = text.firstPlace(of: UInt8(ascii: "$"), in: place..<text.count)
            if place + tag.count <= text.count, text.holds(place..<place + tag.count, equalTo: tag, at: 0) {
                return place + tag.count
            }
            place += 1
        }
        return text.count
    }

    private static func isInTag(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x61...0x7A, 0x41...0x5A, 0x5F, 0x80...0xFF: true
        default: false
        }
    }

    /// Comments nest.
    private static func afterComment(_ text: Span<UInt8>, from start: Int) -> Int {
        var (place, depth) = (start + 2, 1)
        while place + 1 < text.count {
            switch (text[place], text[place + 1]) {
            case (UInt8(ascii: "*"), UInt8(ascii: "/")):
                depth -= 1
                place += 2
                if depth == 0 { return place }
            case (UInt8(ascii: "/"), UInt8(ascii: "*")):
                depth += 1
                place += 2
            default: place += 1
            }
        }
        return text.count
    }

    /// The first name from a place on, folded as Postgres does, and where it stands.
    static func firstName(_ text: Span<UInt8>, from start: Int) -> (name: [UInt8], range: Range<Int>)? {
        var from = start
        while from < text.count, text[from] == 0x20 || (0x09...0x0D).contains(text[from]) { from += 1 }
        var end = from
        if from < text.count, text[from] == UInt8(ascii: "\"") {
            end = text.firstPlace(of: UInt8(ascii: "\""), in: from + 1..<text.count) + 1
        } else {
            while end < text.count, isInTag(text[end]) || text[end] == UInt8(ascii: "$") { end += 1 }
        }
        guard end > from, end <= text.count, let names = names(text.extracting(from..<end), from: 0), names.count == 1
        else { return nil }
        return (names[0], from..<end)
    }

    /// `a.b` where nothing else follows, in lower case.
    static func dottedName(_ text: Span<UInt8>, from start: Int) -> [UInt8]? {
        let found = dottedNames(text.extracting(min(start, text.count)..<text.count))
        return found.count == 1 ? found[0] : nil
    }

    /// Whatever looks like `a.b`, in quotes or out, in lower case: a setting of the user's own may be among them.
    static func dottedNames(_ text: Span<UInt8>) -> [[UInt8]] {
        var found: [[UInt8]] = []
        var name: [UInt8] = []
        func end() {
            if name.count <= 63 * 4, let dot = name.firstIndex(of: UInt8(ascii: ".")), dot > 0, dot < name.count - 1,
                !(0x30...0x39).contains(name[0]), !found.contains(name), found.count < 16
            {
                found.append(name)
            }
            name.removeAll(keepingCapacity: true)
        }
        for place in 0..<text.count {
            let byte = text[place]
            if isInTag(byte) || byte == UInt8(ascii: "."), name.count < 300 {
                name.append((0x41...0x5A).contains(byte) ? byte | 0x20 : byte)
            } else {
                end()
            }
        }
        end()
        return found
    }

    /// The words from a place on, when there is nothing but words. At most four.
    static func names(_ text: Span<UInt8>, from start: Int) -> [[UInt8]]? {
        var names: [[UInt8]] = []
        var place = start
        while place < text.count {
            switch text[place] {
            case 0x20, 0x09...0x0D, UInt8(ascii: ";"): place += 1
            case 0x61...0x7A, 0x41...0x5A, 0x5F, 0x80...0xFF:
                var name: [UInt8] = []
                while place < text.count, isInTag(text[place]) || text[place] == UInt8(ascii: "$") {
                    let byte = text[place]
                    name.append((0x41...0x5A).contains(byte) ? byte | 0x20 : byte)
                    place += 1
                }
                names.append(name)
            case UInt8(ascii: "\""):
                var name: [UInt8] = []
                place += 1
                while place < text.count {
                    if text[place] == UInt8(ascii: "\"") {
                        guard place + 1 < text.count, text[place + 1] == UInt8(ascii: "\"") else { break }
                        place += 1
                    }
                    name.append(text[place])
                    place += 1
                }
                guard place < text.count else { return nil }
                place += 1
                names.append(name)
            default: return nil
            }
            if names.count > 4 { return nil }
        }
        return names
    }
}
