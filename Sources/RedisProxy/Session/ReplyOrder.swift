import Runtime
import Serving

/// Replies to one client, which leave in the order of its commands, whenever and from wherever they come.
struct ReplyOrder {
    /// The number of the next command.
    private(set) var next = 0
    /// The oldest command whose reply has not left.
    private var oldest = 0
    /// Replies that came before those of older commands, by number.
    private var early: [Int: [UInt8]] = [:]
    /// Of those, the ones that were known at once: they wait for the command before them, one behind the other.
    private var trains = FIFO<Train>()
    /// Bytes of `early` and `trains`.
    private(set) var earlyBytes = 0

    /// Replies to the commands behind `last`, in one piece.
    private struct Train {
        let last: Int
        var commands: Int
        var bytes: [UInt8]
    }

    var inFlight: Int { next - oldest }
    /// Of those, commands whose replies have not come.
    var unanswered: Int { inFlight - early.count - trainedCommands }
    private var trainedCommands = 0

    /// A command without a reply yet.
    mutating func begin() -> Int {
        next += 1
        return next - 1
    }

    /// Takes the replies to the next commands, which are known before those of commands under way.
    ///
    /// - Parameter write: appends the replies, and returns to how many commands.
    mutating func answerNext(_ write: (inout [UInt8]) -> Int) {
        var train =
            trains.popLast { $0.last + $0.commands + 1 == next } ?? Train(last: next - 1, commands: 0, bytes: [])
        earlyBytes -= train.bytes.count
        let commands = write(&train.bytes)
        earlyBytes += train.bytes.count
        train.commands += commands
        trainedCommands += commands
        next += commands
        if train.commands > 0 { trains.append(train) }
    }

    /// Appends the reply to a command to `output`, and those that waited for it.
    mutating func end(_ number: Int, _ reply: Span<UInt8>, to output: inout [UInt8]) {
        guard number == oldest else {
            var copy: [UInt8] = []
            copy.append(bytes: reply)
            earlyBytes += copy.count
            early[number] = copy
            return
        }
        output.append(bytes: reply)
        oldest += 1
        while oldest < next {
            if let train = trains.popFirst(where: { $0.last == oldest - 1 }) {
                output.append(contentsOf: train.bytes)
                earlyBytes -= train.bytes.count
                oldest += train.commands
                trainedCommands -= train.commands
            } else if !early.isEmpty, let waiting = early.removeValue(forKey: oldest) {
                output.append(contentsOf: waiting)
                earlyBytes -= waiting.count
                oldest += 1
            } else {
                return
            }
        }
    }
}
