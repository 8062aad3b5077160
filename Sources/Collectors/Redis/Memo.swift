/// Values made from pieces of text that come again in every reading, mostly in the same order.
///
/// Ask for them between `begin()` and `end()`. A piece that stands where it stood last time costs one comparison;
/// one that moved is searched for from there on; what was not asked for is forgotten, so the memo is never larger than the
/// text it was made from.
struct Memo<Value> {
    private var known: [(text: [UInt8], value: Value)] = []
    private var next = 0

    var count: Int { known.count }

    mutating func begin() { next = 0 }

    mutating func end() { known.removeSubrange(next...) }

    mutating func value(_ text: Span<UInt8>, _ range: Range<Int>, make: ([UInt8]) -> Value) -> Value {
        let place = next
        next += 1
        if place < known.count, text.equals(range, known[place].text) { return known[place].value }
        var later = place + 1
        while later < known.count {
            if text.equals(range, known[later].text) {
                known.swapAt(place, later)
                return known[place].value
            }
            later += 1
        }
        let bytes = text.bytes(range)
        let fresh = make(bytes)
        known.insert((bytes, fresh), at: place)
        return fresh
    }
}
