import Runtime

/// How a client's last statement was served, for `SHOW outrigger.last`, the monitor and the list of slow statements.
struct LastStatement {
    private(set) var family = StatementFamily.other
    var hasFailed = false
    private(set) var serverNs = 0
    var waitedNs = 0
    /// How it begins.
    private(set) var text: [UInt8] = []

    static let mostBytes = 256
    /// What takes longer is among the slow ones.
    static let slowNs = 100_000_000

    mutating func begin(_ family: StatementFamily, _ text: Span<UInt8>) {
        (self.family, hasFailed) = (family, false)
        self.text.removeAll(keepingCapacity: true)
        self.text.append(bytes: text.extracting(0..<min(text.count, Self.mostBytes)))
    }

    mutating func ended(afterNs serverNs: Int) { self.serverNs = serverNs }

    /// The text without its values: what is between quotes, and numbers, become `?`.
    var fingerprint: String { Self.fingerprint(text.span) }

    static func fingerprint(_ text: Span<UInt8>) -> String {
        var plain: [UInt8] = []
        var place = 0
        while place < text.count, text[place] != 0 {
            let byte = text[place]
            switch byte {
            case UInt8(ascii: "'"):
                plain.append(UInt8(ascii: "?"))
                place = text.firstPlace(of: byte, in: place + 1..<text.count) + 1
            case 0x30...0x39 where !endsInName(plain):
                plain.append(UInt8(ascii: "?"))
                while place < text.count, (0x30...0x39).contains(text[place]) || text[place] == UInt8(ascii: ".") {
                    place += 1
                }
            case UInt8(ascii: "$") where place + 1 < text.count && !(0x30...0x39).contains(text[place + 1]):
                // What stands between dollars is a value of any length.
                plain.append(UInt8(ascii: "?"))
                place = text.count
            case 0x20, 0x09...0x0D:
                if plain.last != 0x20 { plain.append(0x20) }
                place += 1
            default:
                plain.append(byte)
                place += 1
            }
        }
        return String(decoding: plain, as: UTF8.self)
    }

    private static func endsInName(_ text: [UInt8]) -> Bool {
        guard let last = text.last else { return false }
        return switch last {
        case 0x61...0x7A, 0x41...0x5A, 0x5F, 0x80...0xFF, 0x30...0x39, UInt8(ascii: "$"): true
        default: false
        }
    }

    static let columns = ["family", "failed", "waited_ms", "server_ms", "mode", "pinned_by"]

    func row(of client: ClientSession) -> [String?] {
        let pins = PinReason.allCases.filter { !client.pins.isDisjoint(with: $0.effect) }.map(\.rawValue)
        return [
            "\(family)", hasFailed ? "t" : "f", GoFormat.text(Double(waitedNs) / 1e6),
            GoFormat.text(Double(serverNs) / 1e6), client.mode.rawValue,
            pins.isEmpty ? nil : pins.joined(separator: ","),
        ]
    }
}
