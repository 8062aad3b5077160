/// First in, first out, without moving what waits at every step.
@frozen public struct FIFO<Element> {
    @usableFromInline var elements: [Element?] = []
    @usableFromInline var head = 0

    @inlinable public init() {}

    @inlinable public var count: Int { elements.count - head }
    @inlinable public var isEmpty: Bool { head == elements.count }
    @inlinable public var first: Element? { isEmpty ? nil : elements[head] }

    @inlinable public mutating func append(_ element: Element) { elements.append(element) }

    @inlinable public mutating func popFirst() -> Element? {
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

    @inlinable public mutating func popFirst(where isWanted: (Element) -> Bool) -> Element? {
        guard let first, isWanted(first) else { return nil }
        return popFirst()
    }

    /// Takes back what came last.
    @inlinable public mutating func popLast(where isWanted: (Element) -> Bool) -> Element? {
        guard !isEmpty, let last = elements[elements.count - 1], isWanted(last) else { return nil }
        elements.removeLast()
        return last
    }

    /// The same number of others, in the same order.
    @inlinable public func map(_ change: (Element) -> Element) -> FIFO<Element> {
        var changed = FIFO<Element>()
        for element in elements[head...] { if let element { changed.append(change(element)) } }
        return changed
    }
}
