/// Runs a program over a text in one pass, all alternatives side by side, and remembers where groups begin and end.
///
/// Costs at most instructions × bytes, whatever the expression: nothing is ever tried again. Of several matches the
/// leftmost wins, and of those the one that a backtracking search would find first. (Rob Pike's machine, as told in
/// Russ Cox, "Regular expression matching: the virtual machine approach", 2009.)
struct PatternMachine {
    private let program: PatternProgram
    private let slots: Int
    private var current: Threads
    private var following: Threads
    private var pending: [Step] = []
    private var registers: [Int]

    private enum Step {
        case visit(Int)
        case restore(slot: Int, value: Int)
    }

    /// The instructions that wait for the next byte, in order of preference, each with its registers.
    private struct Threads {
        var order: [Int] = []
        var position: [Int]
        var registers: [Int]

        init(instructions: Int, slots: Int) {
            position = Array(repeating: 0, count: instructions)
            registers = Array(repeating: -1, count: instructions * slots)
            order.reserveCapacity(instructions)
        }

        /// False if it was there already.
        mutating func insert(_ instruction: Int) -> Bool {
            let place = position[instruction]
            if place < order.count, order[place] == instruction { return false }
            position[instruction] = order.count
            order.append(instruction)
            return true
        }
    }

    /// `slots` is 0 where only the answer yes or no is wanted, else 2 for each group and 2 for the whole.
    init(_ program: PatternProgram, slots: Int) {
        self.program = program
        self.slots = slots
        current = Threads(instructions: program.instructions.count, slots: slots)
        following = current
        registers = Array(repeating: -1, count: slots)
    }

    /// The registers of the match, or nil. With `anchored` it has to begin at `start`; with `whole` also to end at the
    /// text's end.
    mutating func run(_ text: Span<UInt8>, from start: Int, anchored: Bool, whole: Bool) -> [Int]? {
        following.order.removeAll(keepingCapacity: true)
        begin(at: start, in: text)
        var found: [Int]?
        var position = start
        while true {
            swap(&current, &following)
            following.order.removeAll(keepingCapacity: true)
            if current.order.isEmpty, found != nil || anchored { return found }
            let byte = position < text.count ? text[position] : nil
            advance: for instruction in current.order {
                switch program.instructions[instruction] {
                case .accept:
                    if whole, position < text.count { continue }
                    var match = Array(current.registers[(instruction * slots)..<(instruction * slots + slots)])
                    if slots > 0 { match[1] = position }
                    found = match
                    // What follows in the list is preferred less.
                    break advance
                case .byte(let low, let high, let next):
                    guard let byte, low <= byte, byte <= high else { continue }
                    load(instruction)
                    follow(next, at: position + 1, in: text)
                case .bytes(let set, let next):
                    guard let byte, program.sets[set].contains(byte) else { continue }
                    load(instruction)
                    follow(next, at: position + 1, in: text)
                case .either, .save, .assert, .reject:
                    continue
                }
            }
            if byte == nil { return found }
            position += 1
            // A match that begins later is preferred less than all that began before.
            if found == nil, !anchored { begin(at: position, in: text) }
        }
    }

    private mutating func begin(at position: Int, in text: Span<UInt8>) {
        for slot in 0..<slots { registers[slot] = -1 }
        if slots > 0 { registers[0] = position }
        follow(program.start, at: position, in: text)
    }

    private mutating func load(_ instruction: Int) {
        for slot in 0..<slots { registers[slot] = current.registers[instruction * slots + slot] }
    }

    /// Adds to the following threads every instruction that can be reached from `start` without reading a byte.
    private mutating func follow(_ start: Int, at position: Int, in text: Span<UInt8>) {
        pending.append(.visit(start))
        while let step = pending.popLast() {
            guard case .visit(let instruction) = step else {
                if case .restore(let slot, let value) = step { registers[slot] = value }
                continue
            }
            guard following.insert(instruction) else { continue }
            switch program.instructions[instruction] {
            case .either(let first, let second):
                pending.append(.visit(second))
                pending.append(.visit(first))
            case .save(let slot, let next):
                if slot < slots {
                    pending.append(.restore(slot: slot, value: registers[slot]))
                    registers[slot] = position
                }
                pending.append(.visit(next))
            case .assert(let assertion, let next):
                if assertion.holds(at: position, in: text) { pending.append(.visit(next)) }
            case .accept, .byte, .bytes:
                for slot in 0..<slots { following.registers[instruction * slots + slot] = registers[slot] }
            case .reject:
                continue
            }
        }
    }
}

extension PatternSyntax.Assertion {
    func holds(at position: Int, in text: Span<UInt8>) -> Bool {
        switch self {
        case .textStart: position == 0
        case .textEnd: position == text.count
        case .lineStart: position == 0 || text[position - 1] == UInt8(ascii: "\n")
        case .lineEnd: position == text.count || text[position] == UInt8(ascii: "\n")
        case .wordBoundary: Self.isBoundary(position, in: text)
        case .noWordBoundary: !Self.isBoundary(position, in: text)
        }
    }

    private static func isBoundary(_ position: Int, in text: Span<UInt8>) -> Bool {
        let before = position > 0 && isWord(text[position - 1])
        let after = position < text.count && isWord(text[position])
        return before != after
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
            true
        default: false
        }
    }
}
