/// A program turned into a table, for asking whether it matches a whole text: one look-up a byte.
///
/// The subset construction, done when the expression is compiled so that the table never changes and can be shared.
/// It may need exponentially many states, so it gives up beyond a small number of them, and the machine is used.
struct PatternAutomaton: Sendable {
    private static let instructionLimit = 1000
    private static let stateLimit = 256
    private static let workLimit = 50_000

    private let classOf: [UInt8]
    private let classes: Int
    private let table: [UInt16]
    private let accepting: [Bool]
    private let acceptsEmpty: Bool

    /// State 0 is the one nothing leaves.
    init?(_ program: PatternProgram) {
        guard program.suitsAutomaton, program.instructions.count <= Self.instructionLimit else { return nil }
        let (classOf, representatives) = Self.byteClasses(of: program)
        var builder = Builder(program: program)
        var states: [[Int]: Int] = [[]: 0]
        var members: [[Int]] = [[]]
        var table: [UInt16] = Array(repeating: 0, count: representatives.count)

        let first = builder.closure(of: [program.start], atStart: true, atEnd: false)
        var next = 1
        states[first] = 1
        members.append(first)
        while next < members.count {
            for byte in representatives {
                let reached = builder.closure(
                    of: members[next].compactMap { program.instructions[$0].successor(on: byte, in: program) },
                    atStart: false, atEnd: false)
                if let known = states[reached] {
                    table.append(UInt16(known))
                } else {
                    guard members.count < Self.stateLimit else { return nil }
                    table.append(UInt16(members.count))
                    states[reached] = members.count
                    members.append(reached)
                }
            }
            guard builder.work <= Self.workLimit else { return nil }
            next += 1
        }
        self.classOf = classOf
        classes = representatives.count
        self.table = table
        accepting = members.map { builder.accepts($0) }
        acceptsEmpty = builder.closure(of: [program.start], atStart: true, atEnd: true).contains {
            program.instructions[$0] == .accept
        }
    }

    func matches(_ text: Span<UInt8>) -> Bool {
        if text.isEmpty { return acceptsEmpty }
        var state = 1
        for index in text.indices {
            state = Int(table[state * classes + Int(classOf[Int(text[index])])])
            if state == 0 { return false }
        }
        return accepting[state]
    }

    /// Bytes that no instruction tells apart share a column.
    private static func byteClasses(of program: PatternProgram) -> (classOf: [UInt8], representatives: [UInt8]) {
        var signatures: [[Bool]: UInt8] = [:]
        var classOf: [UInt8] = []
        var representatives: [UInt8] = []
        var ranges: [ClosedRange<UInt8>] = []
        for case .byte(let low, let high, _) in program.instructions where !ranges.contains(low...high) {
            ranges.append(low...high)
        }
        for byte in UInt8.min...UInt8.max {
            let signature = ranges.map { $0.contains(byte) } + program.sets.map { $0.contains(byte) }
            if let known = signatures[signature] {
                classOf.append(known)
            } else {
                let index = UInt8(representatives.count)
                signatures[signature] = index
                representatives.append(byte)
                classOf.append(index)
            }
        }
        return (classOf, representatives)
    }

    private struct Builder {
        let program: PatternProgram
        private(set) var work = 0

        init(program: PatternProgram) { self.program = program }

        /// The instructions that read a byte, accept, or wait for the text's end, in ascending order.
        mutating func closure(of starts: [Int], atStart: Bool, atEnd: Bool) -> [Int] {
            var seen: Set<Int> = []
            var pending = starts
            var kept: [Int] = []
            while let index = pending.popLast() {
                work += 1
                guard seen.insert(index).inserted else { continue }
                switch program.instructions[index] {
                case .either(let first, let second): pending += [first, second]
                case .save(_, let next): pending.append(next)
                case .assert(.textStart, let next):
                    if atStart { pending.append(next) }
                case .assert(_, let next):
                    kept.append(index)
                    if atEnd { pending.append(next) }
                case .byte, .bytes, .accept: kept.append(index)
                case .reject: continue
                }
            }
            return kept.sorted()
        }

        mutating func accepts(_ members: [Int]) -> Bool {
            closure(of: members, atStart: false, atEnd: true).contains { program.instructions[$0] == .accept }
        }
    }
}

extension PatternProgram.Instruction {
    fileprivate func successor(on byte: UInt8, in program: PatternProgram) -> Int? {
        switch self {
        case .byte(let low, let high, let next): low <= byte && byte <= high ? next : nil
        case .bytes(let set, let next): program.sets[set].contains(byte) ? next : nil
        case .either, .save, .assert, .accept, .reject: nil
        }
    }
}
