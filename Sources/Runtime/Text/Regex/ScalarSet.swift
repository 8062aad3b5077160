import Synchronization

/// A set of Unicode scalars as sorted ranges that neither touch nor overlap.
struct ScalarSet: Equatable, Sendable {
    private(set) var ranges: [ClosedRange<UInt32>]

    static let last: UInt32 = 0x10FFFF
    static let all = ScalarSet([0...last])
    static let allButLineFeed = ScalarSet([0x0A...0x0A]).inverted
    static let digits = ScalarSet([0x30...0x39])
    static let words = ScalarSet([0x30...0x39, 0x41...0x5A, 0x5F...0x5F, 0x61...0x7A])
    static let spaces = ScalarSet([0x09...0x0A, 0x0C...0x0D, 0x20...0x20])

    /// Ranges in any order; those that touch are joined.
    init(_ ranges: [ClosedRange<UInt32>]) {
        self.ranges = []
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if let previous = self.ranges.last, range.lowerBound <= previous.upperBound &+ 1 {
                let end = max(previous.upperBound, range.upperBound)
                self.ranges[self.ranges.count - 1] = previous.lowerBound...end
            } else {
                self.ranges.append(range)
            }
        }
    }

    init(_ scalar: UInt32) { ranges = [scalar...scalar] }

    var isEmpty: Bool { ranges.isEmpty }

    /// The scalar, where the set holds exactly one.
    var single: UInt32? {
        guard ranges.count == 1, ranges[0].count == 1 else { return nil }
        return ranges[0].lowerBound
    }

    var inverted: ScalarSet {
        var gaps: [ClosedRange<UInt32>] = []
        var next: UInt32 = 0
        for range in ranges {
            if range.lowerBound > next { gaps.append(next...(range.lowerBound - 1)) }
            next = range.upperBound + 1
        }
        if next <= ScalarSet.last { gaps.append(next...ScalarSet.last) }
        return ScalarSet(gaps)
    }

    func union(_ other: ScalarSet) -> ScalarSet { ScalarSet(ranges + other.ranges) }

    /// The set and whatever differs from a member only in case.
    ///
    /// A range of more than 4,096 scalars beyond ASCII is left as it is: such ranges come from negations, hold both
    /// cases already, and looking at each scalar would let a short expression cost seconds.
    var foldingCase: ScalarSet {
        var added: [ClosedRange<UInt32>] = []
        for range in ranges {
            guard range.upperBound < 0x80 || range.count <= 4096 else {
                // The only scalars beyond ASCII that fold to ASCII: the Kelvin sign and the long s.
                if range.contains(0x212A) { added += [0x4B...0x4B, 0x6B...0x6B] }
                if range.contains(0x017F) { added += [0x53...0x53, 0x73...0x73] }
                added += ScalarSet.asciiFold(of: range)
                continue
            }
            for value in range {
                guard let scalar = Unicode.Scalar(value) else { continue }
                for mapped in [scalar.properties.lowercaseMapping, scalar.properties.uppercaseMapping] {
                    let scalars = mapped.unicodeScalars
                    guard scalars.count == 1, let other = scalars.first, other != scalar else { continue }
                    added.append(other.value...other.value)
                }
                if value == 0x6B || value == 0x4B { added.append(0x212A...0x212A) }
                if value == 0x73 || value == 0x53 { added.append(0x017F...0x017F) }
            }
        }
        return ScalarSet(ranges + added)
    }

    private static func asciiFold(of range: ClosedRange<UInt32>) -> [ClosedRange<UInt32>] {
        var folded: [ClosedRange<UInt32>] = []
        let upper = range.clamped(to: 0x41...0x5A)
        let lower = range.clamped(to: 0x61...0x7A)
        if range.overlaps(0x41...0x5A) { folded.append((upper.lowerBound + 0x20)...(upper.upperBound + 0x20)) }
        if range.overlaps(0x61...0x7A) { folded.append((lower.lowerBound - 0x20)...(lower.upperBound - 0x20)) }
        return folded
    }

    /// A POSIX class such as `alpha`, as it stands between `[:` and `:]`.
    static func posix(_ name: String) -> ScalarSet? {
        switch name {
        case "alnum": ScalarSet([0x30...0x39, 0x41...0x5A, 0x61...0x7A])
        case "alpha": ScalarSet([0x41...0x5A, 0x61...0x7A])
        case "ascii": ScalarSet([0x00...0x7F])
        case "blank": ScalarSet([0x09...0x09, 0x20...0x20])
        case "cntrl": ScalarSet([0x00...0x1F, 0x7F...0x7F])
        case "digit": digits
        case "graph": ScalarSet([0x21...0x7E])
        case "lower": ScalarSet([0x61...0x7A])
        case "print": ScalarSet([0x20...0x7E])
        case "punct": ScalarSet([0x21...0x2F, 0x3A...0x40, 0x5B...0x60, 0x7B...0x7E])
        case "space": ScalarSet([0x09...0x0D, 0x20...0x20])
        case "upper": ScalarSet([0x41...0x5A])
        case "word": words
        case "xdigit": ScalarSet([0x30...0x39, 0x41...0x46, 0x61...0x66])
        default: nil
        }
    }

    private static let categories = Mutex<[String: ScalarSet]>([:])

    /// A Unicode general category by its short name, such as `L` or `Lu`; scripts are not known here.
    static func category(_ name: String) -> ScalarSet? {
        if name == "Any" { return all }
        if let known = categories.withLock({ $0[name] }) { return known }
        guard generalCategories.contains(where: { $0.value == name || $0.value.prefix(1) == name }) else { return nil }
        var found: [ClosedRange<UInt32>] = []
        // Planes 4 to 13 are unassigned, so looking there would only cost time.
        for value in [0...0x3FFFF, 0xE0000...0xE0FFF, 0xF0000...last].joined() {
            guard let scalar = Unicode.Scalar(value) else { continue }
            guard let short = generalCategories[scalar.properties.generalCategory],
                short == name || short.prefix(1) == name
            else { continue }
            if let end = found.last?.upperBound, end + 1 == value {
                found[found.count - 1] = found[found.count - 1].lowerBound...value
            } else {
                found.append(value...value)
            }
        }
        let set = ScalarSet(found)
        categories.withLock { $0[name] = set }
        return set
    }

    private static let generalCategories: [Unicode.GeneralCategory: String] = [
        .uppercaseLetter: "Lu", .lowercaseLetter: "Ll", .titlecaseLetter: "Lt", .modifierLetter: "Lm",
        .otherLetter: "Lo", .nonspacingMark: "Mn", .spacingMark: "Mc", .enclosingMark: "Me", .decimalNumber: "Nd",
        .letterNumber: "Nl", .otherNumber: "No", .connectorPunctuation: "Pc", .dashPunctuation: "Pd",
        .openPunctuation: "Ps", .closePunctuation: "Pe", .initialPunctuation: "Pi", .finalPunctuation: "Pf",
        .otherPunctuation: "Po", .mathSymbol: "Sm", .currencySymbol: "Sc", .modifierSymbol: "Sk", .otherSymbol: "So",
        .spaceSeparator: "Zs", .lineSeparator: "Zl", .paragraphSeparator: "Zp", .control: "Cc", .format: "Cf",
        .privateUse: "Co",
    ]
}
