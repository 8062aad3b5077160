/// A dictionary by bytes whose values keep their place, so that a cursor over the places meets everything that was there
/// all the while (`SCAN`), and a random place gives a random element. Places of removed elements are used again.
struct PlacedTable<Value: Sendable>: Sendable {
    struct Element: Sendable {
        let key: [UInt8]
        var value: Value
    }

    private var placeByKey: [[UInt8]: Int] = [:]
    private var elements: [Element?] = []
    private var free: [Int] = []

    var count: Int { placeByKey.count }
    var isEmpty: Bool { placeByKey.isEmpty }
    /// Places run from 0 up to this.
    var places: Int { elements.count }

    func place(of key: [UInt8]) -> Int? { placeByKey[key] }

    func element(at place: Int) -> Element? { elements[place] }

    subscript(key: [UInt8]) -> Value? { placeByKey[key].flatMap { elements[$0]?.value } }

    /// - Returns: what was there before.
    @discardableResult
    mutating func set(_ key: [UInt8], _ value: Value) -> Value? {
        if let place = placeByKey[key] {
            let former = elements[place]?.value
            elements[place]?.value = value
            return former
        }
        if let place = free.popLast() {
            elements[place] = Element(key: key, value: value)
            placeByKey[key] = place
        } else {
            placeByKey[key] = elements.count
            elements.append(Element(key: key, value: value))
        }
        return nil
    }

    @discardableResult
    mutating func remove(_ key: [UInt8]) -> Value? {
        guard let place = placeByKey.removeValue(forKey: key) else { return nil }
        let former = elements[place]?.value
        elements[place] = nil
        free.append(place)
        // What once was large does not stay so.
        if placeByKey.isEmpty { self = PlacedTable() }
        return former
    }

    /// Changes the value at a place where it is.
    mutating func modify<Result>(at place: Int, _ change: (inout Value) -> Result) -> Result? {
        elements[place] == nil ? nil : change(&elements[place]!.value)
    }

    /// In the order of their places.
    func forEach(_ body: (Element) -> Void) {
        for case .some(let element) in elements { body(element) }
    }

    /// - Returns: nil for an empty table.
    func random(using random: inout some RandomNumberGenerator) -> Element? {
        guard !isEmpty else { return nil }
        for _ in 0..<64 {
            if let element = elements[Int.random(in: 0..<elements.count, using: &random)] { return element }
        }
        // Few are left of many: the next one from somewhere on.
        let start = Int.random(in: 0..<elements.count, using: &random)
        for offset in 0..<elements.count {
            if let element = elements[(start + offset) % elements.count] { return element }
        }
        return nil
    }
}
