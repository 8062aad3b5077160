import Runtime

/// What `/proc` tells of processes. Reading it blocks for microseconds a file.
///
/// Format: proc(5), <https://man7.org/linux/man-pages/man5/proc.5.html>.
struct ProcessTree: Sendable {
    /// `/proc`, or a folder that looks like it.
    let root: String

    init(root: String = "/proc") { self.root = root }

    /// A process, told apart from a later one with the same number by when it began.
    struct Identity: Hashable, Sendable {
        let pid: Int
        /// Ticks since the machine started.
        let startTicks: Int
    }

    /// Every process there is.
    func pids() -> [Int] { ((try? Files.list(root)) ?? []).compactMap { Int($0) } }

    /// Nil when the process is gone.
    func stat(_ pid: Int) -> ProcessStat? {
        guard let text = try? Files.readText("\(root)/\(pid)/stat", limitBytes: 4096) else { return nil }
        return ProcessStat(text)
    }

    /// `status`, `io` and the like: lines of `key: value`, the value up to its unit.
    func numbers(_ pid: Int, _ file: String) -> [String: Int]? {
        guard let text = try? Files.readText("\(root)/\(pid)/\(file)", limitBytes: 64 << 10) else { return nil }
        return KernelText.numbers(text)
    }

    /// Open file descriptors, and how many there may be; nil where they may not be looked at.
    func descriptors(_ pid: Int) -> (open: Int, limit: Int?)? {
        guard let names = try? Files.list("\(root)/\(pid)/fd") else { return nil }
        let limits = (try? Files.readText("\(root)/\(pid)/limits", limitBytes: 64 << 10)) ?? ""
        let line = limits.split(separator: "\n").first { $0.hasPrefix("Max open files") }
        let words = line?.split(separator: " ") ?? []
        return (names.count, words.count > 3 ? Int(words[3]) : nil)
    }

    /// These processes and all that they started, each once. A process may end meanwhile; then it is left out.
    func family(of pids: [Int]) -> [Int] {
        var found: [Int] = []
        var seen: Set<Int> = []
        var waiting = pids
        while let pid = waiting.popLast() {
            guard seen.insert(pid).inserted else { continue }
            found.append(pid)
            for task in (try? Files.list("\(root)/\(pid)/task")) ?? [] {
                let children = (try? Files.readText("\(root)/\(pid)/task/\(task)/children", limitBytes: 1 << 20)) ?? ""
                waiting += children.split(separator: " ").compactMap { Int($0) }
            }
        }
        return found.sorted()
    }

    /// Processes that hold a TCP socket listening on this port, in our network namespace.
    func listeners(on port: UInt16) -> [Int] {
        let sockets = Set(["tcp", "tcp6"].flatMap { listeningSockets("\(root)/net/\($0)", port) })
        guard !sockets.isEmpty else { return [] }
        return pids().filter { pid in
            ((try? Files.list("\(root)/\(pid)/fd")) ?? []).contains { name in
                (try? Files.linkTarget("\(root)/\(pid)/fd/\(name)")).map(sockets.contains) ?? false
            }
        }
    }

    /// As the links of `fd` name them: `socket:[1234]`.
    private func listeningSockets(_ path: String, _ port: UInt16) -> [String] {
        let text = (try? Files.readText(path)) ?? ""
        return text.split(separator: "\n").dropFirst().compactMap { line in
            let fields = line.split(separator: " ")
            guard fields.count > 9, fields[3] == "0A", let colon = fields[1].lastIndex(of: ":"),
                UInt16(fields[1][fields[1].index(after: colon)...], radix: 16) == port
            else { return nil }
            return "socket:[\(fields[9])]"
        }
    }

    /// When the machine started, in seconds since 1970.
    func bootTime() -> Int? {
        let text = (try? Files.readText("\(root)/stat", limitBytes: 4 << 20)) ?? ""
        let line = text.split(separator: "\n").first { $0.hasPrefix("btime ") }
        return line.flatMap { Int($0.dropFirst("btime ".count)) }
    }
}

/// The fields of `/proc/<pid>/stat` that are used.
struct ProcessStat: Equatable, Sendable {
    let name: String
    /// `R`, `S`, `D`, `Z` and others.
    let state: Character
    let minorFaults: Int
    let majorFaults: Int
    let userTicks: Int
    let systemTicks: Int
    let threads: Int
    /// Ticks between the start of the machine and of the process.
    let startTicks: Int
    let virtualBytes: Int
    let residentPages: Int

    /// The name may hold spaces and brackets, so it reaches up to the last closing bracket.
    init?(_ text: String) {
        guard let open = text.firstIndex(of: "("), let close = text.lastIndex(of: ")"), open < close else { return nil }
        name = String(text[text.index(after: open)..<close])
        let fields = text[text.index(after: close)...].split(whereSeparator: \.isWhitespace)
        guard fields.count > 21, let state = fields[0].first else { return nil }
        self.state = state
        // The first field behind the name is number 3 of proc(5).
        let numbers = [10, 12, 14, 15, 20, 22, 23, 24].compactMap { Int(fields[$0 - 3]) }
        guard numbers.count == 8 else { return nil }
        (minorFaults, majorFaults, userTicks, systemTicks) = (numbers[0], numbers[1], numbers[2], numbers[3])
        (threads, startTicks, virtualBytes, residentPages) = (numbers[4], numbers[5], numbers[6], numbers[7])
    }
}

/// The small text formats of `/proc` and `/sys`.
enum KernelText {
    /// Lines of a key and a number, with or without a colon between and a unit behind.
    static func numbers(_ text: String) -> [String: Int] {
        var numbers: [String: Int] = [:]
        for line in text.split(separator: "\n") {
            let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" || $0 == ":" })
            guard words.count > 1, let number = Int(words[1]) else { continue }
            numbers[String(words[0])] = number
        }
        return numbers
    }

    /// A file that is one number; nil for `max` and for what cannot be read.
    static func number(_ path: String) -> Int? {
        guard let text = try? Files.readText(path, limitBytes: 4096) else { return nil }
        return text.split(whereSeparator: \.isWhitespace).first.flatMap { Int($0) }
    }

    /// Seconds that tasks have waited for something: `some avg10=… total=<microseconds>`, and `full` likewise.
    static func pressure(_ text: String) -> (some: Double?, full: Double?) {
        func total(_ kind: String) -> Double? {
            let line = text.split(separator: "\n").first { $0.hasPrefix(kind + " ") }
            let field = line?.split(separator: " ").first { $0.hasPrefix("total=") }
            return field.flatMap { Double($0.dropFirst("total=".count)) }.map { $0 / 1e6 }
        }
        return (total("some"), total("full"))
    }

    /// `/proc/net/dev` by interface: the numbers behind the colon.
    static func interfaces(_ text: String) -> [(name: String, numbers: [Double])] {
        text.split(separator: "\n").compactMap { line in
            guard let colon = line.firstIndex(of: ":") else { return nil }
            let name = line[..<colon].drop { $0 == " " }
            let numbers = line[line.index(after: colon)...].split(separator: " ").compactMap { Double($0) }
            return numbers.count >= 16 ? (String(name), numbers) : nil
        }
    }
}
