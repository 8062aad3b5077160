/// How one sample follows from the one before it, in bits.
///
/// The idea of Gorilla (Pelkonen et al., VLDB 2015): times are coded as the change of their step, values as the XOR with
/// the last one, of which only the bits between the outer zeros are kept. Two things are added. One bit says "same step
/// and same value", which is all that most samples are. And a value that is a short decimal, `12.34` as much as `7`, may
/// be coded as the change of its growth in units of its last digit: counters of seconds then cost 1 byte, not 6, because
/// in binary they look like noise. The smaller code is taken, and every bit of every NaN comes back.
///
///     sample   0                      step and value as before
///              10 value               step as before
///              11 step 0              value as before
///              11 step 1 value
///     step     change of the step in milliseconds, signed: 0 7 bits, 10 13 bits, 110 21 bits, 111 64 bits
///     value    0 growth               whole units: growth less the last growth, zigzag, see `growthWidths`
///              10 bits                XOR, in the window of the last XOR
///              110 5 bits 6 bits …    XOR, in a new window: zeros above it, its width less one
///              111 4 bits growth      as `0`, after a change of the unit to 10^-n
///
/// Cost: about a dozen nanoseconds to append a changed value, a few to read it.
struct SamplePrediction {
    private(set) var time: Int64
    /// The bit pattern of the last value.
    private(set) var bits: UInt64
    private(set) var step: Int64 = 0
    /// The last XOR's outer zeros and width; width 0 before the first.
    private var windowLeading = 0
    private var windowWidth = 0
    /// Values are counted in units of 10^-`decimals`.
    private var decimals = 0
    /// The last value in units, if it is known.
    private var units: Int64?
    private var growth: Int64 = 0

    init(time: Int64, bits: UInt64) {
        self.time = time
        self.bits = bits
    }

    /// Times are coded as steps, so that moving the last one moves nothing that is written.
    mutating func move(by milliseconds: Int64) { time &+= milliseconds }
}

// MARK: Writing

extension SamplePrediction {
    /// What only the writer remembers of a chunk.
    struct Writer {
        var bits = BitWriter()
        /// Looking for a number of decimals is dear; after a few values that have none this chunk stops trying.
        var searchesLeft = 4
    }

    /// Codes the next sample. Its time must be later than the last.
    mutating func append(_ newTime: Int64, _ newBits: UInt64, _ writer: inout Writer, to words: inout [UInt64]) {
        let newStep = newTime &- time
        let isSame = newBits == bits
        if newStep == step {
            if isSame {
                writer.bits.append(0, count: 1, to: &words)
            } else {
                writer.bits.append(0b10, count: 2, to: &words)
            }
        } else {
            writer.bits.append(0b11, count: 2, to: &words)
            Self.append(stepChange: newStep &- step, &writer, to: &words)
            writer.bits.append(isSame ? 0 : 1, count: 1, to: &words)
        }
        if !isSame { append(changed: newBits, &writer, to: &words) }
        (time, step, bits) = (newTime, newStep, newBits)
    }

    /// Takes note of a repeated value at `newTime` without coding it.
    mutating func prolong(to newTime: Int64) {
        step = newTime &- time
        time = newTime
    }

    /// Codes `count` samples that follow at the last step with the last value.
    mutating func append(repeats count: Int, _ writer: inout Writer, to words: inout [UInt64]) {
        writer.bits.append(zeros: count, to: &words)
        time += step * Int64(count)
    }

    private static func append(stepChange change: Int64, _ writer: inout Writer, to words: inout [UInt64]) {
        for index in stepWidths.indices where change.fits(stepWidths[index]) {
            writer.bits.append(ones: index, endedBelow: stepWidths.count, to: &words)
            writer.bits.append(change.low(stepWidths[index]), count: stepWidths[index], to: &words)
            return
        }
        writer.bits.append(0b111, count: 3, to: &words)
        writer.bits.append(UInt64(bitPattern: change), count: 64, to: &words)
    }

    private mutating func append(changed newBits: UInt64, _ writer: inout Writer, to words: inout [UInt64]) {
        let difference = bits ^ newBits
        let leading = min(difference.leadingZeroBitCount, 31)
        let width = 64 - leading - difference.trailingZeroBitCount
        let fits =
            windowWidth > 0 && difference >> UInt64(64 - windowLeading) == 0
            && difference.trailingZeroBitCount >= 64 - windowLeading - windowWidth
        let xorCost = fits ? min(2 + windowWidth, 14 + width) : 14 + width

        if let coded = inUnits(newBits, &writer), coded.cost <= xorCost {
            if coded.decimals == decimals {
                writer.bits.append(0, count: 1, to: &words)
            } else {
                writer.bits.append(0b111, count: 3, to: &words)
                writer.bits.append(UInt64(coded.decimals), count: 4, to: &words)
            }
            Self.append(growth: coded.zigzag, &writer, to: &words)
            (decimals, units, growth) = (coded.decimals, coded.units, coded.growth)
            return
        }
        units = nil
        if fits, 2 + windowWidth <= 14 + width {
            writer.bits.append(0b10, count: 2, to: &words)
        } else {
            (windowLeading, windowWidth) = (leading, width)
            writer.bits.append(0b110, count: 3, to: &words)
            writer.bits.append(UInt64(leading), count: 5, to: &words)
            writer.bits.append(UInt64(width - 1), count: 6, to: &words)
        }
        writer.bits.append(
            difference >> UInt64(64 - windowLeading - windowWidth), count: windowWidth, to: &words)
    }

    private struct InUnits {
        let decimals: Int
        let units: Int64
        let growth: Int64
        let zigzag: UInt64
        let cost: Int
    }

    /// How the value would be coded as whole units, if it and the last one are such.
    private func inUnits(_ newBits: UInt64, _ writer: inout Writer) -> InUnits? {
        if let known = Self.units(of: newBits, decimals: decimals),
            let last = units ?? Self.units(of: bits, decimals: decimals)
        {
            return coded(known, after: last, lastGrowth: growth, decimals: decimals)
        }
        guard writer.searchesLeft > 0 else { return nil }
        for more in decimals + 1..<max(decimals + 1, Self.powers.count) {
            guard let new = Self.units(of: newBits, decimals: more), let last = Self.units(of: bits, decimals: more)
            else { continue }
            return coded(new, after: last, lastGrowth: 0, decimals: more)
        }
        writer.searchesLeft -= 1
        return nil
    }

    private func coded(_ new: Int64, after last: Int64, lastGrowth: Int64, decimals: Int) -> InUnits {
        let growth = new - last
        let surprise = growth - lastGrowth
        let zigzag = UInt64(bitPattern: (surprise << 1) ^ (surprise >> 63))
        let index = Self.widthIndex(of: zigzag)
        let prefix = min(index + 1, Self.growthWidths.count - 1)
        let cost = (decimals == self.decimals ? 1 : 7) + prefix + Self.growthWidths[index]
        return InUnits(decimals: decimals, units: new, growth: growth, zigzag: zigzag, cost: cost)
    }

    private static func append(growth zigzag: UInt64, _ writer: inout Writer, to words: inout [UInt64]) {
        let index = widthIndex(of: zigzag)
        writer.bits.append(ones: index, endedBelow: growthWidths.count - 1, to: &words)
        if growthWidths[index] > 0 { writer.bits.append(zigzag, count: growthWidths[index], to: &words) }
    }
}

extension BitWriter {
    /// Appends `count` ones, and a zero behind them unless there are as many as `limit`.
    fileprivate mutating func append(ones count: Int, endedBelow limit: Int, to words: inout [UInt64]) {
        let ones: UInt64 = (1 << UInt64(count)) - 1
        if count < limit {
            append(ones << 1, count: count + 1, to: &words)
        } else {
            append(ones, count: count, to: &words)
        }
    }
}

// MARK: Reading

extension SamplePrediction {
    /// Reads the next sample into `time` and `bits`.
    @inline(__always)
    mutating func advance(_ reader: inout BitReader, _ words: Span<UInt64>) {
        let next = reader.peek(words)
        switch next >> 62 {
        case 0, 1:
            reader.skip(1)
            time &+= step
        case 2:
            reader.skip(2)
            time &+= step
            readChange(next &<< 2, &reader, words)
        default:
            reader.skip(2)
            step &+= Self.readStepChange(&reader, words)
            time &+= step
            guard reader.read(1, words) == 1 else { return }
            readChange(reader.peek(words), &reader, words)
        }
    }

    /// Passes over samples that only repeat and are not later than `end`, as many as are quickly known.
    ///
    /// - Returns: how many they were.
    mutating func skipRepeats(
        atMost limit: Int, by end: Int64, _ reader: inout BitReader, _ words: Span<UInt64>
    ) -> Int {
        guard step > 0, end > time else { return 0 }
        let repeats = min(reader.peek(words).leadingZeroBitCount, limit, Int(clamping: (end - time) / step))
        reader.skip(repeats)
        time &+= step &* Int64(repeats)
        return repeats
    }

    private static func readStepChange(_ reader: inout BitReader, _ words: Span<UInt64>) -> Int64 {
        let ones = min(reader.peek(words).leadingOnes, stepWidths.count)
        reader.skip(min(ones + 1, stepWidths.count))
        guard ones < stepWidths.count else { return Int64(bitPattern: reader.read(64, words)) }
        let shift = Int64(64 - stepWidths[ones])
        return (Int64(bitPattern: reader.read(stepWidths[ones], words)) << shift) >> shift
    }

    /// - Parameter next: the next bits, of which at least 14 are there.
    @inline(__always)
    private mutating func readChange(_ next: UInt64, _ reader: inout BitReader, _ words: Span<UInt64>) {
        switch next.leadingOnes {
        case 0: readGrowth(next &<< 1, after: 1, &reader, words)
        case 1:
            reader.skip(2)
            readXOR(&reader, words)
        case 2:
            reader.skip(3)
            windowLeading = Int(reader.read(5, words))
            // Never more than a word, whatever a damaged file may say.
            windowWidth = min(Int(reader.read(6, words)) + 1, 64 - windowLeading)
            readXOR(&reader, words)
        default:
            reader.skip(3)
            decimals = min(Int(reader.read(4, words)), Self.powers.count - 1)
            units = nil
            growth = 0
            readGrowth(reader.peek(words), after: 0, &reader, words)
        }
    }

    private mutating func readXOR(_ reader: inout BitReader, _ words: Span<UInt64>) {
        guard windowWidth > 0 else { return }
        bits ^= reader.read(windowWidth, words) << UInt64(64 - windowLeading - windowWidth)
        units = nil
    }

    /// - Parameter skipped: how many bits before `next` the reader has not passed yet.
    @inline(__always)
    private mutating func readGrowth(
        _ next: UInt64, after skipped: Int, _ reader: inout BitReader, _ words: Span<UInt64>
    ) {
        let last = Self.growthWidths.count - 1
        let ones = min(next.leadingOnes, last)
        reader.skip(skipped + min(ones + 1, last))
        let width = Self.growthWidths[ones]
        if width > 0 {
            let zigzag = reader.read(width, words)
            growth &+= Int64(bitPattern: zigzag >> 1) ^ -Int64(bitPattern: zigzag & 1)
        }
        let new = (units ?? Self.units(of: bits, decimals: decimals) ?? 0) &+ growth
        units = new
        bits = Self.bits(of: new, decimals: decimals)
    }
}

// MARK: Tables

extension SamplePrediction {
    private static let stepWidths: InlineArray<3, Int> = [7, 13, 21]

    /// Bits of a growth's surprise. The index is told by that many ones.
    private static let growthWidths: InlineArray<9, Int> = [0, 3, 6, 9, 12, 16, 22, 32, 60]

    /// The first of `growthWidths` that holds the number.
    private static func widthIndex(of zigzag: UInt64) -> Int {
        let needed = 64 - zigzag.leadingZeroBitCount
        var index = 0
        while index < growthWidths.count - 1, growthWidths[index] < needed { index += 1 }
        return index
    }

    private static let powers: InlineArray<10, Double> = [1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9]

    /// The value in units of 10^-`decimals`, if it is exactly that many of them.
    private static func units(of bits: UInt64, decimals: Int) -> Int64? {
        let value = Double(bitPattern: bits)
        let scaled = (value * powers[decimals]).rounded()
        // Beyond 2^53 a double no longer counts every unit. NaN fails here too.
        guard scaled.magnitude < 9e15 else { return nil }
        let units = Int64(scaled)
        return Self.bits(of: units, decimals: decimals) == bits ? units : nil
    }

    /// Dividing two exact numbers gives the double nearest to the decimal, which is what parsing it gave.
    @inline(__always)
    private static func bits(of units: Int64, decimals: Int) -> UInt64 {
        (decimals == 0 ? Double(units) : Double(units) / powers[decimals]).bitPattern
    }
}

extension Int64 {
    /// Whether the number survives in `width` bits, the highest of which is the sign.
    fileprivate func fits(_ width: Int) -> Bool {
        let shift = Int64(64 - width)
        return (self << shift) >> shift == self
    }

    fileprivate func low(_ width: Int) -> UInt64 {
        UInt64(bitPattern: self) & (UInt64.max >> UInt64(64 - width))
    }
}
