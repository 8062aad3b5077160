/// First in, first out, without moving what waits at every step.
struct FIFO<Element> {
    private var elements: [Element?] = []
    private var head = 0

    var count: Int { elements.count - head }
    var isEmpty: Bool { head == elements.count }
    var first: Element? { isEmpty ? nil : elements[head] }

    mutating func append(_ element: Element) { elements.append(element) }

    mutating func popFirst() -> Element? {
        guard !isEmpty else { return nil }
        let element = elements[head].take()
        head += 1
        if head == elements.count {
            elements.removeAll(keepingCapacity: elements.capacity <= 4096)
            head = 0
        } else if head >= 4096 {
            elements.removeFirst(head)
            head = 0
        }
        return element
    }

    mutating func popFirst(where isWanted: (Element) -> Bool) -> Element? {
        guard let first, isWanted(first) else { return nil }
        return popFirst()
    }

    /// Takes back what came last.
    mutating func popLast(where isWanted: (Element) -> Bool) -> Element? {
        guard !isEmpty, let last = elements[elements.count - 1], isWanted(last) else { return nil }
        elements.removeLast()
        return last
    }
}
