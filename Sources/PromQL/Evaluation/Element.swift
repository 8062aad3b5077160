import Metrics

/// One series at one time, while a query is evaluated.
struct Element {
    /// As they were stored or made. The name stays here when it is dropped, because most results are filtered away
    /// before anyone asks for labels, and making new ones is the dearest step there is.
    var labels: Labels
    var value: Double

    /// Whether the name no longer fits the value.
    var dropsName = false
}

typealias Elements = ContiguousArray<Element>

/// What tells series apart: labels, without the name if it was dropped.
struct Identity: Hashable {
    let labels: Labels
    let hidesName: Bool

    init(_ labels: Labels, hidesName: Bool) {
        self.labels = labels
        self.hidesName = hidesName && labels[nameLabel] != nil
    }

    func hash(into hasher: inout Hasher) {
        for label in labels.pairs where !hidesName || label.name != nameLabel {
            hasher.combine(label.name)
            hasher.combine(label.value)
        }
    }

    static func == (left: Identity, right: Identity) -> Bool {
        if left.hidesName == right.hidesName, left.labels == right.labels { return true }
        guard left.hidesName || right.hidesName else { return false }
        return left.shown == right.shown
    }

    private var shown: [Label] { hidesName ? labels.pairs.filter { $0.name != nameLabel } : labels.pairs }
}

extension ContiguousArray where Element == PromQL.Element {
    /// Throws if two elements have the same labels, dropped names not counted.
    func checkUnique(_ run: Evaluation) throws(PromQLError) {
        guard count > 1 else { return }
        var seen: Set<Identity> = []
        seen.reserveCapacity(count)
        for element in self {
            guard seen.insert(Identity(element.labels, hidesName: element.dropsName)).inserted else {
                throw .evaluation("vector cannot contain metrics with the same labelset")
            }
        }
    }
}

/// What was derived from each element of a vector, kept from one evaluation to the next.
///
/// Vectors hardly change their members: the same series come in the same order. So what was derived is remembered by
/// place and used again if the very same labels stand there, which costs a comparison of two pointers.
struct Remembered<Derived> {
    private var labels: ContiguousArray<Labels?> = []
    private var hidden: ContiguousArray<Bool> = []
    private var derived: ContiguousArray<Derived> = []

    /// The value at `index`, made anew if other labels stood there before.
    mutating func value(at index: Int, of element: Labels, hidesName: Bool, make: () -> Derived) -> Derived {
        if index < labels.count {
            if let known = labels[index], known.isSame(as: element), hidden[index] == hidesName {
                return derived[index]
            }
            let made = make()
            labels[index] = element
            hidden[index] = hidesName
            derived[index] = made
            return made
        }
        let made = make()
        // Places that were skipped, because nobody asked for them yet, hold nothing that could be found.
        while labels.count < index {
            labels.append(nil)
            hidden.append(false)
            derived.append(made)
        }
        labels.append(element)
        hidden.append(hidesName)
        derived.append(made)
        return made
    }

    mutating func forget(at index: Int) {
        if index < labels.count { labels[index] = nil }
    }

    mutating func forget() {
        labels.removeAll()
        hidden.removeAll()
        derived.removeAll()
    }

    var count: Int { labels.count }

    /// Forgets places beyond the first `count`, so that series long gone are not held.
    mutating func keep(_ count: Int) {
        guard count * 2 + 64 < labels.count else { return }
        labels.removeSubrange(count...)
        hidden.removeSubrange(count...)
        derived.removeSubrange(count...)
    }
}
