import Metrics

/// Which labels count when series are grouped or matched.
enum Projection {
    case only([String])

    /// All but these and the name.
    case without([String])

    /// All but this one.
    case allBut(String)

    private func includes(_ name: String) -> Bool {
        switch self {
        case .only(let names): names.contains(name)
        case .without(let names): name != nameLabel && !names.contains(name)
        case .allBut(let other): name != other
        }
    }

    private func includes(_ name: String, hidesName: Bool) -> Bool {
        includes(name) && !(hidesName && name == nameLabel)
    }

    func hash(_ labels: Labels, hidesName: Bool) -> Int {
        var hasher = Hasher()
        switch self {
        case .only(let names):
            for name in names {
                hasher.combine(hidesName && name == nameLabel ? "" : labels[name] ?? "")
            }
        case .without, .allBut:
            for label in labels.pairs where includes(label.name, hidesName: hidesName) {
                hasher.combine(label.name)
                hasher.combine(label.value)
            }
        }
        return hasher.finalize()
    }

    func areEqual(_ left: Labels, _ leftHidesName: Bool, _ right: Labels, _ rightHidesName: Bool) -> Bool {
        switch self {
        case .only(let names):
            return names.allSatisfy { name in
                let leftValue = leftHidesName && name == nameLabel ? "" : left[name] ?? ""
                let rightValue = rightHidesName && name == nameLabel ? "" : right[name] ?? ""
                return leftValue == rightValue
            }
        case .without, .allBut:
            let leftPairs = left.pairs
            let rightPairs = right.pairs
            var leftIndex = 0
            var rightIndex = 0
            while true {
                while leftIndex < leftPairs.count, !includes(leftPairs[leftIndex].name, hidesName: leftHidesName) {
                    leftIndex += 1
                }
                while rightIndex < rightPairs.count, !includes(rightPairs[rightIndex].name, hidesName: rightHidesName) {
                    rightIndex += 1
                }
                guard leftIndex < leftPairs.count, rightIndex < rightPairs.count else {
                    return leftIndex == leftPairs.count && rightIndex == rightPairs.count
                }
                guard leftPairs[leftIndex] == rightPairs[rightIndex] else { return false }
                leftIndex += 1
                rightIndex += 1
            }
        }
    }

    func labels(_ labels: Labels, hidesName: Bool) -> Labels {
        if case .only(let names) = self, names.isEmpty { return .none }
        return Labels(sortedUnique: labels.pairs.filter { includes($0.name, hidesName: hidesName) })
    }
}

/// Numbers for groups of series: series that agree on the labels that count share one. Kept between evaluations.
struct GroupTable {
    let projection: Projection
    private var byHash: [Int: Int] = [:]
    private var members: ContiguousArray<(labels: Labels, hidesName: Bool)> = []
    private var made: ContiguousArray<Labels?> = []

    /// The next group whose projection has the same hash, by group.
    private var collisions: [Int: Int] = [:]

    init(_ projection: Projection) { self.projection = projection }

    var count: Int { members.count }

    mutating func group(of labels: Labels, hidesName: Bool) -> Int {
        let hash = projection.hash(labels, hidesName: hidesName)
        var candidate = byHash[hash]
        var last: Int?
        while let group = candidate {
            let member = members[group]
            if projection.areEqual(member.labels, member.hidesName, labels, hidesName) { return group }
            last = group
            candidate = collisions[group]
        }
        let group = members.count
        members.append((labels, hidesName))
        made.append(nil)
        if let last { collisions[last] = group } else { byHash[hash] = group }
        return group
    }

    /// The labels that count, of the group's first member.
    mutating func labels(of group: Int) -> Labels {
        if let known = made[group] { return known }
        let labels = projection.labels(members[group].labels, hidesName: members[group].hidesName)
        made[group] = labels
        return labels
    }

    mutating func forget() { self = GroupTable(projection) }
}
