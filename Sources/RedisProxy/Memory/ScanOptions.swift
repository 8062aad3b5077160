import Runtime

/// What follows the cursor of `SCAN` and `HSCAN`, and the walk itself. A cursor is a place in the table.
struct ScanOptions {
    private(set) var pattern: RedisPattern?
    private(set) var count = 10
    private(set) var type: [UInt8]?

    static func cursor(_ call: MemoryCall, at index: Int) throws(MemoryFault) -> Int {
        guard let cursor = call.words[index].strictInteger() else { throw .invalidCursor }
        return cursor
    }

    init(_ call: MemoryCall, from first: Int, takesType: Bool) throws(MemoryFault) {
        for index in stride(from: first, to: call.words.count, by: 2) {
            guard index + 1 < call.words.count else { throw .syntax }
            if call.isWord(index, "match") {
                pattern = RedisPattern(call.words[index + 1])
            } else if call.isWord(index, "count") {
                count = try call.integer(at: index + 1)
                guard count > 0 else { throw .syntax }
            } else if takesType, call.isWord(index, "type") {
                type = call.words[index + 1]
            } else {
                throw .syntax
            }
        }
    }

    /// The elements of the next `count` places that match, and where to go on; 0 at the end.
    func scan<Value>(
        _ table: PlacedTable<Value>, from cursor: Int, count: Int
    ) -> (elements: [PlacedTable<Value>.Element], next: Int) {
        guard cursor >= 0, cursor < table.places else { return ([], 0) }
        var elements: [PlacedTable<Value>.Element] = []
        var place = cursor
        let end = count < table.places - cursor ? cursor + count : table.places
        while place < end {
            if let element = table.element(at: place), pattern?.matches(element.key) ?? true {
                elements.append(element)
            }
            place += 1
        }
        return (elements, place == table.places ? 0 : place)
    }

    static func answer(_ call: inout MemoryCall, next: Int, _ words: [[UInt8]]) {
        call.reply.append(arrayOf: 2)
        call.reply.append(bulk: "\(next)")
        call.reply.append(arrayOf: words.count)
        for word in words { call.answer(bulk: word) }
    }
}
