/// Keys in the order in which they expire: a binary heap. A key whose lifetime changed is put in again, and what was said
/// of it before is recognised and dropped when its time comes, so the heap is made anew when most of it is of that kind.
struct ExpiryQueue: Sendable {
    struct Item: Sendable {
        let dueMs: Int
        let key: [UInt8]
    }

    private var heap: [Item] = []

    var count: Int { heap.count }
    var first: Item? { heap.first }

    func item(at index: Int) -> Item { heap[index] }

    init() {}

    init(_ items: [Item]) {
        // A sorted array is a heap.
        heap = items.sorted { $0.dueMs < $1.dueMs }
    }

    mutating func insert(_ item: Item) {
        heap.append(item)
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard heap[child].dueMs < heap[parent].dueMs else { return }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    mutating func removeFirst() {
        guard let last = heap.popLast(), !heap.isEmpty else { return }
        heap[0] = last
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2]
            where child < heap.count && heap[child].dueMs < heap[least].dueMs {
                least = child
            }
            guard least != parent else { return }
            heap.swapAt(parent, least)
            parent = least
        }
    }
}
